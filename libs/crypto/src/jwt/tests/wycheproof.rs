//! The JOSE vectors of Project Wycheproof (JWT-13), which no package carries: they are read from a checkout of
//! <https://github.com/C2SP/wycheproof> that `CAUSEWAY_WYCHEPROOF` names. What Wycheproof calls invalid must be refused;
//! what it calls valid must be verified, or is counted under the reason why we do not.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::compact::{Accepted, payload};
use super::super::key::VerifyingKey;
use super::super::{ForeignKey, ForeignToken, PublicKey, RsaKey, fits_kid};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    comment: String,
    private: Value,
    public: Option<Value>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    tc_id: usize,
    jws: Option<Value>,
    result: String,
}

/// What became of the vectors, by outcome.
type Tally = BTreeMap<&'static str, usize>;

fn load(name: &str) -> Option<Vectors> {
    let Some(checkout) = std::env::var_os("CAUSEWAY_WYCHEPROOF") else {
        println!("skipped: CAUSEWAY_WYCHEPROOF names no checkout of the vectors");
        return None;
    };
    let path = PathBuf::from(checkout).join(format!("testvectors_v1/{name}_test.json"));
    let text = std::fs::read(&path).expect("the vectors lie in the checkout");
    Some(serde_json::from_slice(&text).expect("vectors"))
}

/// The keys of a group, as whoever verifies reads them.
enum Keys {
    Ring(Vec<Accepted>),
    Rsa(String, ForeignKey),
    /// No key of ours: it is refused before there is a token.
    Refused,
    /// A key for something that we do not verify.
    Other(&'static str),
}

fn bytes(jwk: &Value, member: &str) -> Vec<u8> {
    let text = jwk[member].as_str().unwrap_or_default();
    URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
}

fn keys(group: &Group) -> Keys {
    let shown = group.public.as_ref().unwrap_or(&group.private);
    let set = shown["keys"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![shown.clone()]);
    let of_type = |kty: &str| set.iter().all(|jwk| jwk["kty"] == kty);
    if of_type("oct") {
        return secrets(&set);
    }
    if of_type("RSA") && set[0].get("n").is_some() {
        return rsa(&set[0]);
    }
    if set.iter().any(|jwk| jwk["crv"] == "P-521") {
        return Keys::Other("algorithm");
    }
    match PublicKey::read_jwks(json!({"keys": set}).to_string().as_bytes()) {
        Ok(keys) => Keys::Ring(keys.into_iter().map(accepted).collect()),
        // A secret among public keys, a curve that does not fit the algorithm, a point that is on no curve.
        Err(_) if group.tests.iter().all(|test| test.result == "invalid") => Keys::Refused,
        Err(_) => Keys::Other("kid"),
    }
}

fn accepted(key: PublicKey) -> Accepted {
    Accepted::new(VerifyingKey::Public(key), "unused")
}

/// Secrets come from the settings, which are no JSON Web Keys: what the settings refuse is refused here by the same
/// rule (C-3: 32 bytes at least), and a key is named as the vector names it.
fn secrets(set: &[Value]) -> Keys {
    if set.iter().any(|jwk| jwk["alg"] != "HS256") {
        return Keys::Other("algorithm");
    }
    let mut names: Vec<&str> = set.iter().filter_map(|jwk| jwk["kid"].as_str()).collect();
    names.dedup();
    if names.len() < set.len() || set.iter().any(|jwk| bytes(jwk, "k").len() < 32) {
        return Keys::Refused;
    }
    let ring = set.iter().map(|jwk| {
        let key = VerifyingKey::from_secret(&bytes(jwk, "k"));
        Accepted::new(key, "unused").named(jwk["kid"].as_str())
    });
    Keys::Ring(ring.collect())
}

fn rsa(jwk: &Value) -> Keys {
    if jwk.get("alg").is_some_and(|alg| alg != "RS256") {
        return Keys::Other("algorithm");
    }
    if jwk.get("use").is_some_and(|usage| usage != "sig")
        || jwk["key_ops"]
            .as_array()
            .is_some_and(|all| !all.contains(&json!("verify")))
    {
        return Keys::Other("use");
    }
    let name = jwk["kid"].as_str().unwrap_or_default().to_owned();
    RsaKey::from_components(&bytes(jwk, "n"), &bytes(jwk, "e"))
        .map_or(Keys::Refused, |key| Keys::Rsa(name, key.into()))
}

fn verifies(keys: &Keys, jws: &str) -> bool {
    match keys {
        Keys::Ring(ring) => payload(ring, jws, |_| true).is_ok(),
        Keys::Rsa(name, key) => {
            ForeignToken::read(jws).is_ok_and(|token| token.kid() == name && token.payload(key).is_ok())
        }
        Keys::Refused | Keys::Other(_) => false,
    }
}

fn outcome(keys: &Keys, group: &Group, test: &Test) -> &'static str {
    let Some(jws) = &test.jws else {
        return "an encrypted token";
    };
    let text = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
    let verified = verifies(keys, &text);
    let valid = |other: &Test| other.result == "valid" && other.jws.as_ref() == Some(jws);
    if test.result != "valid" && group.tests.iter().any(valid) {
        return "called invalid and, letter by letter the same, valid";
    }
    if test.result != "valid" {
        assert!(!verified, "test {} must be refused", test.tc_id);
        return match keys {
            Keys::Ring(_) | Keys::Rsa(..) => "refused",
            Keys::Refused => "refused with its key",
            Keys::Other("use") => "refused where sets of RSA keys are read, in causeway-oidc",
            Keys::Other(_) => "invalid, of an algorithm that we do not have",
        };
    }
    if verified {
        return "verified";
    }
    let kid = text
        .split('.')
        .next()
        .and_then(|header| URL_SAFE_NO_PAD.decode(header.replace('?', "")).ok());
    let kid = kid
        .and_then(|header| serde_json::from_slice::<Value>(&header).ok())
        .unwrap_or_default()["kid"]
        .clone();
    if matches!(keys, Keys::Other("algorithm")) {
        "valid, of an algorithm that we do not have"
    } else if !kid.as_str().is_some_and(fits_kid) {
        "valid, under a name with other characters than JWT-02 allows"
    } else if text.contains('?') {
        "valid to decoders that skip foreign characters, against JWT-04"
    } else {
        panic!("test {} must be verified", test.tc_id)
    }
}

fn tally(vectors: &Vectors) -> Tally {
    let mut tally = Tally::new();
    for group in &vectors.test_groups {
        let keys = keys(group);
        for test in &group.tests {
            let outcome = outcome(&keys, group, test);
            println!("{} {}: {outcome}", group.comment, test.tc_id);
            *tally.entry(outcome).or_default() += 1;
        }
    }
    assert_eq!(tally.values().sum::<usize>(), vectors.number_of_tests);
    tally
}

#[test]
fn json_web_signatures_are_judged_as_wycheproof_does() {
    let Some(vectors) = load("json_web_signature") else {
        return;
    };
    assert_eq!(vectors.number_of_tests, 401);
    let expected = Tally::from([
        ("called invalid and, letter by letter the same, valid", 2),
        ("invalid, of an algorithm that we do not have", 59),
        ("refused", 290),
        ("refused where sets of RSA keys are read, in causeway-oidc", 2),
        ("refused with its key", 2),
        (
            "valid to decoders that skip foreign characters, against JWT-04",
            2,
        ),
        ("valid, of an algorithm that we do not have", 26),
        ("valid, under a name with other characters than JWT-02 allows", 2),
        ("verified", 16),
    ]);
    assert_eq!(tally(&vectors), expected);
}

#[test]
fn json_web_keys_are_judged_as_wycheproof_does() {
    let Some(vectors) = load("json_web_key") else {
        return;
    };
    assert_eq!(vectors.number_of_tests, 26);
    let expected = Tally::from([
        ("invalid, of an algorithm that we do not have", 7),
        ("refused", 1),
        ("refused with its key", 13),
        ("valid, of an algorithm that we do not have", 2),
        ("verified", 3),
    ]);
    assert_eq!(tally(&vectors), expected);
}

#[test]
fn json_web_crypto_is_judged_as_wycheproof_does() {
    let Some(vectors) = load("json_web_crypto") else {
        return;
    };
    assert_eq!(vectors.number_of_tests, 83);
    let expected = Tally::from([
        ("an encrypted token", 34),
        ("refused", 43),
        ("refused with its key", 2),
        ("verified", 4),
    ]);
    assert_eq!(tally(&vectors), expected);
}
