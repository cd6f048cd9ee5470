//! The examples of RFC 7515 (appendix A), RFC 7638 (§3.1) and RFC 8037 (appendix A).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::super::compact::{Accepted, payload};
use super::super::key::{SigningKey, VerifyingKey};
use super::super::{ForeignToken, PublicKey, RsaKey, TokenError};

const HMAC_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const HMAC_HEADER: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const HMAC_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const ECDSA_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn public(jwk: serde_json::Value) -> PublicKey {
    let mut keys = PublicKey::read_jwks(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a key");
    keys.remove(0)
}

/// What the signature of `header.claims.signature` under `key` proves, whatever kind of token it is.
fn opened(key: VerifyingKey, token: &str) -> Result<Vec<u8>, &'static str> {
    // The examples name no key.
    let accepted = [Accepted::new(key, "unused").named(None)];
    payload(&accepted, token, |_| true).map_err(|reason| TokenError::from(reason).reason())
}

fn ed25519() -> PublicKey {
    public(json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))
}

fn p256() -> PublicKey {
    public(json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
}

/// A.1
#[test]
fn the_hmac_example_is_signed_and_verified() {
    let key = SigningKey::from_secret(&bytes(HMAC_KEY));
    let signed = format!("{HMAC_HEADER}.{CLAIMS}");
    let signature = key.sign(signed.as_bytes()).expect("signs");
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), HMAC_SIGNATURE);
    let verifying = || key.verifying(None).expect("verifies");
    assert_eq!(
        opened(verifying(), &format!("{signed}.{HMAC_SIGNATURE}")),
        Ok(bytes(CLAIMS))
    );
    let other = HMAC_SIGNATURE.replacen('d', "e", 1);
    assert_eq!(
        opened(verifying(), &format!("{signed}.{other}")),
        Err("signature")
    );
}

/// A.2
#[test]
fn the_rsa_example_is_verified() {
    let key = RsaKey::from_components(&bytes(MODULUS), &[1, 0, 1]).expect("2048 bits");
    let signed = format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}");
    assert!(key.signed(signed.as_bytes(), &bytes(RSA_SIGNATURE)));
    assert!(!key.signed(&signed.as_bytes()[1..], &bytes(RSA_SIGNATURE)));
    // As a token it is refused, because it does not say by which key it was signed.
    let token = format!("{signed}.{RSA_SIGNATURE}");
    assert_eq!(
        ForeignToken::read(&token).err().map(TokenError::reason),
        Some("header")
    );
}

/// A.3
#[test]
fn the_ecdsa_example_is_verified() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.{ECDSA_SIGNATURE}");
    assert_eq!(opened(VerifyingKey::Public(p256()), &token), Ok(bytes(CLAIMS)));
    let other = token.replace(".DtEh", ".DtEi");
    assert_eq!(opened(VerifyingKey::Public(p256()), &other), Err("signature"));
}

/// A.4: another curve and hash, which no key of ours has. A.5: no signature at all.
#[test]
fn the_examples_of_other_algorithms_are_refused() {
    let es512 = format!("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.{ECDSA_SIGNATURE}");
    let none = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    for token in [es512, none] {
        let keys = [
            VerifyingKey::Public(p256()),
            VerifyingKey::Public(ed25519()),
            VerifyingKey::from_secret(&bytes(HMAC_KEY)),
        ];
        for key in keys {
            assert_eq!(opened(key, &token), Err("algorithm"), "{token}");
        }
    }
}

/// RFC 8037, A.1 to A.5
#[test]
fn the_ed25519_example_is_signed_and_verified() {
    // PKCS#8 version 1 is this prefix and the seed of A.1.
    let mut der = bytes("MC4CAQAwBQYDK2VwBCIEIA");
    der.extend(bytes("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"));
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        STANDARD.encode(der)
    );
    let key = SigningKey::from_pkcs8_pem(&pem.into()).expect("a key");
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(
        URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).expect("signs")),
        signature
    );
    let opened = opened(VerifyingKey::Public(ed25519()), &format!("{signed}.{signature}"));
    assert_eq!(opened.as_deref(), Ok(&b"Example of Ed25519 signing"[..]));
}

/// RFC 8037, A.3, and the same rule for P-256 (RFC 7638 §3.2): `crv`, `kty`, `x`, `y`.
#[test]
fn a_key_is_called_by_its_thumbprint() {
    assert_eq!(ed25519().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let members = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, members.as_bytes());
    assert_eq!(p256().kid(), URL_SAFE_NO_PAD.encode(digest));
}
