//! Clerk's tokens, and what an attacker makes of them. A forger here holds a genuine key unless a case says otherwise,
//! so that each check is reached.

mod peer;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use causeway_egress::EgressOptions;
use causeway_testkit::{Issuer, SigningKey};
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::jwks::system_clock;

const NOW: i64 = 1_800_000_000;
const PARTY: &str = "https://app.example.com";

struct World {
    issuer: Issuer,
    key: SigningKey,
    verifier: ClerkVerifier,
}

async fn world() -> World {
    world_with(|_| {}).await
}

async fn world_with(change: impl FnOnce(&mut ClerkOptions)) -> World {
    let key = SigningKey::generate("ins_1");
    let issuer = Issuer::start(&[&key]).await;
    let keys = JwksUrl::parse(&issuer.jwks_url(), true).expect("an address");
    let mut options = ClerkOptions {
        issuer: keys.issuer(),
        keys,
        audience: None,
        authorized_parties: vec!["http://localhost:3000".to_owned(), PARTY.to_owned()],
        longest: TimeDelta::seconds(60),
        actors: true,
    };
    change(&mut options);
    let verifier = ClerkVerifier::new(options, Egress::new(EgressOptions::default()), system_clock());
    World {
        issuer,
        key,
        verifier,
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).expect("in the calendar")
}

impl World {
    /// The claims of a token of version 2, as Clerk writes them.
    fn claims(&self) -> Value {
        json!({
            "azp": PARTY, "exp": NOW + 60, "fva": [3, -1], "iat": NOW, "iss": self.issuer.url(),
            "jti": "9f8b1a", "nbf": NOW - 10, "sid": "sess_1", "sts": "active", "sub": "user_1", "v": 2,
            "o": {"id": "org_1", "rol": "admin", "slg": "acme", "per": "read", "fpm": "3"},
        })
    }

    fn with(&self, changes: Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().expect("an object") {
            claims[name.as_str()] = value.clone();
        }
        claims
    }

    fn without(&self, name: &str) -> Value {
        let mut claims = self.claims();
        claims.as_object_mut().expect("an object").remove(name);
        claims
    }

    fn forge(&self, header: &Value) -> String {
        self.key.sign(&header.to_string(), &self.claims().to_string())
    }

    async fn verify(&self, token: &str) -> Result<ClerkSession, VerifyError> {
        self.verifier.verify(token, now()).await
    }

    async fn accepts(&self, claims: &Value) -> ClerkSession {
        self.verify(&self.key.token(claims)).await.expect("accepted")
    }

    async fn refuses(&self, token: &str) -> &'static str {
        match self.verify(token).await.expect_err("must be refused") {
            VerifyError::Refused(refusal) => {
                assert_eq!(refusal.to_string(), "invalid token", "one text for every cause");
                refusal.reason()
            }
            other => panic!("{other}"),
        }
    }

    async fn refuses_claims(&self, claims: &Value) -> &'static str {
        self.refuses(&self.key.token(claims)).await
    }
}

#[tokio::test]
async fn a_token_of_version_2_is_read() {
    let world = world().await;
    let expected = ClerkSession {
        issuer: world.issuer.url(),
        subject: "user_1".to_owned(),
        session: Some("sess_1".to_owned()),
        party: PARTY.to_owned(),
        token: Some("9f8b1a".to_owned()),
        expires_at: DateTime::from_timestamp(NOW + 60, 0).expect("in the calendar"),
        actor: None,
        organization: Some(Organization {
            id: "org_1".to_owned(),
            role: Some("admin".to_owned()),
        }),
        second_factor: false,
    };
    assert_eq!(world.accepts(&world.claims()).await, expected);
}

#[tokio::test]
async fn a_token_of_version_1_is_read() {
    let world = world().await;
    let claims = json!({
        "azp": PARTY, "exp": NOW + 60, "iat": NOW, "iss": world.issuer.url(), "nbf": NOW - 10, "sid": "sess_1",
        "sub": "user_1", "org_id": "org_1", "org_role": "org:admin", "org_slug": "acme", "org_permissions": [],
    });
    let session = world.accepts(&claims).await;
    let expected = Organization {
        id: "org_1".to_owned(),
        role: Some("admin".to_owned()),
    };
    assert_eq!((session.organization, session.token), (Some(expected), None));
    assert_eq!(
        world.accepts(&world.with(json!({"v": 1}))).await.organization,
        None,
        "version 1 has no o"
    );
}

/// EXC-04.
#[tokio::test]
async fn who_really_acts_is_carried() {
    let world = world().await;
    let actor = json!({"iss": "https://dashboard.clerk.com", "sub": "user_2", "type": "agent"});
    let session = world.accepts(&world.with(json!({"act": actor}))).await;
    let expected = Actor {
        iss: Some("https://dashboard.clerk.com".to_owned()),
        sub: "user_2".to_owned(),
    };
    assert_eq!(session.actor, Some(expected));
    for bad in [json!("user_2"), json!({}), json!({"sub": ""}), json!({"sub": 1})] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"act": bad}))).await,
            "claims"
        );
    }
}

/// EXC-04: an installation may refuse them all.
#[tokio::test]
async fn who_acts_for_another_may_be_kept_out() {
    let world = world_with(|options| options.actors = false).await;
    let actor = json!({"iss": "https://dashboard.clerk.com", "sub": "user_2"});
    assert_eq!(
        world.refuses_claims(&world.with(json!({"act": actor}))).await,
        "actor"
    );
    world.accepts(&world.claims()).await;
}

/// EXC-06: a template of Clerk's makes tokens that live for years.
#[tokio::test]
async fn a_token_has_no_more_life_before_it_than_a_session_has() {
    let world = world().await;
    world.accepts(&world.with(json!({"exp": NOW + 65}))).await;
    for exp in [NOW + 66, NOW + 3600, NOW + 315_360_000] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"exp": exp}))).await,
            "lifetime"
        );
    }
    let patient = world_with(|options| options.longest = TimeDelta::hours(1)).await;
    patient.accepts(&patient.with(json!({"exp": NOW + 3600}))).await;
}

/// EXC-05.
#[tokio::test]
async fn a_second_factor_is_one_that_was_passed() {
    let world = world().await;
    for (fva, passed) in [
        (json!([0, 0]), true),
        (json!([500, 499]), true),
        (json!([0, -1]), false),
        (json!(null), false),
    ] {
        let session = world.accepts(&world.with(json!({"fva": fva}))).await;
        assert_eq!(session.second_factor, passed, "{fva}");
    }
    assert_eq!(
        world
            .refuses_claims(&world.with(json!({"fva": [true, true]})))
            .await,
        "claims"
    );
}

/// EXC-03.
#[tokio::test]
async fn a_pending_session_is_said_to_be_pending_and_only_if_all_else_is_right() {
    let world = world().await;
    let pending = world.key.token(&world.with(json!({"sts": "pending"})));
    assert_eq!(world.verify(&pending).await, Err(VerifyError::Pending));
    let foreign = world.with(json!({"sts": "pending", "azp": "https://evil.example"}));
    assert_eq!(world.refuses_claims(&foreign).await, "authorized_party");
    assert_eq!(
        world.refuses_claims(&world.with(json!({"sts": "revoked"}))).await,
        "state"
    );
    world.accepts(&world.without("sts")).await;
}

/// EXC-01, JWT-01: the algorithm is RS256, in capitals, whatever the header says.
#[tokio::test]
async fn algorithm_confusion_is_refused() {
    let world = world().await;
    for alg in [
        "none", "noNE", "None", "rs256", "RS384", "RS512", "PS256", "HS256", "ES256", "EdDSA", "",
    ] {
        let token = world.forge(&json!({"alg": alg, "typ": "JWT", "kid": "ins_1"}));
        assert_eq!(world.refuses(&token).await, "algorithm", "{alg}");
    }
    for header in [
        json!({"typ": "JWT", "kid": "ins_1"}),
        json!({"alg": null, "kid": "ins_1"}),
        json!({"alg": ["RS256"], "kid": "ins_1"}),
    ] {
        assert_eq!(world.refuses(&world.forge(&header)).await, "header", "{header}");
    }
}

#[tokio::test]
async fn the_public_key_is_no_secret_to_sign_with() {
    let world = world().await;
    world.accepts(&world.claims()).await;
    let pem = world.key.public_pem();
    let der = STANDARD
        .decode(
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>(),
        )
        .expect("base64");
    let jwk = world.key.jwk().to_string();
    for secret in [pem.as_bytes(), pem.trim().as_bytes(), &der, jwk.as_bytes(), b""] {
        for (alg, reason) in [("HS256", "algorithm"), ("RS256", "signature")] {
            let header = json!({"alg": alg, "typ": "JWT", "kid": "ins_1"}).to_string();
            let signed = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode(world.claims().to_string())
            );
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
            assert_eq!(world.refuses(&token).await, reason);
        }
    }
}

/// JWT-02, JWT-03.
#[tokio::test]
async fn headers_that_bring_keys_or_demands_are_refused() {
    let world = world().await;
    let evil = SigningKey::generate("ins_1");
    let attacker = Issuer::start(&[&evil]).await;
    let fetches = attacker.fetches();
    for extra in [
        json!({"jku": attacker.jwks_url()}),
        json!({"jwk": evil.jwk()}),
        json!({"x5u": attacker.url()}),
        json!({"x5c": ["MII"]}),
        json!({"crit": ["exp"]}),
        json!({"crit": null}),
    ] {
        let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": "ins_1"});
        header
            .as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("an object").clone());
        let (header, claims) = (header.to_string(), world.claims().to_string());
        for signer in [&world.key, &evil] {
            assert_eq!(
                world.refuses(&signer.sign(&header, &claims)).await,
                "header",
                "{header}"
            );
        }
    }
    assert_eq!(attacker.fetches(), fetches, "nobody went there");
}

#[tokio::test]
async fn key_ids_that_point_elsewhere_are_refused_before_any_look_up() {
    let world = world().await;
    for kid in [
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
        json!("https://evil.example/jwks"),
        json!("ins_1\u{0}"),
        json!("i".repeat(65)),
        json!(""),
        json!(7),
        json!(["ins_1"]),
    ] {
        let token = world.forge(&json!({"alg": "RS256", "typ": "JWT", "kid": kid}));
        assert_eq!(world.refuses(&token).await, "header", "{kid}");
    }
    assert_eq!(
        world
            .refuses(&world.forge(&json!({"alg": "RS256", "typ": "JWT"})))
            .await,
        "header"
    );
    assert_eq!(world.issuer.fetches(), 0);
    let token = world.forge(&json!({"alg": "RS256", "typ": "JWT", "kid": "ins_2"}));
    assert_eq!(world.refuses(&token).await, "unknown_key");
}

/// EXC-01.
#[tokio::test]
async fn a_key_of_another_instance_under_the_same_id_proves_nothing() {
    let (ours, theirs) = (world().await, world().await);
    let token = theirs.key.token(&ours.claims());
    assert_eq!(ours.refuses(&token).await, "signature");
    let token = theirs.key.token(&theirs.claims());
    assert_eq!(ours.refuses(&token).await, "signature");
    theirs.accepts(&theirs.claims()).await;
}

/// EXC-02.
#[tokio::test]
async fn the_issuer_is_exact() {
    let world = world().await;
    let url = world.issuer.url();
    for iss in [
        json!(format!("{url}/")),
        json!(url.to_uppercase()),
        json!(format!("{url}.evil.example")),
        json!("https://clerk.example.com"),
        json!(""),
    ] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"iss": iss}))).await,
            "issuer"
        );
    }
    for iss in [json!(null), json!([url]), json!(1)] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"iss": iss}))).await,
            "claims"
        );
    }
    assert_eq!(world.refuses_claims(&world.without("iss")).await, "claims");
}

/// EXC-02.
#[tokio::test]
async fn the_authorized_party_must_be_there_and_be_listed() {
    let world = world().await;
    world
        .accepts(&world.with(json!({"azp": "http://localhost:3000"})))
        .await;
    for azp in [
        json!(null),
        json!(""),
        json!("https://evil.example"),
        json!("https://app.example.com/"),
        json!("https://app.example.com.evil.example"),
        json!("http://app.example.com"),
        json!("*"),
    ] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"azp": azp}))).await,
            "authorized_party",
            "{azp}"
        );
    }
    assert_eq!(
        world.refuses_claims(&world.without("azp")).await,
        "authorized_party"
    );
    assert_eq!(
        world.refuses_claims(&world.with(json!({"azp": [PARTY]}))).await,
        "claims"
    );
    let closed = world_with(|options| options.authorized_parties.clear()).await;
    assert_eq!(closed.refuses_claims(&closed.claims()).await, "authorized_party");
}

#[tokio::test]
async fn an_audience_is_demanded_once_it_is_configured() {
    let open = world().await;
    open.accepts(&open.with(json!({"aud": "anything"}))).await;
    let world = world_with(|options| options.audience = Some("causeway".to_owned())).await;
    for aud in [json!("causeway"), json!(["other", "causeway"])] {
        world.accepts(&world.with(json!({"aud": aud}))).await;
    }
    for aud in [
        json!("Causeway"),
        json!(""),
        json!(["other"]),
        json!([]),
        json!(null),
    ] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"aud": aud}))).await,
            "audience",
            "{aud}"
        );
    }
    assert_eq!(world.refuses_claims(&world.claims()).await, "audience");
    assert_eq!(
        world
            .refuses_claims(&world.with(json!({"aud": {"causeway": 1}})))
            .await,
        "claims"
    );
}

/// JWT-09.
#[tokio::test]
async fn time_is_kept_to_five_seconds() {
    let world = world().await;
    let at_the_end = world.with(json!({"iat": NOW - 60, "exp": NOW - 4}));
    world.accepts(&at_the_end).await;
    for (changes, reason) in [
        (json!({"iat": NOW - 60, "exp": NOW - 5}), "expired"),
        (json!({"nbf": NOW + 6}), "not_yet"),
        (json!({"iat": NOW + 6}), "not_yet"),
        (json!({"iat": NOW + 60}), "lifetime"),
        (json!({"iat": -1}), "lifetime"),
        (json!({"nbf": -1}), "lifetime"),
        (json!({"exp": -1}), "lifetime"),
        (json!({"exp": 1e12}), "claims"),
        (json!({"exp": i64::MAX}), "lifetime"),
        (json!({"exp": u64::MAX}), "claims"),
        (json!({"exp": "1900000000"}), "claims"),
        (json!({"exp": null}), "claims"),
        (json!({"nbf": 1.5}), "claims"),
        (json!({"iat": true}), "claims"),
    ] {
        assert_eq!(
            world.refuses_claims(&world.with(changes.clone())).await,
            reason,
            "{changes}"
        );
    }
    world
        .accepts(&world.with(json!({"nbf": NOW + 5, "iat": NOW + 5})))
        .await;
    world.accepts(&world.without("nbf")).await;
    assert_eq!(world.refuses_claims(&world.without("exp")).await, "claims");
}

#[tokio::test]
async fn an_unknown_version_is_refused() {
    let world = world().await;
    for v in [json!(0), json!(3), json!(-1), json!(99)] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"v": v}))).await,
            "version",
            "{v}"
        );
    }
    for v in [json!("2"), json!(2.0), json!([2])] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"v": v}))).await,
            "claims",
            "{v}"
        );
    }
}

/// JWT-11.
#[tokio::test]
async fn repeated_members_are_refused() {
    let world = world().await;
    let header = r#"{"alg":"RS256","typ":"JWT","kid":"ins_1"}"#;
    let claims = world.claims().to_string();
    for twice in [
        format!(r#"{{"sub":"user_0",{}"#, &claims[1..]),
        format!(r#"{{"azp":"https://evil.example",{}"#, &claims[1..]),
        format!(r#"{{"x":{{"a":1,"a":2}},{}"#, &claims[1..]),
    ] {
        assert_eq!(world.refuses(&world.key.sign(header, &twice)).await, "claims");
    }
    let twice = r#"{"alg":"HS256","alg":"RS256","typ":"JWT","kid":"ins_1"}"#;
    assert_eq!(world.refuses(&world.key.sign(twice, &claims)).await, "header");
}

/// JWT-04.
#[tokio::test]
async fn another_form_is_refused_before_anything_is_fetched() {
    let world = world().await;
    let token = world.key.token(&world.claims());
    let (signed, signature) = token.rsplit_once('.').expect("dots");
    let json_form = json!({"payload": "e30", "signatures": [{"protected": "e30", "signature": "e30"}]});
    for bad in [
        String::new(),
        signed.to_owned(),
        format!("{token}."),
        format!("{token}.e30"),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("Bearer {token}"),
        token.replace('.', "+"),
        json_form.to_string(),
        "a".repeat(9000),
    ] {
        assert_eq!(
            world.refuses(&bad).await,
            "shape",
            "{}",
            &bad[..bad.len().min(40)]
        );
    }
    assert_eq!(world.refuses("..").await, "header");
    let oversized = world.key.token(&world.with(json!({"padding": "x".repeat(8192)})));
    assert_eq!(world.refuses(&oversized).await, "shape");
    assert_eq!(world.issuer.fetches(), 0);
    // 2048 bits end in two characters of which the last has four bits to spare.
    let stray = format!("{signed}.{}", with_stray_bits(signature));
    assert_eq!(world.refuses(&stray).await, "shape");
}

fn with_stray_bits(base64: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = base64.split_at(base64.len() - 1);
    let index = ALPHABET.find(last).expect("base64");
    format!("{rest}{}", &ALPHABET[index + 1..index + 2])
}

#[tokio::test]
async fn a_signature_over_something_else_is_refused() {
    let world = world().await;
    let token = world.key.token(&world.claims());
    let (signed, signature) = token.rsplit_once('.').expect("dots");
    let (header, _) = signed.split_once('.').expect("dots");
    let other = URL_SAFE_NO_PAD.encode(world.with(json!({"sub": "user_2"})).to_string());
    for forged in [
        format!("{header}.{other}.{signature}"),
        format!("{signed}."),
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 256])),
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode([1; 256])),
    ] {
        assert_eq!(world.refuses(&forged).await, "signature");
    }
}

/// JWT-06.
#[tokio::test]
async fn a_token_of_another_kind_is_refused() {
    let world = world().await;
    for typ in [
        "at+jwt",
        "svc+jwt",
        "mfa+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "",
    ] {
        let token = world.forge(&json!({"alg": "RS256", "typ": typ, "kid": "ins_1"}));
        assert_eq!(world.refuses(&token).await, "kind", "{typ}");
    }
    let plain = world.forge(&json!({"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": "ins_1"}));
    assert!(world.verify(&plain).await.is_ok());
}

#[tokio::test]
async fn a_person_has_an_id_of_a_sane_length() {
    let world = world().await;
    for sub in [json!(""), json!("u".repeat(256)), json!(null), json!(7)] {
        assert_eq!(
            world.refuses_claims(&world.with(json!({"sub": sub}))).await,
            "claims"
        );
    }
}

/// EXC-08.
#[tokio::test]
async fn without_keys_nobody_is_called_a_liar() {
    let world = world().await;
    world.issuer.answer(StatusCode::SERVICE_UNAVAILABLE, "");
    let answer = world.verify(&world.key.token(&world.claims())).await;
    assert!(
        matches!(answer, Err(VerifyError::KeysAway { retry_after }) if retry_after.as_secs() >= 9),
        "{answer:?}"
    );
    assert_eq!(
        world.refuses("no token").await,
        "shape",
        "what is wrong without any key is wrong"
    );
}
