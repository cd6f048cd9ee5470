//! Private keys that are given as JSON Web Keys.

use serde_json::{Value, json};

use super::super::{AccessTokenKeys, KeyTextError, PublicKey};
use super::ring::ED25519;
use super::{NOW, access_claims, at};

/// The pair of RFC 8037, appendix A: everybody has its private half.
fn ed25519() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

/// The pair of RFC 7515, appendix A.3.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

fn with(mut key: Value, changes: &Value) -> Value {
    for (member, value) in changes.as_object().expect("an object") {
        key[member.as_str()] = value.clone();
    }
    key
}

fn read(key: &Value) -> Result<AccessTokenKeys, KeyTextError> {
    AccessTokenKeys::from_private_key(&key.to_string().into(), None, None)
}

#[test]
fn a_pair_is_the_same_in_either_form() {
    let of_jwk = read(&ed25519()).expect("a key");
    let of_pem = AccessTokenKeys::from_private_key(&ED25519.into(), None, None).expect("a key");
    assert_eq!(of_jwk.jwks(), of_pem.jwks());
    for (key, alg) in [(ed25519(), "EdDSA"), (p256(), "ES256")] {
        let usual = json!({"alg": alg, "use": "sig", "key_ops": ["sign"], "ext": true});
        let ring = read(&with(key, &usual)).expect("a key");
        let token = ring.sign(&access_claims()).expect("signed");
        assert!(ring.verify(&token, at(NOW)).is_ok());
        assert_eq!(ring.signing_algorithm().map(|alg| alg.name()), Some(alg));
    }
}

/// Else a token would name its key otherwise than the set that the next owner of the key publishes (JWT-12).
#[test]
fn a_key_keeps_the_name_that_its_owner_gave_it() {
    let ring = read(&with(p256(), &json!({"kid": "2026-11"}))).expect("a key");
    let token = ring.sign(&access_claims()).expect("signed");
    assert_eq!(super::super::named_key(&token), Ok(Some("2026-11".to_owned())));
    let published = serde_json::to_string(&ring.jwks()).expect("JSON");
    let known = PublicKey::read(&published).expect("a set");
    assert_eq!(known[0].kid(), "2026-11");
    let reader = AccessTokenKeys::verify_only(None, None).accepting(known);
    assert!(reader.expect("a key").verify(&token, at(NOW)).is_ok());
}

#[test]
fn a_key_that_is_not_quite_one_is_refused_and_not_shown() {
    let other_half = json!({"x": "_ym-ILOMYAYb0yzzFzVjHxhkXfnRhHKXWYVMPZ6vjpU"});
    let jwk = |member| KeyTextError::Jwk { member };
    for (key, expected) in [
        (with(ed25519(), &json!({"d": null})), KeyTextError::NotJwk),
        (with(ed25519(), &json!({"d": 7})), KeyTextError::NotJwk),
        (with(ed25519(), &json!({"d": "AAAA"})), jwk("d")),
        (with(ed25519(), &json!({"crv": "X25519"})), jwk("crv")),
        (with(p256(), &json!({"crv": "P-384"})), jwk("crv")),
        (with(ed25519(), &json!({"kty": "oct"})), jwk("kty")),
        (with(ed25519(), &json!({"alg": "ES256"})), jwk("alg")),
        (with(ed25519(), &json!({"use": "enc"})), jwk("use")),
        (with(ed25519(), &json!({"key_ops": ["verify"]})), jwk("key_ops")),
        (with(ed25519(), &json!({"kid": "../key"})), jwk("kid")),
        (with(p256(), &json!({"y": null})), jwk("y")),
        (with(ed25519(), &other_half), KeyTextError::Unsupported),
        (with(p256(), &other_half), KeyTextError::Unsupported),
        (json!({"keys": [ed25519()]}), KeyTextError::NotJwk),
    ] {
        let error = read(&key).err();
        assert_eq!(error, Some(expected), "{key}");
        assert!(!format!("{error:?}").contains("nWGx"), "{error:?}");
    }
    let twice = ed25519().to_string().replacen('{', "{\"d\":\"AAAA\",", 1);
    let error = AccessTokenKeys::from_private_key(&twice.into(), None, None).err();
    assert_eq!(error, Some(KeyTextError::NotJwk));
}
