//! Attacks on both kinds. A forger here holds the right key unless a test says otherwise, so that each check is
//! reached.

mod attacks;
mod kinds;
mod parser;
mod private;
mod rfc;
mod ring;
mod service;
mod wycheproof;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::{AccessClaims, AccessTokenKey, fits_jwt};

const SECRET: &str = "an access secret of enough bytes for anybody";
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("in the calendar")
}

fn access_key() -> AccessTokenKey {
    AccessTokenKey::new(&SECRET.into(), Some("us".to_owned()), Some("api".to_owned()))
}

fn access_claims() -> AccessClaims {
    AccessClaims {
        iss: None,
        aud: None,
        sub: "person".to_owned(),
        exp: NOW + 900,
        nbf: NOW,
        iat: NOW,
        jti: "j".to_owned(),
        sid: "s".to_owned(),
        workspace_id: "w".to_owned(),
        roles: vec!["owner".to_owned()],
        perm: None,
        scope: String::new(),
        mfa: false,
        mfa_required: false,
        mfa_enrolled: false,
        act: None,
        client_id: None,
    }
}

/// A token with the right MAC over any header and claims.
fn forge(header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a MAC");
    format!("{signed}.{signature}")
}

fn claims_json() -> Value {
    let claims = AccessClaims {
        iss: Some("us".to_owned()),
        aud: Some("api".to_owned()),
        ..access_claims()
    };
    serde_json::to_value(claims).expect("JSON")
}

const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

fn refused(token: &str) -> &'static str {
    let error = access_key().verify(token, at(NOW)).expect_err("must be refused");
    assert_eq!(error.to_string(), "invalid token", "one text for every cause");
    error.reason()
}

#[test]
fn a_signed_token_is_accepted_with_the_keys_issuer_and_audience() {
    let token = access_key().sign(&access_claims()).expect("signed");
    assert!(fits_jwt(&token));
    let claims = access_key().verify(&token, at(NOW)).expect("genuine");
    assert_eq!(claims.iss.as_deref(), Some("us"));
    assert_eq!(claims.sub, "person");
    assert!(
        access_key()
            .verify(&forge(HEADER, &claims_json().to_string()), at(NOW))
            .is_ok()
    );
}

#[test]
fn any_algorithm_but_hs256_in_capitals_is_refused() {
    for alg in [
        "none", "noNE", "None", "hs256", "HS384", "HS512", "RS256", "ES256", "EdDSA", "",
    ] {
        let header = json!({"alg": alg, "typ": "at+jwt"}).to_string();
        assert_eq!(
            refused(&forge(&header, &claims_json().to_string())),
            "algorithm",
            "{alg}"
        );
    }
    assert_eq!(
        refused(&forge(r#"{"typ":"at+jwt"}"#, &claims_json().to_string())),
        "header"
    );
    assert_eq!(
        refused(&forge(
            r#"{"alg":["HS256"],"typ":"at+jwt"}"#,
            &claims_json().to_string()
        )),
        "header"
    );
}

#[test]
fn an_unsigned_token_is_refused() {
    let token = forge(r#"{"alg":"none","typ":"at+jwt"}"#, &claims_json().to_string());
    let unsigned = &token[..=token.rfind('.').expect("dots")];
    assert_eq!(refused(unsigned), "algorithm");
    let token = forge(HEADER, &claims_json().to_string());
    assert_eq!(refused(&token[..=token.rfind('.').expect("dots")]), "signature");
}

#[test]
fn any_other_kind_is_refused() {
    for typ in [
        json!("JWT"),
        json!("svc+jwt"),
        json!("mfa+jwt"),
        json!("AT+JWT"),
        json!(null),
    ] {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        assert_eq!(
            refused(&forge(&header, &claims_json().to_string())),
            "kind",
            "{typ}"
        );
    }
    assert_eq!(
        refused(&forge(r#"{"alg":"HS256"}"#, &claims_json().to_string())),
        "kind"
    );
}

#[test]
fn headers_that_bring_keys_or_demands_are_refused() {
    for member in ["crit", "jku", "jwk", "x5u", "x5c"] {
        for value in [
            json!(["exp"]),
            json!("https://evil.example/jwks"),
            json!({}),
            json!(null),
        ] {
            let header = json!({"alg": "HS256", "typ": "at+jwt", member: value}).to_string();
            assert_eq!(
                refused(&forge(&header, &claims_json().to_string())),
                "header",
                "{header}"
            );
        }
    }
    for kid in ["../../etc/passwd", "", &"k".repeat(65)] {
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}).to_string();
        assert_eq!(
            refused(&forge(&header, &claims_json().to_string())),
            "header",
            "{kid}"
        );
    }
}

#[test]
fn repeated_members_are_refused_at_any_depth() {
    let header = r#"{"alg":"HS256","typ":"at+jwt","alg":"HS256"}"#;
    assert_eq!(refused(&forge(header, &claims_json().to_string())), "header");
    let claims = claims_json().to_string();
    for extra in [
        r#""sub":"person""#,
        r#""x":1,"x":1"#,
        r#""x":{"a":1,"a":1}"#,
        r#""x":[{"a":1,"\u0061":1}]"#,
    ] {
        let twice = format!("{},{extra}}}", &claims[..claims.len() - 1]);
        assert_eq!(refused(&forge(HEADER, &twice)), "claims", "{extra}");
    }
}

#[test]
fn every_claim_is_demanded_with_its_type() {
    for member in [
        "sub",
        "exp",
        "nbf",
        "iat",
        "jti",
        "sid",
        "workspace_id",
        "roles",
        "scope",
        "mfa",
    ] {
        let mut claims = claims_json();
        claims.as_object_mut().expect("an object").remove(member);
        assert_eq!(
            refused(&forge(HEADER, &claims.to_string())),
            "claims",
            "without {member}"
        );
        claims[member] = json!({});
        assert_eq!(
            refused(&forge(HEADER, &claims.to_string())),
            "claims",
            "{member} of another type"
        );
    }
    for exp in [
        "1800000900.0",
        "18e8",
        "-1e0",
        "\"1800000900\"",
        "18446744073709551616",
    ] {
        let claims = claims_json().to_string().replace("1800000900", exp);
        assert_eq!(refused(&forge(HEADER, &claims)), "claims", "{exp}");
    }
    for text in ["[]", "null", "", "{", "{}x"] {
        assert_eq!(refused(&forge(HEADER, text)), "claims", "{text}");
    }
}

#[test]
fn issuer_and_audience_are_demanded_once_configured() {
    for (member, reason) in [("iss", "issuer"), ("aud", "audience")] {
        let mut claims = claims_json();
        claims[member] = json!("them");
        assert_eq!(refused(&forge(HEADER, &claims.to_string())), reason);
        claims.as_object_mut().expect("an object").remove(member);
        assert_eq!(refused(&forge(HEADER, &claims.to_string())), reason);
        claims[member] = json!(["us", "api"]);
        assert_eq!(refused(&forge(HEADER, &claims.to_string())), "claims");
    }
    let open = AccessTokenKey::new(&SECRET.into(), None, None);
    assert!(
        open.verify(&forge(HEADER, &claims_json().to_string()), at(NOW))
            .is_ok()
    );
}

#[test]
fn time_has_five_seconds_of_play_and_no_more() {
    let token = access_key().sign(&access_claims()).expect("signed");
    let verify = |seconds| {
        access_key()
            .verify(&token, at(seconds))
            .map_err(super::TokenError::reason)
            .err()
    };
    assert_eq!(verify(NOW - 6), Some("not_yet"));
    assert_eq!(verify(NOW - 5), None);
    assert_eq!(verify(NOW + 904), None);
    assert_eq!(verify(NOW + 905), Some("expired"));
}

#[test]
fn not_before_is_obeyed() {
    let late = AccessClaims {
        nbf: NOW + 6,
        ..access_claims()
    };
    assert_eq!(refused(&access_key().sign(&late).expect("signed")), "not_yet");
}

#[test]
fn a_token_that_lives_too_long_is_neither_signed_nor_accepted() {
    for (iat, exp) in [
        (NOW, NOW + 901),
        (NOW, NOW),
        (NOW, NOW - 1),
        (-1, 800),
        (0, i64::MAX),
        (i64::MIN, i64::MAX),
    ] {
        let claims = AccessClaims {
            iat,
            exp,
            ..access_claims()
        };
        assert_eq!(
            access_key().sign(&claims).map_err(super::TokenError::reason),
            Err("lifetime")
        );
        let mut json = claims_json();
        (json["iat"], json["exp"]) = (json!(iat), json!(exp));
        assert_eq!(
            refused(&forge(HEADER, &json.to_string())),
            "lifetime",
            "{iat} {exp}"
        );
    }
    let longer = access_key().with_max_lifetime(TimeDelta::minutes(60));
    let claims = AccessClaims {
        exp: NOW + 3600,
        ..access_claims()
    };
    assert!(
        longer
            .verify(&longer.sign(&claims).expect("signed"), at(NOW))
            .is_ok()
    );
}

#[test]
fn each_changed_byte_is_noticed() {
    let token = access_key().sign(&access_claims()).expect("signed");
    for at_byte in 0..token.len() {
        for other in ['A', 'Q', '_', '.', '=', '+', ' ', '\u{e4}'] {
            let mut changed: Vec<char> = token.chars().collect();
            if std::mem::replace(&mut changed[at_byte], other) != other {
                let changed: String = changed.into_iter().collect();
                assert!(access_key().verify(&changed, at(NOW)).is_err(), "byte {at_byte}");
            }
        }
    }
}

#[test]
fn other_spellings_of_a_token_are_refused() {
    let token = access_key().sign(&access_claims()).expect("signed");
    let (signed, signature) = token.rsplit_once('.').expect("dots");
    let padded = format!("{signed}.{signature}=");
    let spaced = format!("{token} ");
    let four_parts = format!("{token}.x");
    for other in [
        padded.as_str(),
        &spaced,
        &four_parts,
        signed,
        "",
        ".",
        "..",
        "...",
        "a.b",
    ] {
        assert_eq!(
            refused(other),
            if other == ".." { "header" } else { "shape" },
            "{other}"
        );
    }
    // 32 bytes end in a digit of four used and two unused bits: three more spellings of the same bytes.
    let last = signature.chars().last().expect("a digit");
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = digits.find(last).expect("base64");
    for unused in 1..4 {
        let digit = &digits[index + unused..=index + unused];
        assert_eq!(
            refused(&format!("{signed}.{}{digit}", &signature[..signature.len() - 1])),
            "shape"
        );
    }
    let large = forge(HEADER, &format!("{{\"x\":\"{}\"}}", "x".repeat(8 * 1024)));
    assert_eq!(refused(&large), "shape");
    assert!(!fits_jwt(&large));
    let json_form = r#"{"payload":"e30","protected":"e30","signature":"x"}"#;
    assert_eq!(refused(json_form), "shape");
}

#[test]
fn another_key_is_refused() {
    let other = AccessTokenKey::new(&"another".into(), Some("us".to_owned()), Some("api".to_owned()));
    assert_eq!(
        refused(&other.sign(&access_claims()).expect("signed")),
        "signature"
    );
}

#[test]
fn keys_do_not_show_themselves() {
    let shown = format!("{:?} {:?}", access_key(), service::service_keys("the-root"));
    assert!(!shown.contains("secret") && !shown.contains("root"), "{shown}");
}
