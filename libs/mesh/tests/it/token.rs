//! Service tokens at the guard: what is refused, and what an operator may do.

use causeway_contracts::Role;
use causeway_contracts::llm::v1::llm_service_client::LlmServiceClient;
use causeway_crypto::{ServiceClaims, ServiceTokenKeys};
use causeway_errors::Code;
use causeway_mesh::MeshChannel;
use chrono::Utc;
use secrecy::SecretString;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use crate::fixture::{GENERATE, PREVIOUS_ROOT, ROOT, Sides, error_of, person, say};

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the guard compares it with the clock")]
    Utc::now().timestamp()
}

/// The token that the gateway makes for an editor's Generate.
fn claims() -> ServiceClaims {
    ServiceClaims {
        iss: "gateway".to_owned(),
        aud: "llm".to_owned(),
        method: GENERATE.to_owned(),
        jti: "1".to_owned(),
        iat: now(),
        exp: now() + 30,
        request_id: "r-1".to_owned(),
        caller: serde_json::to_value(person(Role::Editor).caller).expect("JSON"),
    }
}

fn signed(root: &str, claims: &ServiceClaims) -> String {
    ServiceTokenKeys::new(&SecretString::from(root), None)
        .sign(claims)
        .expect("signed")
}

/// Calls past the layers of a caller, with these values of `authorization`.
async fn call(channel: MeshChannel, authorizations: &[&str]) -> Result<String, Status> {
    let mut request = Request::new(say("echo"));
    for value in authorizations {
        let value: MetadataValue<_> = value.parse().expect("a value");
        request.metadata_mut().append("authorization", value);
    }
    let answer = LlmServiceClient::new(channel).generate(request).await?;
    Ok(answer.into_inner().provider)
}

#[tokio::test]
async fn a_genuine_token_of_either_root_passes() {
    let sides = Sides::start().await;
    for (side, channel) in sides.channels {
        for root in [ROOT, PREVIOUS_ROOT] {
            let bearer = format!("Bearer {}", signed(root, &claims()));
            assert_eq!(call(channel.clone(), &[&bearer]).await.expect(side), "user");
        }
    }
}

#[tokio::test]
async fn a_token_for_anything_else_is_refused() {
    let sides = Sides::start().await;
    let other_method = GENERATE.replace("Generate", "GenerateStream");
    let changed: [(&str, ServiceClaims); 8] = [
        (
            "expired",
            ServiceClaims {
                iat: now() - 60,
                exp: now() - 30,
                ..claims()
            },
        ),
        (
            "not yet",
            ServiceClaims {
                iat: now() + 30,
                exp: now() + 60,
                ..claims()
            },
        ),
        (
            "audience",
            ServiceClaims {
                aud: "audit".to_owned(),
                ..claims()
            },
        ),
        (
            "method",
            ServiceClaims {
                method: other_method,
                ..claims()
            },
        ),
        (
            "every method, not of an operator",
            ServiceClaims {
                method: "*".to_owned(),
                ..claims()
            },
        ),
        (
            "no issuer",
            ServiceClaims {
                iss: String::new(),
                ..claims()
            },
        ),
        (
            "no id",
            ServiceClaims {
                jti: String::new(),
                ..claims()
            },
        ),
        (
            "caller",
            ServiceClaims {
                caller: serde_json::json!({"kind": "root"}),
                ..claims()
            },
        ),
    ];
    for (side, channel) in sides.channels {
        for (what, claims) in &changed {
            let bearer = format!("Bearer {}", signed(ROOT, claims));
            let error = error_of(call(channel.clone(), &[&bearer]).await);
            assert_eq!(error.0, Code::Unauthenticated, "{side}: {what}");
        }
    }
    assert_eq!(sides.fake.begun(), 0);
}

#[tokio::test]
async fn a_token_of_another_root_or_another_shape_is_refused() {
    let sides = Sides::start().await;
    let good = signed(ROOT, &claims());
    let mut tampered = good.clone().into_bytes();
    let at = good.find('.').expect("a dot") + 10;
    tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).expect("text");
    let unsigned = good.rsplit_once('.').expect("a dot").0;
    for (side, channel) in sides.channels {
        let refused = [
            vec![format!(
                "Bearer {}",
                signed("a root that nobody has told us about, ever", &claims())
            )],
            vec![format!("Bearer {tampered}")],
            vec![format!("Bearer {unsigned}.")],
            vec![format!("Bearer {good}x")],
            vec![format!("Basic {good}")],
            vec![good.clone()],
            vec!["Bearer ".to_owned()],
            vec![format!("Bearer {good}"), format!("Bearer {good}")],
            vec![],
        ];
        for values in refused {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let error = error_of(call(channel.clone(), &values).await);
            assert_eq!(
                (error.0, error.1.as_str()),
                (Code::Unauthenticated, "UNAUTHENTICATED"),
                "{side}: {values:?}"
            );
        }
    }
    assert_eq!(sides.fake.begun(), 0);
}

#[tokio::test]
async fn a_token_lives_for_its_window_and_not_longer() {
    // Within the window it may come again: a call is sent again with the same token, and grpcurl makes two calls.
    let sides = Sides::start().await;
    for (side, channel) in sides.channels {
        let almost_over = ServiceClaims {
            iat: now() - 55,
            exp: now() + 5,
            ..claims()
        };
        let bearer = format!("Bearer {}", signed(ROOT, &almost_over));
        call(channel.clone(), &[&bearer]).await.expect(side);
        call(channel, &[&bearer]).await.expect(side);
    }
    let too_long = ServiceClaims {
        exp: now() + 61,
        iat: now(),
        ..claims()
    };
    let keys = ServiceTokenKeys::new(&SecretString::from(ROOT), None);
    assert!(keys.sign(&too_long).is_err());
}

/// As `causeway token service --for llm` makes it.
fn operator() -> ServiceClaims {
    ServiceClaims {
        iss: causeway_mesh::OPERATOR.to_owned(),
        method: "*".to_owned(),
        exp: now() + 60,
        ..claims()
    }
}

#[tokio::test]
async fn an_operators_token_opens_every_method_of_its_service() {
    let sides = Sides::start().await;
    for (side, channel) in sides.channels {
        let bearer = format!("Bearer {}", signed(ROOT, &operator()));
        assert_eq!(call(channel.clone(), &[&bearer]).await.expect(side), "user");
        let itself = ServiceClaims {
            caller: serde_json::Value::Null,
            ..operator()
        };
        let bearer = format!("Bearer {}", signed(ROOT, &itself));
        let error = error_of(call(channel.clone(), &[&bearer]).await);
        assert_eq!(
            error.0,
            Code::PermissionDenied,
            "{side}: as nobody in particular it may not generate"
        );
        let elsewhere = ServiceClaims {
            aud: "audit".to_owned(),
            ..operator()
        };
        let bearer = format!("Bearer {}", signed(ROOT, &elsewhere));
        assert_eq!(
            error_of(call(channel, &[&bearer]).await).0,
            Code::Unauthenticated,
            "{side}"
        );
    }
}
