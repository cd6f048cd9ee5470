#![no_main]
//! Tokens and key documents of strangers, and any header and claims under a MAC that is right, so that all that comes
//! after the MAC is reached too.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_crypto::{AccessTokenKeys, ForeignToken, PublicKey, fits_jwt};
use chrono::DateTime;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "a secret of the fuzzer, 32 bytes or more";
const NOW: i64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;
const SET: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static MAC: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()));
static RING: LazyLock<AccessTokenKeys> = LazyLock::new(|| {
    let keys = PublicKey::read_jwks(SET).expect("a set");
    let secret = AccessTokenKeys::new(&SECRET.into(), Some("us".to_owned()), None);
    secret.accepting(keys).expect("distinct keys")
});

fn signed(header: &[u8], claims: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&MAC, signed.as_bytes());
    format!("{signed}.{}", encode(tag.as_ref()))
}

/// Whatever is accepted keeps the rules.
fn read(token: &str) {
    let Ok(claims) = RING.verify(token, DateTime::from_timestamp(NOW, 0).expect("a time")) else {
        return;
    };
    assert!(fits_jwt(token));
    assert_eq!(claims.iss.as_deref(), Some("us"));
    assert!(claims.exp > NOW - 5 && claims.exp - claims.iat <= 900 && claims.iat <= NOW + 5);
    assert!(claims.nbf <= NOW + 5 && !claims.sub.is_empty() && !claims.jti.is_empty());
    assert!(claims.sid.is_empty() != claims.client_id.as_deref().is_none_or(str::is_empty));
}

fuzz_target!(|data: &[u8]| {
    read(&signed(HEADER.as_bytes(), data));
    read(&signed(data, b"{}"));
    // A header and claims, with a zero byte between them.
    if let Some(at) = data.iter().position(|byte| *byte == 0) {
        read(&signed(&data[..at], &data[at + 1..]));
    }
    let _ = PublicKey::read_jwks(data);
    if let Ok(text) = str::from_utf8(data) {
        read(text);
        let _ = ForeignToken::read(text);
        let _ = PublicKey::read_pem(text);
        let _ = AccessTokenKeys::from_private_key(&text.into(), None, None);
    }
});
