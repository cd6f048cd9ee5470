//! Data keys, and the providers that wrap them.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::envelope::{Authenticated, CryptoError};

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

    /// The key with these bytes, if they have the length of one. For providers; who calls overwrites its own copy.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let mut key = Box::new(Zeroizing::new([0; Self::BYTES]));
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// The bytes, for providers that wrap them elsewhere.
    pub fn expose_bytes(&self) -> &[u8; Self::BYTES] {
        self.bytes()
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
    pub(crate) fn put_into(&self, bytes: &mut Authenticated) {
        bytes.put(self.workspace.as_bytes());
        bytes.put(&self.version.to_be_bytes());
        bytes.put_text(self.purpose);
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

/// What a key service answered instead, for the log. Whoever makes one sees to it that it shows no key material.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct KeyCause(Arc<dyn Error + Send + Sync>);

impl KeyCause {
    /// Keeps a cause that several callers may get.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }
}

/// The same event, not one that looks alike.
impl PartialEq for KeyCause {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for KeyCause {}

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
    /// The service that holds the key-encryption key does not answer or asks for patience: later it may work.
    #[error("the key service is not available")]
    Unavailable(#[source] KeyCause),
    /// The key-encryption key is disabled or waits for its deletion.
    #[error("the key-encryption key {0} is disabled or about to be deleted")]
    Disabled(String),
    /// The service does not let us use the key-encryption key, or it is a key for something else.
    #[error("the key-encryption key {key_id} may not be used")]
    Denied {
        /// The key-encryption key.
        key_id: String,
        /// What the service answered.
        #[source]
        cause: KeyCause,
    },
}

/// Wraps data keys under key-encryption keys that never leave it.
#[async_trait]
pub trait KeyProvider: Send + Sync + 'static {
    /// A name of the key that wraps new data keys; nothing if there is none.
    fn active_id(&self) -> Option<&str>;

    /// The [`WrappedKey::key_id`] that [`KeyProvider::wrap`] gives now. Asks whoever holds the key, so that it also
    /// tells a key that can be used from one that cannot.
    ///
    /// # Errors
    /// [`KeyError::Missing`] without an active key, and whatever would stand in the way of using it.
    async fn active_key(&self) -> Result<String, KeyError> {
        self.active_id().map(str::to_owned).ok_or(KeyError::Missing)
    }

    /// A new data key, and the same wrapped under the active key.
    ///
    /// # Errors
    /// Those of [`KeyProvider::wrap`].
    async fn generate(&self, context: &KeyContext<'_>) -> Result<(DataKey, WrappedKey), KeyError> {
        let key = DataKey::generate().map_err(KeyError::Refused)?;
        let wrapped = self.wrap(&key, context).await?;
        Ok((key, wrapped))
    }

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
