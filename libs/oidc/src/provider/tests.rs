//! A provider, and what an attacker makes of its answers. The forger of ID tokens holds the provider's own key unless a
//! case says otherwise, so that each check is reached.

use std::sync::Mutex;
use std::time::Instant;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_crypto::SignInKey;
use causeway_testkit::{CLIENT_ID, CLIENT_SECRET, Callback, OpenIdProvider, SigningKey};
use http::StatusCode;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

struct World {
    fake: OpenIdProvider,
    provider: Provider,
    time: Arc<Mutex<Instant>>,
}

async fn world() -> World {
    let fake = OpenIdProvider::start(NOW).await;
    let issuer = ProviderUrl::parse(&fake.url(), true).expect("an issuer");
    let egress = issuer.egress();
    let options = ProviderOptions {
        issuer,
        client_id: CLIENT_ID.to_owned(),
        client_secret: Some(CLIENT_SECRET.into()),
        redirect_url: "https://door.example/auth/oidc/peer/callback".to_owned(),
        scopes: vec!["email".to_owned()],
    };
    let time = Arc::new(Mutex::new(Instant::now()));
    let clock = Arc::clone(&time);
    let clock: Clock = Arc::new(move || *clock.lock().expect("the clock"));
    World {
        provider: Provider::new(options, egress, clock),
        fake,
        time,
    }
}

fn secrets(id: &str) -> SignInSecrets {
    SignInKey::new(&"a secret of the tests, 32 bytes or more".into()).secrets(id)
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).expect("in the calendar")
}

impl World {
    fn later(&self, seconds: u64) {
        *self.time.lock().expect("the clock") += Duration::from_secs(seconds);
    }

    async fn began(&self, id: &str) -> Callback {
        let location = self.provider.authorization_url(&secrets(id)).await;
        self.fake.sign_in(&location.expect("the provider answers"), "ada")
    }

    async fn redeem(&self, back: &Callback, id: &str) -> Result<Person, ProviderError> {
        let answer = CallbackAnswer {
            code: &back.code,
            issuer: Some(&back.iss),
        };
        self.provider.redeem(answer, &secrets(id), now()).await
    }

    async fn signs_in(&self) -> Result<Person, ProviderError> {
        self.redeem(&self.began("1").await, "1").await
    }

    /// Why an ID token with these claims is refused.
    async fn refuses(&self, changes: Value) -> &'static str {
        self.fake.claim(changes);
        reason(self.signs_in().await)
    }
}

fn reason(answer: Result<Person, ProviderError>) -> &'static str {
    match answer.expect_err("must be refused") {
        ProviderError::Refused(refusal) => {
            assert_eq!(refusal.to_string(), "invalid token", "one text for every cause");
            refusal.reason()
        }
        ProviderError::Code => "code",
        ProviderError::Away { .. } => "away",
    }
}

#[tokio::test]
async fn a_person_signs_in() {
    let world = world().await;
    let expected = Person {
        issuer: world.fake.url(),
        subject: "ada".to_owned(),
        email_verified: true,
    };
    assert_eq!(world.signs_in().await, Ok(expected));
    for (said, verified) in [
        (json!("true"), true),
        (json!("false"), false),
        (json!(false), false),
        (Value::Null, false),
    ] {
        world.fake.claim(json!({"email_verified": said}));
        assert_eq!(world.signs_in().await.expect("in").email_verified, verified);
    }
    assert_eq!(
        world.fake.requests("metadata"),
        1,
        "what is fresh is not asked for"
    );
    assert_eq!(world.fake.requests("keys"), 1);
}

#[tokio::test]
async fn a_code_is_good_once_and_with_its_own_verifier() {
    let world = world().await;
    let back = world.began("1").await;
    assert!(world.redeem(&back, "1").await.is_ok());
    assert_eq!(reason(world.redeem(&back, "1").await), "code");
    let back = world.began("1").await;
    assert_eq!(reason(world.redeem(&back, "2").await), "code", "another verifier");
}

#[tokio::test]
async fn an_id_token_answers_its_own_sign_in() {
    let world = world().await;
    assert_eq!(world.refuses(json!({"nonce": secrets("2").nonce})).await, "nonce");
    assert_eq!(world.refuses(json!({"nonce": null})).await, "nonce");
    assert_eq!(world.refuses(json!({"nonce": ""})).await, "nonce");
}

#[tokio::test]
async fn an_id_token_is_the_providers_and_for_us() {
    let world = world().await;
    let url = world.fake.url();
    for iss in [
        format!("{url}/"),
        url.to_uppercase(),
        "https://accounts.google.com".to_owned(),
    ] {
        assert_eq!(world.refuses(json!({"iss": iss})).await, "issuer", "{iss}");
    }
    for aud in [json!("another"), json!([]), json!(["another"]), json!("")] {
        assert_eq!(world.refuses(json!({"aud": aud})).await, "audience", "{aud}");
    }
    let both = json!([CLIENT_ID, "another"]);
    assert_eq!(world.refuses(json!({"aud": both})).await, "authorized_party");
    assert_eq!(
        world.refuses(json!({"aud": both, "azp": "another"})).await,
        "authorized_party"
    );
    assert_eq!(world.refuses(json!({"azp": "another"})).await, "authorized_party");
    world.fake.claim(json!({"aud": both, "azp": CLIENT_ID}));
    assert!(world.signs_in().await.is_ok());
    world.fake.claim(json!({"aud": [CLIENT_ID]}));
    assert!(world.signs_in().await.is_ok());
}

#[tokio::test]
async fn an_id_token_is_in_force() {
    let world = world().await;
    assert_eq!(
        world.refuses(json!({"exp": NOW - 5, "iat": NOW - 60})).await,
        "expired"
    );
    assert_eq!(world.refuses(json!({"iat": NOW + 6})).await, "not_yet");
    assert_eq!(world.refuses(json!({"nbf": NOW + 6})).await, "not_yet");
    assert_eq!(world.refuses(json!({"iat": NOW, "exp": NOW})).await, "lifetime");
    for claim in ["exp", "iat", "sub", "iss", "aud"] {
        assert_eq!(world.refuses(json!({claim: null})).await, "claims", "{claim}");
    }
    for (claim, bad) in [
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
        ("exp", json!("1")),
    ] {
        assert_eq!(world.refuses(json!({claim: bad})).await, "claims", "{claim}");
    }
    world.fake.claim(json!({"exp": NOW - 4, "iat": NOW - 60}));
    assert!(world.signs_in().await.is_ok(), "clocks differ");
}

#[tokio::test]
async fn an_id_token_fits_its_access_token() {
    let world = world().await;
    let other = causeway_crypto::half_hash("another");
    assert_eq!(world.refuses(json!({"at_hash": other})).await, "at_hash");
    world.fake.claim(json!({"at_hash": null}));
    assert!(world.signs_in().await.is_ok());
}

/// JWT-01: the algorithm is RS256 or ES256, as the key says it.
#[tokio::test]
async fn algorithm_confusion_is_refused() {
    let world = world().await;
    let verify = async |token: &str| reason(world.provider.verify(token, now()).await);
    let claims =
        json!({"iss": world.fake.url(), "aud": CLIENT_ID, "sub": "ada", "iat": NOW, "exp": NOW + 60});
    for alg in [
        "none", "noNE", "HS256", "RS512", "PS256", "rs256", "EdDSA", "ES256",
    ] {
        let (header, text) = (
            json!({"alg": alg, "kid": "provider-1"}).to_string(),
            claims.to_string(),
        );
        world.fake.mint(move |key, _| key.sign(&header, &text));
        let token = world.fake.id_token("ada");
        assert_eq!(verify(&token).await, "algorithm", "{alg}");
    }
    // Signed by what everybody knows of the key, and not signed at all.
    let claims = claims.to_string();
    let signed = |header: Value| {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{header}.{}", URL_SAFE_NO_PAD.encode(&claims))
    };
    let public = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&public);
    world.fake.mint(move |key, claims| {
        *seen.lock().expect("the key") = key.public_pem();
        key.token(&claims)
    });
    assert!(
        world
            .provider
            .verify(&world.fake.id_token("ada"), now())
            .await
            .is_ok()
    );
    let pem = public.lock().expect("the key").clone();
    let text = signed(json!({"alg": "HS256", "kid": "provider-1"}));
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes()),
        text.as_bytes(),
    );
    let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert_eq!(verify(&forged).await, "algorithm");
    let bare = format!("{}.", signed(json!({"alg": "none"})));
    assert_eq!(verify(&bare).await, "algorithm");
}

#[tokio::test]
async fn keys_of_others_and_keys_that_a_token_brings_prove_nothing() {
    let world = world().await;
    let stranger = SigningKey::generate("provider-1");
    world.fake.mint(move |_, claims| stranger.token(&claims));
    assert_eq!(reason(world.signs_in().await), "signature");
    let unknown = SigningKey::generate("provider-2");
    world.fake.mint(move |_, claims| unknown.token(&claims));
    assert_eq!(reason(world.signs_in().await), "unknown_key");
    for header in [
        json!({"alg": "RS256"}),
        json!({"alg": "RS256", "kid": "provider-1", "jku": "https://evil.example"}),
        json!({"alg": "RS256", "kid": "provider-1", "jwk": {}}),
        json!({"alg": "RS256", "kid": "provider-1", "crit": ["x"]}),
    ] {
        let text = header.to_string();
        world
            .fake
            .mint(move |key, claims| key.sign(&text, &claims.to_string()));
        let token = world.fake.id_token("ada");
        assert_eq!(
            reason(world.provider.verify(&token, now()).await),
            "header",
            "{header}"
        );
    }
    for token in ["", "a.b", "a.b.c", "a.b.c.d"] {
        assert!(world.provider.verify(token, now()).await.is_err(), "{token}");
    }
}

/// RFC 9207: an answer that is another provider's is refused before its code goes anywhere.
#[tokio::test]
async fn who_answers_says_so_where_the_provider_promises_it() {
    let world = world().await;
    let back = world.began("1").await;
    for issuer in [None, Some("https://evil.example"), Some("")] {
        let answer = CallbackAnswer {
            code: &back.code,
            issuer,
        };
        let refused = world.provider.redeem(answer, &secrets("1"), now()).await;
        assert_eq!(reason(refused), "issuer");
        assert!(world.provider.check_issuer(issuer).await.is_err());
    }
    assert_eq!(world.fake.requests("token"), 0);
    world
        .fake
        .publish("authorization_response_iss_parameter_supported", json!(false));
    world.later(3601);
    assert!(world.provider.check_issuer(None).await.is_ok());
    let other = world.provider.check_issuer(Some("https://evil.example")).await;
    assert!(other.is_err(), "what is said counts, promised or not");
}

/// EXC-08.
#[tokio::test]
async fn a_provider_that_cannot_be_asked_makes_nobody_a_liar() {
    let world = world().await;
    world.fake.fail("metadata", StatusCode::BAD_GATEWAY);
    let away = world.provider.authorization_url(&secrets("1")).await;
    assert!(matches!(away, Err(ProviderError::Away { .. })), "{away:?}");
    let again = world.provider.authorization_url(&secrets("1")).await;
    assert!(again.is_err());
    assert_eq!(
        world.fake.requests("metadata"),
        1,
        "a flood asks once in ten seconds"
    );
    world.fake.fail("metadata", StatusCode::OK);
    world.later(10);
    let answer = world.provider.authorization_url(&secrets("1")).await;
    assert!(answer.is_err(), "an error page is no document");
}

#[tokio::test]
async fn a_provider_whose_keys_or_tokens_cannot_be_had_is_away() {
    let world = world().await;
    world.fake.fail("keys", StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reason(world.signs_in().await), "away");
    for status in [StatusCode::BAD_GATEWAY, StatusCode::OK, StatusCode::FOUND] {
        world.fake.fail("token", status);
        assert_eq!(reason(world.signs_in().await), "away", "{status}");
    }
}

#[tokio::test]
async fn what_is_known_of_a_provider_outlives_an_outage_of_a_day() {
    let world = world().await;
    assert!(world.signs_in().await.is_ok());
    world.fake.fail("metadata", StatusCode::BAD_GATEWAY);
    world.later(3601);
    assert!(world.signs_in().await.is_ok());
    world.later(24 * 3600);
    assert_eq!(
        reason_of(world.provider.authorization_url(&secrets("1")).await),
        "away"
    );
}

fn reason_of(answer: Result<String, ProviderError>) -> &'static str {
    match answer {
        Err(ProviderError::Away { .. }) => "away",
        _ => "answered",
    }
}

#[tokio::test]
async fn a_document_of_another_issuer_or_with_endpoints_of_the_inside_is_none() {
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("token_endpoint", json!("file:///etc/passwd")),
        ("token_endpoint", Value::Null),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", json!("https://user:secret@id.example/keys")),
    ] {
        let world = world().await;
        world.fake.publish(name, value.clone());
        let answer = world.provider.authorization_url(&secrets("1")).await;
        assert_eq!(reason_of(answer), "away", "{name} {value}");
    }
}

/// JWK-01.
#[tokio::test]
async fn outside_of_development_a_provider_is_spoken_to_over_https_at_public_addresses() {
    for url in [
        "http://id.example",
        "https://127.0.0.1",
        "https://localhost",
        "https://169.254.169.254/",
        "ftp://id.example",
        "https://id.example/?a",
        "https://id.example/#a",
        "id.example",
    ] {
        assert!(ProviderUrl::parse(url, false).is_err(), "{url}");
    }
    let issuer = ProviderUrl::parse("https://id.example/realms/main", false).expect("an issuer");
    assert_eq!(issuer.as_str(), "https://id.example/realms/main");
    // A name that leads inside is seen when it is dialled.
    let request = http::Request::get("https://127.0.0.1:1/").body(bytes::Bytes::new());
    let answer = issuer
        .egress()
        .send(request.expect("a request"), Duration::from_secs(1))
        .await;
    assert!(matches!(
        answer.err(),
        Some(causeway_egress::EgressError::NotPublic)
    ));
}
