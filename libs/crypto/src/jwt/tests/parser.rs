//! Any text at all: a typed error or claims, never a panic; and the short way through the parser agrees with the long.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::claims::{AccessClaims, own_spelling};
use super::super::compact::read_claims;
use super::super::key::SigningKey;
use super::super::{AccessTokenKeys, ForeignToken, PublicKey, SigningAlgorithm, TokenError, fits_jwt};
use super::ring::{ED25519, ring};
use super::{HEADER, NOW, access_claims, access_key, at, claims_json, forge};

fn long_way(json: &str) -> Option<AccessClaims> {
    read_claims(json.as_bytes()).ok()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

const MEMBERS: [&str; 16] = [
    "iss",
    "aud",
    "sub",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "workspace_id",
    "roles",
    "perm",
    "scope",
    "mfa",
    "act",
    "x",
    "s\\u0075b",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text_is_refused(text in "\\PC{0,300}") {
        prop_assert!(access_key().verify(&text, at(NOW)).is_err());
        prop_assert!(ring(&ED25519.into()).verify(&text, at(NOW)).is_err());
    }

    #[test]
    fn any_three_parts_are_refused(
        header in proptest::collection::vec(any::<u8>(), 0..80),
        claims in proptest::collection::vec(any::<u8>(), 0..200),
        signature in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let parts = [header, claims, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        let token = parts.join(".");
        prop_assert!(fits_jwt(&token));
        prop_assert!(access_key().verify(&token, at(NOW)).is_err());
        prop_assert!(ForeignToken::read(&token).is_err());
    }

    #[test]
    fn any_signed_bytes_are_read_without_a_panic(
        header in "\\PC{0,60}", claims in "\\PC{0,120}",
    ) {
        prop_assert!(access_key().verify(&forge(&header, &claims), at(NOW)).is_err());
        prop_assert!(access_key().verify(&forge(HEADER, &claims), at(NOW)).is_err());
    }

    #[test]
    fn a_cut_or_spliced_token_is_refused(at_byte in 0..400_usize, taken in 0..40_usize, put in "[A-Za-z0-9_.=-]{0,40}") {
        let ring = ring(&ED25519.into());
        for keys in [&access_key() as &AccessTokenKeys, &ring] {
            let token = keys.sign(&access_claims()).expect("signed");
            let at_byte = at_byte.min(token.len());
            let mut changed = token.clone();
            changed.replace_range(at_byte..(at_byte + taken).min(token.len()), &put);
            prop_assert_eq!(keys.verify(&changed, at(NOW)).is_ok(), changed == token);
        }
    }

    #[test]
    fn the_short_way_through_the_claims_agrees_with_the_long(
        changed in proptest::collection::vec((proptest::sample::select(&MEMBERS[..]), any_json()), 0..3),
        blank in "[ \t\n]{0,2}",
        repeated in proptest::option::of(proptest::sample::select(&MEMBERS[..])),
    ) {
        let mut members: Vec<(String, Value)> = claims_json()
            .as_object().expect("an object").iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in changed {
            members.retain(|(known, _)| known != name);
            members.push((name.to_owned(), value));
        }
        if let Some(name) = repeated {
            members.push((name.to_owned(), json!("twice")));
        }
        let members: Vec<String> =
            members.into_iter().map(|(name, value)| format!("{blank}\"{name}\":{blank}{value}")).collect();
        let text = format!("{{{}}}{blank}", members.join(","));
        prop_assert_eq!(AccessClaims::read(text.as_bytes()).ok(), long_way(&text), "{}", text);
    }

    #[test]
    fn whatever_we_sign_is_read_back(
        texts in proptest::array::uniform6("\\PC{0,6}|[\"\\\\\n]"), roles in proptest::collection::vec("\\PC{0,6}|[\"\\\\]", 0..4),
        times in any::<[i64; 3]>(), mfa: bool, perm in proptest::option::of("[A-Za-z0-9_-]{0,12}"),
    ) {
        let [sub, jti, sid, workspace_id, scope, iss] = texts;
        let [exp, nbf, iat] = times;
        let claims = AccessClaims {
            iss: Some(iss), aud: None, sub, exp, nbf, iat, jti, sid, workspace_id, roles, perm, scope, mfa,
            mfa_required: !mfa, mfa_enrolled: mfa, act: None, client_id: None,
        };
        let text = spelt(&claims);
        prop_assert_eq!(AccessClaims::read(text.as_bytes()).ok(), Some(claims));
        if let Some(read) = own_spelling(&text) {
            prop_assert_eq!(Some(read), long_way(&text));
        }
    }

    #[test]
    fn any_bytes_are_no_set_of_keys(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,100}") {
        prop_assert!(PublicKey::read_jwks(&bytes).is_err());
        prop_assert!(PublicKey::read_pem(&text).is_err());
        prop_assert!(AccessTokenKeys::from_private_key(&text.into(), None, None).is_err());
        let framed = super::ring::pem("PRIVATE KEY", &bytes);
        prop_assert!(AccessTokenKeys::from_private_key(&framed.into(), None, None).is_err());
        prop_assert!(PublicKey::read_pem(&super::ring::pem("PUBLIC KEY", &bytes)).is_err());
    }
}

/// As our own signer spells them.
fn spelt(claims: &AccessClaims) -> String {
    serde_json::to_string(claims).expect("JSON")
}

#[test]
fn our_own_spelling_takes_the_short_way() {
    let roles = [
        vec![],
        vec!["owner".to_owned()],
        vec!["a".to_owned(), String::new(), "\u{e4}".to_owned()],
    ];
    for roles in roles {
        for iss in [None, Some("us".to_owned())] {
            for aud in [None, Some("api".to_owned())] {
                let claims = AccessClaims {
                    iss: iss.clone(),
                    aud,
                    roles: roles.clone(),
                    perm: iss.as_ref().map(|_| "gAI".to_owned()),
                    ..access_claims()
                };
                assert_eq!(own_spelling(&spelt(&claims)), Some(claims));
            }
        }
    }
    let of_a_machine = AccessClaims {
        sid: String::new(),
        client_id: Some("c".to_owned()),
        mfa_required: true,
        mfa_enrolled: true,
        ..access_claims()
    };
    assert_eq!(own_spelling(&spelt(&of_a_machine)), Some(of_a_machine));
}

#[test]
fn every_single_change_of_our_own_spelling_is_read_as_the_long_way_reads_it() {
    let claims = AccessClaims {
        iss: Some("us".to_owned()),
        roles: vec!["owner".to_owned(), "r".to_owned()],
        perm: Some("gAI".to_owned()),
        ..access_claims()
    };
    let good = spelt(&claims);
    for at_byte in 0..=good.len() {
        for put in [
            "", "\"", "\\", ",", ":", "{", "}", "[", "]", "0", "1", "-", ".", "e", " ", "\n", "\u{1}",
            "\u{e4}", "\\n", "x",
        ] {
            for taken in 0..3 {
                let Some((before, rest)) = good.split_at_checked(at_byte) else {
                    continue;
                };
                let Some(after) = rest.get(taken..) else { continue };
                let text = format!("{before}{put}{after}");
                if let Some(read) = own_spelling(&text) {
                    assert_eq!(Some(read), long_way(&text), "{text}");
                }
            }
        }
    }
}

/// The header that all our tokens have is compared and not parsed: that must never be seen.
#[test]
fn a_header_that_is_recognised_is_judged_as_one_that_is_parsed() {
    let pem = super::ring::fresh(SigningAlgorithm::EdDsa);
    let keys = || super::ring::ring(&pem);
    let (short, long) = (keys(), keys().without_a_usual_header());
    let token = short.sign(&access_claims()).expect("signed");
    assert_eq!(short.verify(&token, at(NOW)), long.verify(&token, at(NOW)));
    assert!(long.verify(&token, at(NOW)).is_ok());
    let key = SigningKey::from_pkcs8_pem(&pem).expect("a key");
    let (header, rest) = token.split_once('.').expect("dots");
    let (claims, _) = rest.split_once('.').expect("dots");
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(header).expect("base64url")).expect("JSON");
    for at_byte in 0..=json.len() {
        for put in [
            "",
            " ",
            "\"",
            "{",
            "}",
            ",",
            "a",
            "\\u0061",
            "\"crit\":[],",
            "\"kid\":\"k\",",
        ] {
            for taken in 0..2 {
                let (Some(before), Some(after)) = (json.get(..at_byte), json.get(at_byte + taken..)) else {
                    continue;
                };
                let signed = format!(
                    "{}.{claims}",
                    URL_SAFE_NO_PAD.encode(format!("{before}{put}{after}"))
                );
                let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).expect("signs"));
                let changed = format!("{signed}.{signature}");
                let verdicts =
                    [&short, &long].map(|keys| keys.verify(&changed, at(NOW)).map_err(TokenError::reason));
                assert_eq!(verdicts[0], verdicts[1], "{before}{put}{after}");
            }
        }
    }
    // The same over every byte of the token as it stands, where no signature is right any more.
    for at_byte in 0..token.len() {
        for put in ["A", "_", ".", "=", ""] {
            let changed = format!("{}{put}{}", &token[..at_byte], &token[at_byte + 1..]);
            let verdicts = [&short, &long].map(|keys| keys.verify(&changed, at(NOW)).is_ok());
            assert_eq!(verdicts, [changed == token; 2], "{at_byte} {put}");
        }
    }
}
