//! Keys in pairs: where they come from, what is published of them, and how one follows another (JWT-12).

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::{AccessTokenKeys, KeyTextError, PublicKey, SigningAlgorithm, TokenError};
use super::{NOW, SECRET, access_claims, at};

/// The seeds of these keys are in a public repository: they are for tests.
pub(super) const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

/// A fresh private key, as another program writes it.
pub(super) fn fresh(algorithm: SigningAlgorithm) -> SecretString {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

    let der = match algorithm {
        SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()),
        SigningAlgorithm::Es256 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        }
        SigningAlgorithm::Hs256 => panic!("a secret is no pair"),
    };
    pem("PRIVATE KEY", der.expect("random bytes").as_ref()).into()
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

pub(super) fn ring(pem: &SecretString) -> AccessTokenKeys {
    AccessTokenKeys::from_private_key(pem, Some("us".to_owned()), Some("api".to_owned())).expect("a key")
}

fn publics(ring: &AccessTokenKeys) -> Vec<PublicKey> {
    let json = serde_json::to_vec(&ring.jwks()).expect("JSON");
    PublicKey::read_jwks(&json).expect("what we publish, we can read")
}

fn verifier(keys: Vec<PublicKey>) -> AccessTokenKeys {
    let nothing = AccessTokenKeys::verify_only(Some("us".to_owned()), Some("api".to_owned()));
    nothing.accepting(keys).expect("distinct keys")
}

fn verdict(ring: &AccessTokenKeys, token: &str) -> Result<String, &'static str> {
    let claims = ring.verify(token, at(NOW)).map_err(TokenError::reason)?;
    Ok(claims.sub)
}

const PAIRS: [SigningAlgorithm; 2] = [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256];

#[test]
fn a_verifier_that_knows_only_the_published_set_accepts_what_the_ring_signs() {
    for algorithm in PAIRS {
        let ring = ring(&fresh(algorithm));
        assert_eq!(ring.signing_algorithm(), Some(algorithm));
        let token = ring.sign(&access_claims()).expect("signed");
        let verifier = verifier(publics(&ring));
        assert_eq!(
            verdict(&verifier, &token).as_deref(),
            Ok("person"),
            "{algorithm:?}"
        );
        assert_eq!(verdict(&ring, &token).as_deref(), Ok("person"), "{algorithm:?}");
        assert_eq!(verifier.signing_algorithm(), None);
        assert_eq!(
            verifier.sign(&access_claims()).map_err(TokenError::reason),
            Err("key")
        );
    }
}

#[test]
fn a_token_names_its_key_by_the_thumbprint_that_the_set_publishes() {
    for algorithm in PAIRS {
        let ring = ring(&fresh(algorithm));
        let token = ring.sign(&access_claims()).expect("signed");
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        let set = serde_json::to_value(ring.jwks()).expect("JSON");
        assert_eq!(header.kid.as_deref(), set["keys"][0]["kid"].as_str());
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(set["keys"][0]["alg"], algorithm.name());
        assert_eq!(set["keys"][0]["use"], "sig");
    }
}

#[test]
fn another_library_verifies_our_tokens_by_our_published_set() {
    for (algorithm, theirs) in PAIRS
        .into_iter()
        .zip([jsonwebtoken::Algorithm::EdDSA, jsonwebtoken::Algorithm::ES256])
    {
        let ring = ring(&fresh(algorithm));
        let token = ring.sign(&access_claims()).expect("signed");
        let set: jsonwebtoken::jwk::JwkSet =
            serde_json::from_value(serde_json::to_value(ring.jwks()).expect("JSON")).expect("a set");
        let key = jsonwebtoken::DecodingKey::from_jwk(&set.keys[0]).expect("a key");
        let mut rules = jsonwebtoken::Validation::new(theirs);
        rules.set_audience(&["api"]);
        rules.validate_exp = false;
        let read = jsonwebtoken::decode::<Value>(&token, &key, &rules).expect("genuine");
        assert_eq!(read.claims["sub"], "person");
    }
}

#[test]
fn the_published_set_holds_public_members_only_and_none_of_a_secret() {
    let of_secret = AccessTokenKeys::new(&SECRET.into(), None, None);
    assert_eq!(
        serde_json::to_value(of_secret.jwks()).expect("JSON"),
        json!({"keys": []})
    );

    let ring = ring(&ED25519.into());
    let set = serde_json::to_value(ring.jwks()).expect("JSON");
    let expected = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "use": "sig", "alg": "EdDSA",
    }]});
    assert_eq!(set, expected);
}

/// JWT-12.
#[test]
fn keys_roll_without_a_token_being_refused() {
    for (old, new) in [(PAIRS[0], PAIRS[1]), (PAIRS[1], PAIRS[0]), (PAIRS[0], PAIRS[0])] {
        let (old, new) = (fresh(old), fresh(new));
        let (alone_old, alone_new) = (ring(&old), ring(&new));
        let announced = ring(&old).accepting(publics(&alone_new)).expect("another key");
        let switched = ring(&new).accepting(publics(&alone_old)).expect("another key");
        assert_eq!(announced.jwks().keys.len(), 2);
        let before = announced.sign(&access_claims()).expect("signed");
        let after = switched.sign(&access_claims()).expect("signed");
        // Somebody who took the set before the switch, and somebody who took it after.
        let readers = [
            verifier(publics(&announced)),
            verifier(publics(&switched)),
            announced,
            switched,
        ];
        for reader in &readers {
            assert!(verdict(reader, &before).is_ok() && verdict(reader, &after).is_ok());
        }
        // The old key is taken away once its last token is over.
        assert_eq!(verdict(&alone_new, &before), Err("key"));
        assert_eq!(verdict(&verifier(publics(&alone_new)), &before), Err("key"));
        assert!(verdict(&alone_new, &after).is_ok());
        // A key that nobody announced is not accepted by whoever still has the old set.
        assert_eq!(verdict(&verifier(publics(&alone_old)), &after), Err("key"));
    }
}

#[test]
fn two_different_keys_under_one_id_are_refused_and_one_key_twice_is_not() {
    let (one, two) = (ring(&fresh(PAIRS[0])), ring(&fresh(PAIRS[0])));
    let mut set = serde_json::to_value(two.jwks()).expect("JSON");
    set["keys"][0]["kid"] = json!(publics(&one)[0].kid());
    let disguised = PublicKey::read_jwks(set.to_string().as_bytes()).expect("a key");
    let known = publics(&one);
    assert_eq!(one.accepting(disguised).err(), Some(KeyTextError::SameId));
    let twice = verifier(known.clone()).accepting(known).expect("the same key");
    assert_eq!(twice.jwks().keys.len(), 1);
}

#[test]
fn private_keys_are_read_on_one_line_and_on_many() {
    let one_line = ED25519.trim().replace('\n', "\\n");
    let carriage_returns = ED25519.replace('\n', "\r\n");
    let indented = ED25519.replace('\n', "\n    ");
    for text in [one_line, carriage_returns, indented] {
        let read = ring(&text.into());
        assert_eq!(read.jwks(), ring(&ED25519.into()).jwks());
    }
}

#[test]
fn a_text_that_is_no_private_key_is_refused_and_not_shown() {
    use KeyTextError::{Label, NotPem, Several, Unsupported};

    let body = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
    let label = Label {
        expected: "PRIVATE KEY",
    };
    let rsa = {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair);
        pem("PRIVATE KEY", der.expect("DER").as_ref())
    };
    for (text, expected) in [
        (String::new(), NotPem),
        (body.to_owned(), NotPem),
        (ED25519.replace("-----END", "----END"), NotPem),
        (ED25519.replace("END PRIVATE", "END PUBLIC"), NotPem),
        (ED25519.replace("MC4C", "MC4*"), NotPem),
        (format!("# mine\n{ED25519}"), NotPem),
        (format!("-----BEGIN PRIVATE KEY-----\n{body}"), NotPem),
        (ED25519.replace("PRIVATE", "EC PRIVATE"), label),
        (ED25519.replace("PRIVATE", "PUBLIC"), label),
        (ED25519.repeat(2), Several),
        (ED25519.replace("MC4C", "MC4D"), Unsupported),
        (pem("PRIVATE KEY", &[]), Unsupported),
        (rsa, Unsupported),
    ] {
        let error = AccessTokenKeys::from_private_key(&text.clone().into(), None, None).expect_err("refused");
        assert_eq!(error, expected, "{text}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("MC4") && !shown.contains("BEGIN P"), "{shown}");
    }
}

#[test]
fn public_keys_are_read_from_pem_and_private_ones_are_not() {
    let both: Vec<PublicKey> = PAIRS
        .iter()
        .flat_map(|algorithm| publics(&ring(&fresh(*algorithm))))
        .collect();
    let text: String = both
        .iter()
        .map(|key| pem("PUBLIC KEY", &subject_public_key_info(key)))
        .collect();
    assert_eq!(PublicKey::read_pem(&text), Ok(both));
    let label = KeyTextError::Label {
        expected: "PUBLIC KEY",
    };
    assert_eq!(PublicKey::read_pem(ED25519), Err(label));
    assert_eq!(PublicKey::read_pem(&text.repeat(2)), Err(KeyTextError::SameId));
    assert_eq!(
        PublicKey::read_pem(&pem("PUBLIC KEY", b"\x30\x00")),
        Err(KeyTextError::Unsupported)
    );
}

/// As the library writes a key, not as we read one.
fn subject_public_key_info(key: &PublicKey) -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm};

    let json = serde_json::to_value(key.jwk()).expect("JSON");
    let number = |member: &str| {
        let text = json[member].as_str().unwrap_or_default();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .expect("base64url")
    };
    let (algorithm, bytes): (&'static dyn VerificationAlgorithm, _) = match key.algorithm() {
        SigningAlgorithm::EdDsa => (&ED25519, number("x")),
        _ => (
            &ECDSA_P256_SHA256_FIXED,
            [&[4][..], &number("x"), &number("y")].concat(),
        ),
    };
    let der: PublicKeyX509Der<'_> = ParsedPublicKey::new(algorithm, bytes)
        .expect("a key")
        .as_der()
        .expect("DER");
    der.as_ref().to_vec()
}

#[test]
fn a_set_with_an_unsuitable_key_is_refused_as_a_whole() {
    let good = serde_json::to_value(ring(&fresh(SigningAlgorithm::Es256)).jwks()).expect("JSON");
    let good = &good["keys"][0];
    let with = |member: &str, value: Value| {
        let mut key = good.clone();
        key[member] = value;
        key
    };
    let at_fault = |key: Value| {
        let set = json!({"keys": [good, key]}).to_string();
        match PublicKey::read_jwks(set.as_bytes()) {
            Err(KeyTextError::Jwk { member }) => member.to_owned(),
            other => format!("{other:?}"),
        }
    };
    let short = with("x", json!("AAAA"));
    let padded = with("x", json!(format!("{}=", good["x"].as_str().expect("text"))));
    for (key, member) in [
        (with("d", json!("AAAA")), "d"),
        (json!({"kty": "oct", "k": "AAAA"}), "k"),
        (json!({"kty": "oct"}), "kty"),
        (json!({"kty": "RSA", "n": "AAAA", "e": "AQAB"}), "kty"),
        (with("use", json!("enc")), "use"),
        (with("key_ops", json!(["sign"])), "key_ops"),
        (with("alg", json!("ES384")), "alg"),
        (with("alg", json!("EdDSA")), "alg"),
        (with("crv", json!("P-384")), "crv"),
        (with("crv", json!("Ed25519")), "crv"),
        (with("kid", json!("../x")), "kid"),
        (with("y", json!(null)), "y"),
        (short, "x"),
        (padded, "x"),
    ] {
        assert_eq!(at_fault(key.clone()), member, "{key}");
    }
    assert_eq!(
        at_fault(with("x", good["y"].clone())),
        "Err(Unsupported)",
        "not on the curve"
    );
    assert_eq!(at_fault(good.clone()), "Err(SameId)");
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(
            PublicKey::read_jwks(text.as_bytes()),
            Err(KeyTextError::NotJwks),
            "{text}"
        );
    }
    let many = json!({"keys": vec![good; 65]}).to_string();
    assert_eq!(PublicKey::read_jwks(many.as_bytes()), Err(KeyTextError::NotJwks));
}

#[test]
fn keys_that_openssl_makes_are_read() {
    for (arguments, algorithm) in [
        (&["-algorithm", "ed25519"][..], SigningAlgorithm::EdDsa),
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            SigningAlgorithm::Es256,
        ),
    ] {
        let made = Command::new("openssl")
            .arg("genpkey")
            .args(arguments)
            .stderr(Stdio::null())
            .output();
        let Ok(made) = made else {
            println!("skipped: there is no openssl here");
            return;
        };
        let text = String::from_utf8(made.stdout).expect("PEM");
        assert_eq!(ring(&text.into()).signing_algorithm(), Some(algorithm));
    }
}
