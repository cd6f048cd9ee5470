//! Signatures of others over messages that they send us: ECDSA over P-256 with SHA-256, as webhooks are signed.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// No signature over P-256 is longer in DER.
const LONGEST_SIGNATURE: usize = 72;

/// A text that is no public key on P-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not one public key on P-256 in PEM form")]
pub struct P256KeyError;

/// The public key of somebody who signs what they send.
#[derive(Clone)]
pub struct P256Key(ParsedPublicKey);

impl P256Key {
    /// The key of one `PUBLIC KEY` block (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`P256KeyError`] for any other text, keys on other curves included.
    pub fn from_pem(text: &str) -> Result<Self, P256KeyError> {
        let body = text
            .trim()
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(END));
        let body: String = body.ok_or(P256KeyError)?.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| P256KeyError)?;
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der)
            .map(Self)
            .map_err(|_| P256KeyError)
    }

    /// Whether `signature`, in DER, is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() <= LONGEST_SIGNATURE && self.0.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("P256Key").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _,
    };

    use super::*;

    fn pair(algorithm: &'static EcdsaSigningAlgorithm) -> (EcdsaKeyPair, String) {
        let pair = EcdsaKeyPair::generate(algorithm).expect("a key");
        let der = pair.public_key().as_der().expect("DER");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("ASCII"))
            .collect();
        (pair, format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")))
    }

    #[test]
    fn a_signature_is_one_keys_over_one_message() {
        let (pair, pem) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let key = P256Key::from_pem(&pem).expect("a key");
        let signature = pair.sign(&SystemRandom::new(), b"message").expect("signed");
        assert!(key.verifies(b"message", signature.as_ref()));
        let other = self::pair(&ECDSA_P256_SHA256_ASN1_SIGNING).1;
        assert!(
            !P256Key::from_pem(&other)
                .expect("a key")
                .verifies(b"message", signature.as_ref())
        );
        assert!(!key.verifies(b"messagf", signature.as_ref()));
        let mut turned = signature.as_ref().to_vec();
        for index in 0..turned.len() {
            turned[index] ^= 1;
            assert!(!key.verifies(b"message", &turned), "byte {index}");
            turned[index] ^= 1;
        }
        for wrong in [&[][..], &[0; 64], &[0x30, 0], &[0x30; 200]] {
            assert!(!key.verifies(b"message", wrong));
        }
    }

    #[test]
    fn only_one_key_on_p_256_is_read() {
        let (_, pem) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let (_, larger) = pair(&ECDSA_P384_SHA384_ASN1_SIGNING);
        for wrong in [
            String::new(),
            larger,
            format!("{pem}{pem}"),
            pem.replace("PUBLIC", "PRIVATE"),
            pem.replace(BEGIN, ""),
            format!("{BEGIN}\nAAAA\n{END}"),
            format!("{BEGIN}\n?\n{END}"),
        ] {
            assert!(P256Key::from_pem(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_says_nothing_of_itself() {
        let (_, pem) = pair(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let key = P256Key::from_pem(&pem).expect("a key");
        assert_eq!(format!("{key:?}"), "P256Key { .. }");
    }
}
