//! Keys of our tokens. Each has one algorithm, which is a property of the key and never a wish of the token (JWT-01).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::Reason;
use super::pem::blocks;
use super::public::PublicKey;

/// With what a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// HMAC with SHA-256: who verifies can also sign, so at most two parties may hold the key (JWT-14).
    Hs256,
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    Es256,
}

impl SigningAlgorithm {
    /// Its name in a header, where case matters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
}

/// A text that holds no key of the kind asked for. Shows nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Not PEM blocks, or something beside them.
    #[error("the text is not in PEM form")]
    NotPem,
    /// PEM of something else.
    #[error("the text must hold `{expected}` blocks only")]
    Label {
        /// What must stand behind `BEGIN`.
        expected: &'static str,
    },
    /// More than one private key.
    #[error("the text must hold one private key")]
    Several,
    /// A key of another algorithm, or none at all.
    #[error("the key is neither an Ed25519 nor a P-256 key")]
    Unsupported,
    /// Not a JSON Web Key with a private half.
    #[error("the text is not a JSON Web Key with a private half")]
    NotJwk,
    /// Not a set of JSON Web Keys.
    #[error("the text is not a set of JSON Web Keys")]
    NotJwks,
    /// A JSON Web Key that may not verify our tokens.
    #[error("a JSON Web Key has an unsuitable `{member}`")]
    Jwk {
        /// The member that is missing or says something else.
        member: &'static str,
    },
    /// Two keys with one name.
    #[error("two keys have the same id")]
    SameId,
}

/// What signs. Its bytes are in the library's hands, which overwrites what it frees.
pub(super) enum SigningKey {
    /// Apart, so that a move copies no key bytes.
    Secret(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    pub(super) fn from_secret(bytes: &[u8]) -> Self {
        Self::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The key of one `PRIVATE KEY` block (PKCS#8), Ed25519 or P-256.
    pub(super) fn from_pkcs8_pem(pem: &SecretString) -> Result<Self, KeyTextError> {
        const LABEL: &str = "PRIVATE KEY";
        let blocks = blocks(pem.expose_secret())?;
        if blocks.iter().any(|block| block.label != LABEL) {
            return Err(KeyTextError::Label { expected: LABEL });
        }
        let [block] = blocks.as_slice() else {
            return Err(KeyTextError::Several);
        };
        let ed25519 = Ed25519KeyPair::from_pkcs8(&block.der).map(Self::Ed25519);
        ed25519
            .or_else(|_| {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &block.der).map(Self::P256)
            })
            .map_err(|_| KeyTextError::Unsupported)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Reason> {
        let signature = match self {
            Self::Secret(key) => return Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Ed25519(pair) => pair.try_sign(message),
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message),
        };
        signature
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| Reason::Signature)
    }

    /// The half that verifies, called `kid` if that is given; a secret is its own half and has no name.
    pub(super) fn verifying(&self, kid: Option<String>) -> Result<VerifyingKey, KeyTextError> {
        let public = match self {
            Self::Secret(key) => return Ok(VerifyingKey::Secret(key.clone())),
            Self::Ed25519(pair) => PublicKey::new(SigningAlgorithm::EdDsa, pair.public_key().as_ref()),
            Self::P256(pair) => PublicKey::new(SigningAlgorithm::Es256, pair.public_key().as_ref()),
        };
        public.map(|key| VerifyingKey::Public(key.named(kid)))
    }
}

/// What verifies.
pub(super) enum VerifyingKey {
    Secret(Box<hmac::Key>),
    Public(PublicKey),
}

impl VerifyingKey {
    #[cfg(test)]
    pub(super) fn from_secret(bytes: &[u8]) -> Self {
        Self::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    pub(super) const fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::Secret(_) => SigningAlgorithm::Hs256,
            Self::Public(key) => key.algorithm(),
        }
    }

    /// Public keys are named, secrets are not: there is nothing of a secret that may be shown.
    pub(super) fn kid(&self) -> Option<&str> {
        match self {
            Self::Secret(_) => None,
            Self::Public(key) => Some(key.kid()),
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verifies(message, signature),
        }
    }
}

/// A key shows what it is for, never what it is.
impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.algorithm().name(), self.kid())
    }
}
