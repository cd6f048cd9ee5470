//! Data keys, and the providers that wrap them.

use async_trait::async_trait;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::envelope::{CryptoError, put_text};

/// A random key of one tenant. It is overwritten when dropped, and has no `Debug`, no `Clone` and no serialized form.
pub struct DataKey(Box<Zeroizing<[u8; Self::BYTES]>>);

impl DataKey {
    /// The length of a key.
    pub const BYTES: usize = 32;

    /// A new random key. Never derived from a master key: forgetting it must make its ciphertext unreadable (KEY-06).
    ///
    /// # Errors
    /// [`CryptoError::Refused`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut key = Box::new(Zeroizing::new([0; Self::BYTES]));
        aws_lc_rs::rand::fill(&mut **key.as_mut()).map_err(|_| CryptoError::Refused)?;
        Ok(Self(key))
    }

    /// The key with these bytes, for providers.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut key = Box::new(Zeroizing::new([0; Self::BYTES]));
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// To what a wrapped data key belongs; authenticated by the wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyContext<'a> {
    /// The tenant.
    pub workspace: Uuid,
    /// The version of the key within the tenant.
    pub version: u32,
    /// What the key is for.
    pub purpose: &'a str,
}

impl KeyContext<'_> {
    /// One spelling per value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.workspace.as_bytes().to_vec();
        bytes.extend(self.version.to_be_bytes());
        put_text(&mut bytes, self.purpose);
        bytes
    }
}

/// A data key as it is stored: useless without the key-encryption key that `key_id` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key-encryption key.
    pub key_id: String,
    /// The wrapped bytes.
    pub bytes: Vec<u8>,
}

/// A data key that cannot be wrapped or unwrapped. Holds no key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No key-encryption key is configured (B-TEN-8).
    #[error("no key-encryption key is configured")]
    Missing,
    /// The key-encryption key that wrapped it is not among the known ones.
    #[error("the key-encryption key {0} is not known")]
    Unknown(String),
    /// A setting does not hold a key (B-TEN-9).
    #[error("{setting} must be standard base64 of exactly 32 bytes")]
    Malformed {
        /// The setting's name; never its value.
        setting: &'static str,
    },
    /// The wrapped bytes do not open, or the key cannot wrap.
    #[error("wrap or unwrap a data key")]
    Refused(#[source] CryptoError),
}

/// Wraps data keys under key-encryption keys that never leave it.
#[async_trait]
pub trait KeyProvider: Send + Sync + 'static {
    /// The id of the key that wraps new data keys; nothing if there is none.
    fn active_id(&self) -> Option<&str>;

    /// Wraps `key` under the active key.
    ///
    /// # Errors
    /// [`KeyError::Missing`] without an active key.
    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError>;

    /// Unwraps a key that was wrapped with the same context, also under an earlier key.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] if its key-encryption key is not known, [`KeyError::Refused`] if it does not open.
    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError>;
}
