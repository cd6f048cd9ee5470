//! Sign-in at a provider that runs beside the test.

mod beside;

use causeway_oidc::{ProviderOptions, ProviderUrl};
use causeway_testkit::{CLIENT_ID, CLIENT_SECRET, Callback, OpenIdProvider};
use serde_json::json;

use super::*;
use crate::domain::Provider as ProviderKind;
use crate::oidc::{OidcConfig, Returns};
use crate::service::oidc::Started;
use crate::service::{FinishRequest, SignedIn, StartRequest};

const PLACE: &str = "https://app.example.com/welcome";

struct SignIns {
    world: World,
    fake: OpenIdProvider,
}

async fn sign_ins() -> SignIns {
    sign_ins_with(|_| {}).await
}

async fn sign_ins_with(change: impl FnOnce(&mut Config)) -> SignIns {
    let fake = OpenIdProvider::start(at(0).timestamp()).await;
    let options = |name: &str| ProviderOptions {
        issuer: ProviderUrl::parse(&fake.url(), true).expect("an issuer"),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.into()),
        redirect_url: format!("https://door.example/auth/oidc/{name}/callback"),
        scopes: vec!["email".to_owned()],
    };
    let providers = ["google", "corp"].map(|name| (name.to_owned(), options(name)));
    let world = world_with(|config| {
        config.oidc = OidcConfig {
            providers: providers.to_vec(),
            returns: Returns::new(
                Some("https://door.example"),
                &["https://app.example.com".to_owned()],
            ),
            open: None,
        };
        change(config);
    });
    SignIns { world, fake }
}

fn rpc(name: &str, seconds: i64) -> CallContext {
    call_of("OidcService", name, Caller::anonymous(), seconds)
}

/// A sign-in under way in one browser.
struct Browser {
    token: SecretString,
    back: Callback,
}

impl Browser {
    fn finish(&self) -> FinishRequest {
        FinishRequest {
            provider: "google".to_owned(),
            code: self.back.code.clone().into(),
            state: self.back.state.clone().into(),
            issuer: self.back.iss.clone(),
            error: String::new(),
            token: self.token.clone(),
        }
    }
}

impl SignIns {
    async fn start(&self, return_to: &str) -> Result<Started, AuthError> {
        let request = StartRequest {
            provider: "google".to_owned(),
            return_to: return_to.to_owned(),
            workspace_id: String::new(),
        };
        self.world
            .service
            .start_sign_in(&rpc("StartSignIn", 0), request)
            .await
    }

    /// A browser whose person `subject` signed in at the provider.
    async fn browser(&self, subject: &str) -> Browser {
        let started = self.start(PLACE).await.expect("started");
        Browser {
            back: self.fake.sign_in(&started.location, subject),
            token: started.token,
        }
    }

    async fn finish_at(
        &self,
        request: FinishRequest,
        seconds: i64,
    ) -> Result<(SignedIn, Option<String>), AuthError> {
        let ctx = rpc("FinishSignIn", seconds);
        self.world.service.finish_sign_in(&ctx, request).await
    }

    async fn finish(&self, request: FinishRequest) -> Result<(SignedIn, Option<String>), AuthError> {
        self.finish_at(request, 1).await
    }

    async fn signed_in(&self, subject: &str) -> Tokens {
        let browser = self.browser(subject).await;
        match self.finish(browser.finish()).await.expect("signed in").0 {
            SignedIn::Open(tokens) => tokens,
            SignedIn::SecondFactor(_) => panic!("a second factor is asked for"),
        }
    }
}

fn subject(tokens: &Tokens) -> String {
    let claims = verifier().verify(tokens.access.expose_secret(), at(1));
    claims.expect("genuine").sub
}

#[tokio::test]
async fn the_first_sign_in_makes_a_person_and_a_workspace_and_the_next_one_finds_them() {
    let all = sign_ins().await;
    let browser = all.browser("ada").await;
    let (signed_in, place) = all.finish(browser.finish()).await.expect("signed in");
    let SignedIn::Open(tokens) = signed_in else {
        panic!("a second factor is asked for")
    };
    assert_eq!(place.as_deref(), Some(PLACE));
    let claims = verifier().verify(tokens.access.expose_secret(), at(1));
    let claims = claims.expect("genuine");
    assert_eq!((claims.roles, claims.mfa), (vec!["owner".to_owned()], false));
    let facts = all.world.facts().await;
    let actions: Vec<&str> = facts.iter().map(|fact| fact.action.as_str()).collect();
    assert_eq!(actions, ["account.registered", "session.opened"]);
    assert_eq!(facts[1].details["method"], "google");
    assert!(
        !format!("{facts:?}").contains("example.com"),
        "no address is in the log"
    );
    let next = all.signed_in("ada").await;
    assert_eq!(
        (subject(&next), next.workspace),
        (claims.sub, tokens.workspace),
        "the same person"
    );
    assert_ne!(next.session, tokens.session);
    let refreshed = all
        .world
        .service
        .refresh(&anonymous("Refresh", 60), &next.refresh)
        .await;
    assert_eq!(refreshed.expect("refreshed").session, next.session);
}

/// EXC-07: ada@example.com is an address here and at the provider, and means nothing.
#[tokio::test]
async fn a_person_is_who_the_provider_says_and_never_an_address() {
    let all = sign_ins().await;
    let local = all.world.registered("ada@example.com").await;
    let (ada, eve) = (all.signed_in("ada").await, all.signed_in("eve").await);
    let people = [local.user.to_string(), subject(&ada), subject(&eve)];
    let distinct: std::collections::BTreeSet<_> = people.iter().collect();
    assert_eq!(distinct.len(), 3);
    let identity = crate::domain::Identity {
        provider: ProviderKind::Oidc,
        issuer: all.fake.url(),
        subject: "ada".to_owned(),
    };
    let known = crate::store::IdentityStore::find_identity(&*all.world.store, &identity).await;
    assert_eq!(
        known.expect("answered").expect("known").user.to_string(),
        subject(&ada)
    );
}

#[tokio::test]
async fn a_sign_in_is_finished_in_the_browser_where_it_began() {
    let all = sign_ins().await;
    let (ada, eve) = (all.browser("ada").await, all.browser("eve").await);
    let refused: [FinishRequest; 6] = [
        // Eve's answer in Ada's browser: Ada would be signed in as Eve.
        FinishRequest {
            token: ada.token.clone(),
            ..eve.finish()
        },
        FinishRequest {
            token: SecretString::default(),
            ..eve.finish()
        },
        FinishRequest {
            state: SecretString::default(),
            ..eve.finish()
        },
        FinishRequest {
            state: "guessed".into(),
            ..eve.finish()
        },
        FinishRequest {
            token: "a.b.c".into(),
            ..eve.finish()
        },
        // Begun at another provider.
        FinishRequest {
            provider: "corp".to_owned(),
            ..eve.finish()
        },
    ];
    for request in refused {
        assert_eq!(reason(all.finish(request).await), "SIGN_IN_EXPIRED");
    }
    assert_eq!(all.fake.requests("token"), 0, "no code went anywhere");
    assert!(all.finish(eve.finish()).await.is_ok());
    // Ada's own sign-in with Eve's code: the verifier is another one.
    let injected = FinishRequest {
        code: all.browser("eve").await.back.code.into(),
        ..ada.finish()
    };
    assert_eq!(reason(all.finish(injected).await), "SIGN_IN_REFUSED");
}

#[tokio::test]
async fn a_sign_in_is_finished_once_and_within_ten_minutes() {
    let all = sign_ins().await;
    let browser = all.browser("ada").await;
    assert!(all.finish(browser.finish()).await.is_ok());
    assert_eq!(
        reason(all.finish(browser.finish()).await),
        "SIGN_IN_EXPIRED",
        "replayed"
    );
    assert_eq!(all.fake.requests("token"), 1);
    let late = all.browser("ada").await;
    assert_eq!(reason(all.finish_at(late.finish(), 605).await), "SIGN_IN_EXPIRED");
    let twice = all.browser("ada").await;
    let answers = futures::future::join_all((0..8).map(|_| all.finish(twice.finish()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
}

#[tokio::test]
async fn what_the_provider_answers_must_prove_somebody() {
    let all = sign_ins().await;
    let now = at(0).timestamp();
    for changes in [
        json!({"nonce": "another"}),
        json!({"aud": "another"}),
        json!({"iss": "https://evil.example"}),
        json!({"azp": "another"}),
        json!({"exp": now - 60, "iat": now - 120}),
        json!({"at_hash": "AAAA"}),
        json!({"sub": null}),
    ] {
        all.fake.claim(changes.clone());
        let browser = all.browser("ada").await;
        let refused = all.finish(browser.finish()).await;
        assert_eq!(reason(refused), "SIGN_IN_REFUSED", "{changes}");
    }
    let without_code = FinishRequest {
        code: SecretString::default(),
        ..all.browser("ada").await.finish()
    };
    assert_eq!(reason(all.finish(without_code).await), "SIGN_IN_REFUSED");
    let of_another = FinishRequest {
        issuer: "https://evil.example".to_owned(),
        ..all.browser("ada").await.finish()
    };
    assert_eq!(reason(all.finish(of_another).await), "SIGN_IN_REFUSED");
    assert!(all.world.actions().await.is_empty(), "nobody was made");
}

#[tokio::test]
async fn an_error_of_the_provider_is_told_apart_from_a_no() {
    let all = sign_ins().await;
    let with = |browser: &Browser, error: &str| FinishRequest {
        error: error.to_owned(),
        code: SecretString::default(),
        ..browser.finish()
    };
    let browser = all.browser("ada").await;
    assert_eq!(
        reason(all.finish(with(&browser, "access_denied")).await),
        "SIGN_IN_DENIED"
    );
    assert_eq!(
        reason(all.finish(with(&browser, "server_error")).await),
        "SIGN_IN_REFUSED"
    );
    let foreign = FinishRequest {
        token: SecretString::default(),
        ..with(&browser, "access_denied")
    };
    assert_eq!(reason(all.finish(foreign).await), "SIGN_IN_EXPIRED");
}

/// EXC-08.
#[tokio::test]
async fn while_the_provider_is_down_nobody_is_called_a_liar() {
    let all = sign_ins().await;
    let shown = |error: AuthError| {
        let error = ApiError::from(error);
        assert!(error.retry_after.is_some());
        error.reason.into_owned()
    };
    let browser = all.browser("ada").await;
    all.fake.fail("token", http::StatusCode::BAD_GATEWAY);
    let away = all.finish(browser.finish()).await.err().expect("away");
    assert_eq!(shown(away), "IDENTITY_PROVIDER_UNAVAILABLE");
    let all = sign_ins().await;
    all.fake.fail("metadata", http::StatusCode::BAD_GATEWAY);
    let away = all.start(PLACE).await.err().expect("away");
    assert_eq!(shown(away), "IDENTITY_PROVIDER_UNAVAILABLE");
    let all = sign_ins().await;
    all.fake.fail("keys", http::StatusCode::BAD_GATEWAY);
    let browser = all.browser("ada").await;
    let away = all.finish(browser.finish()).await.err().expect("away");
    assert_eq!(shown(away), "IDENTITY_PROVIDER_UNAVAILABLE");
}

#[tokio::test]
async fn nobody_is_sent_to_a_place_that_is_not_ours() {
    let all = sign_ins().await;
    for place in ["https://evil.example", "//evil.example", "javascript:alert(1)"] {
        assert_eq!(reason(all.start(place).await), "INVALID_ARGUMENT", "{place}");
    }
    let unknown = StartRequest {
        provider: "github".to_owned(),
        return_to: String::new(),
        workspace_id: String::new(),
    };
    let unknown = all
        .world
        .service
        .start_sign_in(&rpc("StartSignIn", 0), unknown)
        .await;
    assert_eq!(reason(unknown), "PROVIDER_NOT_FOUND");
    let started = all.start("").await.expect("started");
    let browser = Browser {
        back: all.fake.sign_in(&started.location, "ada"),
        token: started.token,
    };
    let (_, place) = all.finish(browser.finish()).await.expect("signed in");
    assert_eq!(place, None);
}

#[tokio::test]
async fn where_registration_is_closed_a_provider_brings_nobody_new() {
    let all = sign_ins_with(|config| config.registration_open = false).await;
    let browser = all.browser("ada").await;
    let refused = all.finish(browser.finish()).await;
    assert_eq!(reason(refused), "REGISTRATION_CLOSED");
    assert!(all.world.actions().await.is_empty());
    let all = sign_ins_with(|config| {
        config.registration_open = false;
        config.oidc.open = Some(true);
    })
    .await;
    all.signed_in("ada").await;
}

#[tokio::test]
async fn a_workspace_may_be_named_and_must_be_ones_own() {
    let all = sign_ins().await;
    let first = all.signed_in("ada").await;
    let other = all.world.join(subject(&first).parse().expect("an id"), "viewer");
    for (workspace, entered) in [
        (other.to_string(), Ok(other)),
        (WorkspaceId::generate().to_string(), Err("WORKSPACE_NOT_FOUND")),
    ] {
        let request = StartRequest {
            provider: "google".to_owned(),
            return_to: String::new(),
            workspace_id: workspace,
        };
        let started = all
            .world
            .service
            .start_sign_in(&rpc("StartSignIn", 0), request)
            .await
            .expect("started");
        let browser = Browser {
            back: all.fake.sign_in(&started.location, "ada"),
            token: started.token,
        };
        match (all.finish(browser.finish()).await, entered) {
            (Ok((SignedIn::Open(tokens), _)), Ok(workspace)) => assert_eq!(tokens.workspace, workspace),
            (refused, Err(expected)) => assert_eq!(reason(refused), expected),
            _ => panic!("the workspace is ones own"),
        }
    }
}

/// ASVS 6.3.1.
#[tokio::test]
async fn guesses_from_one_address_are_slowed() {
    let all = sign_ins().await;
    let remote = causeway_context::Remote {
        address: "203.0.113.7".parse().expect("an address"),
        agent: String::new(),
    };
    let ctx = |seconds| CallContext {
        remote: Some(remote.clone()),
        ..rpc("FinishSignIn", seconds)
    };
    let forged = || FinishRequest {
        provider: "google".to_owned(),
        state: "guessed".into(),
        token: "a.b.c".into(),
        ..FinishRequest::default()
    };
    // What shows nothing counts for nothing: any page can make a browser send it.
    for _ in 0..100 {
        let request = FinishRequest {
            token: SecretString::default(),
            ..forged()
        };
        let answer = all.world.service.finish_sign_in(&ctx(1), request).await;
        assert_eq!(reason(answer), "SIGN_IN_EXPIRED");
    }
    let mut reasons = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let answer = all.world.service.finish_sign_in(&ctx(1), forged()).await;
        reasons.insert(reason(answer));
    }
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        ["SIGN_IN_EXPIRED", "TOO_MANY_GUESSES"]
    );
    let browser = all.browser("ada").await;
    assert!(all.finish(browser.finish()).await.is_ok(), "others come in");
}
