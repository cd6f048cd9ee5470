//! Key-encryption keys from the settings (C-7).

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::envelope::{Authenticated, Domain, expand, open_bytes, seal_bytes};
use crate::keys::{DataKey, KeyContext, KeyError, KeyProvider, WrappedKey};

/// Known to everybody who reads this file, hence only for development (B-TEN-13).
const DEVELOPMENT_SEED: &[u8] = b"causeway development key: protects nothing";

/// What the settings say about key-encryption keys. The name decides how a value is read, never its shape.
#[derive(Default)]
pub struct LocalKeys {
    /// `CAUSELOOP_MASTER_KEY`: standard base64 of exactly 32 bytes.
    pub master: Option<SecretString>,
    /// `CAUSELOOP_MASTER_KEY_PREVIOUS`: the same form; only unwraps.
    pub master_previous: Option<SecretString>,
    /// `CONNECTOR_ENCRYPTION_KEY`: any text; its SHA-256 is the key.
    pub connector: Option<SecretString>,
    /// `CONNECTOR_ENCRYPTION_KEY_PREVIOUS`: the same form; only unwraps.
    pub connector_previous: Option<SecretString>,
}

/// A ring of local key-encryption keys: the first wraps, each unwraps what it wrapped. A key's id is a fingerprint of
/// the key itself, so that a key keeps its id when it moves from a setting to that setting's `_PREVIOUS`.
pub struct LocalRing {
    keys: Vec<RingKey>,
    active: Option<usize>,
}

struct RingKey {
    id: String,
    key: DataKey,
}

impl LocalRing {
    /// The ring of the configured keys. It may be empty: then each use is [`KeyError::Missing`] and nothing is stored
    /// in clear (KEY-05). `development_fallback` adds the key that everybody knows; only the caller can tell whether
    /// that is allowed.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for a master key that is not base64 of 32 bytes.
    pub fn new(keys: &LocalKeys, development_fallback: bool) -> Result<Self, KeyError> {
        let active = [
            base64_key(keys.master.as_ref(), "CAUSELOOP_MASTER_KEY")?,
            hashed_key("connector", keys.connector.as_ref())?,
            development_fallback.then(development_key).transpose()?,
        ];
        let previous = [
            base64_key(keys.master_previous.as_ref(), "CAUSELOOP_MASTER_KEY_PREVIOUS")?,
            hashed_key("connector", keys.connector_previous.as_ref())?,
        ];
        let active: Vec<RingKey> = active.into_iter().flatten().collect();
        Ok(Self {
            active: (!active.is_empty()).then_some(0),
            keys: active.into_iter().chain(previous.into_iter().flatten()).collect(),
        })
    }

    fn active(&self) -> Option<&RingKey> {
        self.keys.get(self.active?)
    }
}

fn base64_key(value: Option<&SecretString>, setting: &'static str) -> Result<Option<RingKey>, KeyError> {
    let Some(value) = value else { return Ok(None) };
    let bytes = STANDARD.decode(value.expose_secret()).map(Zeroizing::new);
    let key = bytes
        .ok()
        .and_then(|bytes| DataKey::from_bytes(&bytes))
        .ok_or(KeyError::Malformed { setting })?;
    RingKey::new("master", key).map(Some)
}

fn hashed_key(family: &str, value: Option<&SecretString>) -> Result<Option<RingKey>, KeyError> {
    value
        .map(|value| RingKey::new(family, sha256_key(value.expose_secret().as_bytes())))
        .transpose()
}

fn development_key() -> Result<RingKey, KeyError> {
    RingKey::new("development", sha256_key(DEVELOPMENT_SEED))
}

fn sha256_key(text: &[u8]) -> DataKey {
    DataKey::from_bytes(digest(&SHA256, text).as_ref()).expect("SHA-256 has the length of a key")
}

impl RingKey {
    fn new(family: &str, key: DataKey) -> Result<Self, KeyError> {
        let mut fingerprint = [0; 8];
        expand(key.bytes(), &[b"causeway key id v1"], &mut fingerprint).map_err(KeyError::Refused)?;
        let id = format!("{family}-{:016x}", u64::from_be_bytes(fingerprint));
        Ok(Self { id, key })
    }

    fn aad(&self, context: &KeyContext<'_>) -> Authenticated {
        let mut bytes = Authenticated::with_capacity(self.id.len() + context.purpose.len() + 64);
        bytes.put_text(&self.id);
        context.put_into(&mut bytes);
        bytes
    }
}

#[async_trait]
impl KeyProvider for LocalRing {
    fn active_id(&self) -> Option<&str> {
        self.active().map(|key| key.id.as_str())
    }

    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError> {
        let active = self.active().ok_or(KeyError::Missing)?;
        let bytes = seal_bytes(
            Domain::Wrap,
            active.key.bytes(),
            context.version,
            key.bytes(),
            active.aad(context),
        );
        Ok(WrappedKey {
            key_id: active.id.clone(),
            bytes: bytes.map_err(KeyError::Refused)?,
        })
    }

    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError> {
        if self.keys.is_empty() {
            return Err(KeyError::Missing);
        }
        let known = self.keys.iter().find(|key| key.id == wrapped.key_id);
        let known = known.ok_or_else(|| KeyError::Unknown(wrapped.key_id.clone()))?;
        let bytes = open_bytes(
            Domain::Wrap,
            known.key.bytes(),
            &wrapped.bytes,
            known.aad(context),
        )
        .map_err(KeyError::Refused)?;
        DataKey::from_bytes(&bytes).ok_or(KeyError::Refused(crate::CryptoError::Truncated))
    }
}

#[cfg(test)]
mod tests;
