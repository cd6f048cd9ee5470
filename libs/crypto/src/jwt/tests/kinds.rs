//! Every kind of token at the door of every other kind (JWT-06), and the numbers that claims are written with (JWT-09).

use serde_json::{Value, json};

use super::super::compact::{Signer, decode};
use super::super::key::SigningKey;
use super::super::{
    AccessTokenKeys, MfaClaims, MfaTokenKey, ServiceClaims, ServiceTokenKeys, SignInClaims, SignInKey,
    TokenError,
};
use super::{HEADER, NOW, SECRET, access_claims, access_key, at, claims_json, forge, refused};

const METHOD: &str = "/causeway.audit.v1.AuditService/GetRoot";

/// Whoever reads a kind of token, all with keys of one secret: nothing but the kind tells them apart.
struct Readers {
    access: AccessTokenKeys,
    service: ServiceTokenKeys,
    mfa: MfaTokenKey,
    sign_in: SignInKey,
}

impl Readers {
    fn new() -> Self {
        Self {
            access: AccessTokenKeys::new(&SECRET.into(), None, None),
            service: ServiceTokenKeys::new(&SECRET.into(), None),
            mfa: MfaTokenKey::new(&SECRET.into()),
            sign_in: SignInKey::new(&SECRET.into()),
        }
    }

    /// A good token of each kind.
    fn tokens(&self) -> [(&'static str, String); 4] {
        let service = ServiceClaims {
            iss: "gateway".to_owned(),
            aud: "audit".to_owned(),
            method: METHOD.to_owned(),
            jti: "j".to_owned(),
            iat: NOW,
            exp: NOW + 60,
            request_id: "r".to_owned(),
            caller: Value::Null,
        };
        let mfa = json!({
            "aud": "auth", "sub": "person", "exp": NOW + 300, "nbf": NOW, "iat": NOW, "jti": "j",
            "workspace_id": "w", "method": "password", "proof": "p",
        });
        let mfa: MfaClaims = serde_json::from_value(mfa).expect("claims");
        let sign_in = json!({
            "aud": "auth", "exp": NOW + 600, "iat": NOW, "jti": "j", "provider": "google", "return_to": null,
            "workspace_id": "",
        });
        let sign_in: SignInClaims = serde_json::from_value(sign_in).expect("claims");
        [
            ("at+jwt", self.access.sign(&access_claims()).expect("signed")),
            ("svc+jwt", self.service.sign(&service).expect("signed")),
            ("mfa+jwt", self.mfa.sign(&mfa).expect("signed")),
            ("sign-in+jwt", self.sign_in.sign(&sign_in).expect("signed")),
        ]
    }

    /// What the reader of that kind says to a token.
    fn read(&self, kind: &str, token: &str) -> Result<(), TokenError> {
        let now = at(NOW);
        match kind {
            "at+jwt" => self.access.verify(token, now).map(|_| ()),
            "svc+jwt" => self.service.verify(token, "audit", METHOD, now).map(|_| ()),
            "mfa+jwt" => self.mfa.verify(token, now).map(|_| ()),
            _ => self.sign_in.verify(token, now).map(|_| ()),
        }
    }
}

/// JWT-06.
#[test]
fn no_reader_takes_a_token_of_another_kind() {
    let readers = Readers::new();
    for (reader, _) in readers.tokens() {
        for (kind, token) in readers.tokens() {
            assert_eq!(
                readers.read(reader, &token).is_ok(),
                reader == kind,
                "{kind} at {reader}"
            );
        }
    }
}

/// JWT-06: were the keys the same, the kind alone would do.
#[test]
fn under_one_key_the_kind_alone_tells_tokens_apart() {
    for (kind, token) in Readers::new().tokens() {
        let claims = token.split('.').nth(1).expect("claims");
        let claims: Value = serde_json::from_slice(&decode(claims).expect("base64url")).expect("JSON");
        for typ in [kind, &format!("application/{kind}")] {
            let (signer, _) = Signer::new(SigningKey::from_secret(SECRET.as_bytes()), typ).expect("a secret");
            let reason = access_key().verify(&signer.sign(&claims).expect("signed"), at(NOW));
            let reason = reason.map(|_| "accepted").unwrap_or_else(TokenError::reason);
            // The claims lack issuer and audience, so an access token comes one step further.
            let expected = if kind == "at+jwt" { "issuer" } else { "kind" };
            assert_eq!(reason, expected, "{typ}");
        }
    }
}

/// JWT-09: times are whole numbers above zero in their one spelling. What a parser would round or wrap is refused.
#[test]
fn numbers_in_another_form_are_refused() {
    let whole = claims_json().to_string();
    assert!(access_key().verify(&forge(HEADER, &whole), at(NOW)).is_ok());
    for member in ["exp", "nbf", "iat"] {
        let value = claims_json()[member].as_i64().expect("a time");
        for other in [
            format!("{value}.0"),
            format!("{}e0", value),
            "1.8e9".to_owned(),
            "1e9".to_owned(),
            format!("0{value}"),
            format!("+{value}"),
            format!("-{value}"),
            "-1".to_owned(),
            "-0".to_owned(),
            "0x6b49d23c".to_owned(),
            "18446744073709551615".to_owned(),
            "18446744073709551616".to_owned(),
            "9223372036854775808".to_owned(),
            "1e400".to_owned(),
            "NaN".to_owned(),
            "Infinity".to_owned(),
            format!("\"{value}\""),
            "true".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
        ] {
            let forged = whole.replace(&format!("\"{member}\":{value}"), &format!("\"{member}\":{other}"));
            assert_ne!(forged, whole);
            let reason = refused(&forge(HEADER, &forged));
            assert!(
                ["claims", "lifetime", "not_yet"].contains(&reason),
                "{member} {other}: {reason}"
            );
        }
    }
}

/// JWT-07: each claim with every wrong type.
#[test]
fn claims_of_another_type_are_refused() {
    for member in [
        "iss",
        "aud",
        "sub",
        "jti",
        "sid",
        "workspace_id",
        "scope",
        "roles",
        "mfa",
        "client_id",
        "act",
    ] {
        for value in [
            json!(7),
            json!(1.5),
            json!({"a": 1}),
            json!([7]),
            json!([["owner"]]),
        ] {
            let mut claims = claims_json();
            claims[member] = value.clone();
            assert_eq!(
                refused(&forge(HEADER, &claims.to_string())),
                "claims",
                "{member}: {value}"
            );
        }
    }
}
