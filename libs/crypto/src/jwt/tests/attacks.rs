//! One table of forgeries for every kind of ring. Each starts from a token that is accepted; what a forger cannot know,
//! a private key, it does not use unless the row says so.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::compact::Accepted;
use super::super::key::SigningKey;
use super::super::{AccessTokenKeys, PublicKey, SigningAlgorithm, TokenError};
use super::ring::{fresh, pem, ring};
use super::{NOW, SECRET, access_claims, at, claims_json};

/// A ring, and the key it signs with, in the hands of somebody who signs anything.
struct Forger {
    ring: AccessTokenKeys,
    key: SigningKey,
}

impl Forger {
    fn new(algorithm: SigningAlgorithm) -> Self {
        if algorithm == SigningAlgorithm::Hs256 {
            return Self {
                ring: AccessTokenKeys::new(&SECRET.into(), Some("us".to_owned()), Some("api".to_owned())),
                key: SigningKey::from_secret(SECRET.as_bytes()),
            };
        }
        let pem = fresh(algorithm);
        Self {
            ring: ring(&pem),
            key: SigningKey::from_pkcs8_pem(&pem).expect("a key"),
        }
    }

    fn public(&self) -> Option<PublicKey> {
        self.ring.public_keys().next().cloned()
    }

    /// The header of our own tokens.
    fn header(&self) -> Map<String, Value> {
        let token = self.ring.sign(&access_claims()).expect("signed");
        let (header, _) = token.split_once('.').expect("dots");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("an object")
    }

    fn header_with(&self, member: &str, value: Value) -> String {
        let mut header = self.header();
        header.insert(member.to_owned(), value);
        Value::from(header).to_string()
    }

    /// Signed with the right key.
    fn sign(&self, header: &str, claims: &str) -> String {
        signed_by(&self.key, header, claims)
    }

    fn refused(&self, token: &str) -> &'static str {
        let error = self.ring.verify(token, at(NOW)).expect_err("must be refused");
        assert_eq!(error.to_string(), "invalid token", "one text for every cause");
        error.reason()
    }
}

fn signed_by(key: &SigningKey, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = key.sign(signed.as_bytes()).expect("signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

const EVERY: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Hs256,
    SigningAlgorithm::EdDsa,
    SigningAlgorithm::Es256,
];

fn with(member: &str, value: Value) -> String {
    let mut claims = claims_json();
    claims[member] = value;
    claims.to_string()
}

fn without(member: &str) -> String {
    let mut claims = claims_json();
    claims.as_object_mut().expect("an object").remove(member);
    claims.to_string()
}

#[test]
fn the_forger_can_make_a_token_that_is_accepted() {
    for forger in EVERY.map(Forger::new) {
        let token = forger.sign(
            &Value::from(forger.header()).to_string(),
            &claims_json().to_string(),
        );
        assert!(forger.ring.verify(&token, at(NOW)).is_ok());
        // The same header in another order, with blanks, and with the whole media type.
        let mut members: Vec<String> = forger
            .header()
            .iter()
            .map(|(name, value)| format!(" \"{name}\" : {value} "))
            .collect();
        members.reverse();
        let token = forger.sign(&format!("{{{}}}", members.join(",")), &claims_json().to_string());
        assert!(forger.ring.verify(&token, at(NOW)).is_ok());
        let media_type = forger.header_with("typ", json!("application/at+jwt"));
        let token = forger.sign(&media_type, &claims_json().to_string());
        assert!(forger.ring.verify(&token, at(NOW)).is_ok());
    }
}

/// JWT-01, JWT-02, JWT-03, JWT-06, JWT-11.
#[test]
fn forged_headers_are_refused() {
    let table: Vec<(&str, Value, &str)> = [
        "none", "noNE", "None", "NONE", "hs256", "eddsa", "es256", "HS384", "HS512", "RS256", "PS256",
        "ES384", "ES512", "ES256K", "Ed25519", "", " ",
    ]
    .into_iter()
    .map(|alg| ("alg", json!(alg), "algorithm"))
    .chain([
        ("alg", json!(null), "header"),
        ("alg", json!(["HS256", "EdDSA", "ES256"]), "header"),
        ("alg", json!({"HS256": true}), "header"),
        ("crit", json!(["exp"]), "header"),
        ("crit", json!([]), "header"),
        ("crit", json!(null), "header"),
        ("jku", json!("https://evil.example/jwks"), "header"),
        ("jwk", json!({"kty": "oct", "k": "AAAA"}), "header"),
        ("x5u", json!("https://evil.example/cert"), "header"),
        ("x5c", json!(["MIIB"]), "header"),
        ("kid", json!("../../../../dev/null"), "header"),
        ("kid", json!("x' OR '1'='1"), "header"),
        ("kid", json!("x; cat /etc/passwd"), "header"),
        ("kid", json!("k\u{0}"), "header"),
        ("kid", json!("\u{212a}ey"), "header"),
        ("kid", json!(""), "header"),
        ("kid", json!("k".repeat(65)), "header"),
        ("kid", json!("k".repeat(4000)), "header"),
        ("kid", json!(["k"]), "header"),
        ("kid", json!("k".repeat(64)), "key"),
        ("kid", json!("somebody-elses"), "key"),
        ("typ", json!("JWT"), "kind"),
        ("typ", json!("svc+jwt"), "kind"),
        ("typ", json!("mfa+jwt"), "kind"),
        ("typ", json!("AT+JWT"), "kind"),
        ("typ", json!("at+jwt "), "kind"),
        ("typ", json!("application/application/at+jwt"), "kind"),
        ("typ", json!("application/svc+jwt"), "kind"),
        ("typ", json!(null), "kind"),
        ("typ", json!(["at+jwt"]), "header"),
    ])
    .collect();
    for forger in EVERY.map(Forger::new) {
        for (member, value, reason) in &table {
            let token = forger.sign(
                &forger.header_with(member, value.clone()),
                &claims_json().to_string(),
            );
            assert_eq!(forger.refused(&token), *reason, "{member}: {value}");
        }
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "{",
            "\"HS256\"",
            "{\"alg\":\"HS256\"}{}",
            "\u{0}",
        ] {
            let token = forger.sign(text, &claims_json().to_string());
            assert!(
                ["header", "algorithm", "key"].contains(&forger.refused(&token)),
                "{text}"
            );
        }
        for twice in ["alg", "typ", "kid", "x"] {
            let header = forger.header_with(twice, json!("x"));
            let header = format!("{{\"{twice}\":\"x\",{}", &header[1..]);
            assert_eq!(
                forger.refused(&forger.sign(&header, &claims_json().to_string())),
                "header",
                "{header}"
            );
        }
    }
}

/// JWT-07, JWT-08, JWT-09, JWT-11.
#[test]
fn forged_claims_are_refused() {
    let mut table = vec![
        (with("exp", json!(NOW - 5)), "lifetime"),
        (with("exp", json!(NOW)), "lifetime"),
        (with("exp", json!(NOW + 901)), "lifetime"),
        (with("exp", json!(i64::MAX)), "lifetime"),
        (with("exp", json!("1800000900")), "claims"),
        (with("exp", json!(1_800_000_900.0)), "claims"),
        (with("exp", json!(u64::MAX)), "claims"),
        (with("iat", json!(NOW + 6)), "not_yet"),
        (with("iat", json!(NOW - 1)), "lifetime"),
        (with("iat", json!(-1)), "lifetime"),
        (with("nbf", json!(NOW + 6)), "not_yet"),
        (with("nbf", json!(null)), "claims"),
        (with("iss", json!("them")), "issuer"),
        (with("iss", json!("us ")), "issuer"),
        (with("iss", json!("US")), "issuer"),
        (with("iss", json!(["us"])), "claims"),
        (without("iss"), "issuer"),
        (with("aud", json!("another")), "audience"),
        (with("aud", json!("api2")), "audience"),
        (with("aud", json!(["api"])), "claims"),
        (without("aud"), "audience"),
        (with("sub", json!("")), "claims"),
        (with("jti", json!("")), "claims"),
        (with("sid", json!("")), "claims"),
        (with("roles", json!("owner")), "claims"),
        (with("mfa", json!("true")), "claims"),
        (with("act", json!({"iss": "x"})), "claims"),
        (
            claims_json().to_string().replacen('{', "{\"sub\":\"root\",", 1),
            "claims",
        ),
        (
            claims_json()
                .to_string()
                .replacen('{', "{\"\\u0073ub\":\"root\",", 1),
            "claims",
        ),
        (
            claims_json()
                .to_string()
                .replacen('{', "{\"x\":{\"y\":[{\"z\":1,\"z\":2}]},", 1),
            "claims",
        ),
        (
            with("act", json!({"sub": "x"})).replace("{\"sub\":\"x\"}", "{\"sub\":\"x\",\"sub\":\"y\"}"),
            "claims",
        ),
        (format!("{}x", claims_json()), "claims"),
        (format!("{}{}", claims_json(), claims_json()), "claims"),
    ];
    let both = json!({"exp": NOW - 5, "iat": NOW - 900, "nbf": NOW - 900});
    let mut expired = claims_json();
    expired
        .as_object_mut()
        .expect("an object")
        .extend(both.as_object().expect("an object").clone());
    table.push((expired.to_string(), "expired"));
    for forger in EVERY.map(Forger::new) {
        let header = Value::from(forger.header()).to_string();
        for (claims, reason) in &table {
            assert_eq!(forger.refused(&forger.sign(&header, claims)), *reason, "{claims}");
        }
    }
}

/// JWT-01: a public key, in whatever form, signs nothing.
#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256] {
        let forger = Forger::new(algorithm);
        let public = forger.public().expect("a public key");
        let jwk = serde_json::to_string(&public.jwk()).expect("JSON");
        let x = serde_json::to_value(public.jwk()).expect("JSON")["x"]
            .as_str()
            .map(str::to_owned);
        let raw = URL_SAFE_NO_PAD
            .decode(x.as_deref().unwrap_or_default())
            .expect("base64url");
        let text = pem("PUBLIC KEY", &raw);
        for secret in [
            &raw[..],
            text.as_bytes(),
            text.trim().as_bytes(),
            jwk.as_bytes(),
            public.kid().as_bytes(),
            b"",
        ] {
            let key = SigningKey::from_secret(secret);
            let claims = claims_json().to_string();
            let named = forger.header_with("alg", json!("HS256"));
            assert_eq!(forger.refused(&signed_by(&key, &named, &claims)), "algorithm");
            let nameless = r#"{"alg":"HS256","typ":"at+jwt"}"#;
            assert_eq!(forger.refused(&signed_by(&key, nameless, &claims)), "key");
            let unchanged = Value::from(forger.header()).to_string();
            assert_eq!(forger.refused(&signed_by(&key, &unchanged, &claims)), "signature");
        }
    }
}

/// JWT-01, EXC-01.
#[test]
fn another_instance_with_a_key_of_the_same_name_is_not_believed() {
    for algorithm in EVERY {
        let (ours, mut theirs) = (Forger::new(algorithm), Forger::new(algorithm));
        if algorithm == SigningAlgorithm::Hs256 {
            theirs.key = SigningKey::from_secret(b"the secret of another instance, long enough");
        }
        // Their token says our key's name.
        let header = Value::from(ours.header()).to_string();
        assert_eq!(
            ours.refused(&theirs.sign(&header, &claims_json().to_string())),
            "signature"
        );
        // Their algorithm under our key's name.
        for other in EVERY.into_iter().filter(|other| *other != algorithm) {
            let header = ours.header_with("alg", json!(other.name()));
            let token = Forger::new(other).sign(&header, &claims_json().to_string());
            assert_eq!(ours.refused(&token), "algorithm");
        }
    }
}

/// JWT-05.
#[test]
fn a_signature_proves_one_token_only() {
    for forger in EVERY.map(Forger::new) {
        let [one, two] = ["person", "root"].map(|sub| {
            forger.sign(
                &Value::from(forger.header()).to_string(),
                &with("sub", json!(sub)),
            )
        });
        let (one, two) = (
            one.rsplit_once('.').expect("dots"),
            two.rsplit_once('.').expect("dots"),
        );
        assert_eq!(forger.refused(&format!("{}.{}", one.0, two.1)), "signature");
        assert_eq!(forger.refused(&format!("{}.", one.0)), "signature");
        assert_eq!(
            forger.refused(&format!("{}.{}", one.0, "A".repeat(one.1.len()))),
            "signature"
        );
        for cut in 1..one.1.len() {
            assert!(["signature", "shape"].contains(&forger.refused(&format!(
                "{}.{}",
                one.0,
                &one.1[cut..]
            ))));
        }
        assert_eq!(
            forger.refused(&format!("{}.{}AAAA", one.0, one.1)),
            if one.1.len() > 43 { "shape" } else { "signature" }
        );
    }
}

/// JWT-04.
#[test]
fn every_other_spelling_is_refused() {
    for forger in EVERY.map(Forger::new) {
        let token = forger.ring.sign(&access_claims()).expect("signed");
        let [header, claims, signature] = token
            .split('.')
            .collect::<Vec<_>>()
            .try_into()
            .expect("three parts");
        let json = json!({"protected": header, "payload": claims, "signature": signature}).to_string();
        let large = forger.sign(
            &Value::from(forger.header()).to_string(),
            &with("x", json!("x".repeat(8192))),
        );
        for other in [
            format!("{token}="),
            format!("{header}=.{claims}.{signature}"),
            format!("{header}.{claims}=.{signature}"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{header}.{claims}.{signature}.{signature}"),
            format!("{header}.{claims}.x.{signature}"),
            format!("{header}..{claims}.{signature}"),
            format!("{header}.{claims}"),
            format!("{}.{claims}.{signature}", header.replacen('e', "%65", 1)),
            format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+") + "+"),
            json,
            large,
            "\u{feff}".to_owned() + &token,
            format!("Bearer {token}"),
        ] {
            assert_eq!(forger.refused(&other), "shape", "{other}");
        }
    }
}

/// JWT-01, JWT-12.
#[test]
fn no_algorithm_can_be_smuggled_past_a_ring_of_several_keys() {
    let forgers = EVERY.map(Forger::new);
    let [_, eddsa, es256] = &forgers;
    let all = AccessTokenKeys::new(&SECRET.into(), Some("us".to_owned()), Some("api".to_owned()))
        .accepting([eddsa, es256].into_iter().filter_map(Forger::public))
        .expect("distinct keys");
    for (position, signer) in forgers.iter().enumerate() {
        for (other, named) in forgers.iter().enumerate() {
            // Signed by one, with the header of another.
            let header = Value::from(named.header()).to_string();
            let verdict = all.verify(&signer.sign(&header, &claims_json().to_string()), at(NOW));
            let reason = verdict.map(|_| "accepted").map_err(TokenError::reason);
            let expected = if position == other {
                Ok("accepted")
            } else {
                Err("signature")
            };
            assert_eq!(reason, expected, "{position} as {other}");
        }
    }
}

#[test]
fn a_ring_shows_names_and_no_keys() {
    for forger in EVERY.map(Forger::new) {
        let shown = format!("{:?}", forger.ring);
        assert!(!shown.contains(SECRET) && !shown.contains("secret"), "{shown}");
        let one = Accepted::new(forger.key.verifying(None).expect("verifies"), "at+jwt");
        assert!(shown.contains(&format!("{:?}", one.key())), "{shown}");
    }
}
