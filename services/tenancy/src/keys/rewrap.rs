//! What operators do with the keys that wrap data keys: change them. Only data keys are wrapped anew, no tenant's data is
//! touched, and everything goes on serving meanwhile (ROT-06).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_context::WorkspaceId;
use causeway_crypto::{CryptoError, DataKey, KeyError, KeyProvider, LocalKeys, LocalRing};
use causeway_database::Database;
use futures::StreamExt as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{context_of, unwrap_key};
use crate::domain::{Rewrapped, StoredKey, WrappedDataKey};
use crate::page::Page;
use crate::providers::Providers;
use crate::store::{PgStore, StoreError, TenancyStore};
use crate::{Config, StartError};

/// How many workspaces are read at a time.
const WORKSPACES: usize = 2000;
/// How many keys are wrapped at a time: a key service has a quota, and is a network away.
const TOGETHER: usize = 16;

/// Work on data keys that cannot go on. What was done before stays, and the same may be started again.
#[derive(Debug, thiserror::Error)]
pub enum KeyOperationError {
    /// The key that is to wrap cannot be used, or a key service does not answer.
    #[error("use the key-encryption keys")]
    Key(#[from] KeyError),
    /// The store does not answer.
    #[error("read or write the keystore")]
    Store(#[from] StoreError),
}

/// Data keys that lie under one key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCount {
    /// The key-encryption key; nothing for destroyed data keys.
    pub wrapped_by: Option<String>,
    /// `data` or `transit`.
    pub ring: &'static str,
    /// `pending`, `active`, `decrypt_only`, `retiring` or `destroyed`.
    pub state: &'static str,
    /// How many.
    pub keys: u64,
}

/// What there is in the keystore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReport {
    /// The key-encryption key that wraps now.
    pub active: Result<String, KeyError>,
    /// By key-encryption key, ring and state.
    pub counts: Vec<KeyCount>,
    /// How many data keys are wrapped by another one than the active.
    pub elsewhere: u64,
    /// How many rotations are not at their end.
    pub rotations: u64,
}

/// How far the wrapping is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewrapProgress {
    /// Data keys that were looked at, destroyed ones left out.
    pub seen: u64,
    /// Those that are now wrapped by the active key.
    pub rewrapped: u64,
    /// Those that were already.
    pub unchanged: u64,
    /// Those that somebody else changed at the same time.
    pub overtaken: u64,
    /// Those that could not be unwrapped, by reason.
    pub failed: BTreeMap<String, u64>,
}

/// A new master key, as `CAUSELOOP_MASTER_KEY` has it.
///
/// # Errors
/// [`CryptoError::Refused`] if the system gives no random bytes.
pub fn new_master_key() -> Result<SecretString, CryptoError> {
    let key = DataKey::generate()?;
    let text = Zeroizing::new(STANDARD.encode(key.expose_bytes()));
    Ok(SecretString::from(text.as_str()))
}

/// The id under which data keys say that a master key wrapped them.
///
/// # Errors
/// [`KeyError::Malformed`] for what is not base64 of 32 bytes.
pub fn fingerprint(master: &SecretString) -> Result<String, KeyError> {
    let keys = LocalKeys {
        master: Some(master.clone()),
        ..LocalKeys::default()
    };
    let ring = LocalRing::new(&keys, false)?;
    ring.active_id().map(str::to_owned).ok_or(KeyError::Missing)
}

/// The keystore of all workspaces, and the key-encryption keys.
pub struct KeyOperations {
    store: Arc<dyn TenancyStore>,
    provider: Arc<dyn KeyProvider>,
}

impl KeyOperations {
    /// Those of that database, with the keys of that configuration.
    ///
    /// # Errors
    /// A setting that does not hold a key.
    pub async fn open(config: Config, database: Database) -> Result<Self, StartError> {
        let ring = LocalRing::new(&config.keys, config.development_key)?;
        let providers = Providers::new(ring, config.kms).await;
        Ok(Self::new(Arc::new(PgStore::new(database)), Arc::new(providers)))
    }

    pub(crate) fn new(store: Arc<dyn TenancyStore>, provider: Arc<dyn KeyProvider>) -> Self {
        Self { store, provider }
    }

    /// What there is.
    ///
    /// # Errors
    /// [`KeyOperationError::Store`]; an active key that cannot be used is part of the report.
    pub async fn report(&self) -> Result<KeyReport, KeyOperationError> {
        let active = self.provider.active_key().await;
        let mut counts = BTreeMap::new();
        let mut after = None;
        while let Some(workspaces) = self.workspaces(after).await? {
            for key in self.store.keys_of(&workspaces).await? {
                let wrapped_by = key.wrapped.map(|wrapped| wrapped.key_id);
                let place = (wrapped_by, key.ring.as_str(), key.state.as_str());
                *counts.entry(place).or_insert(0) += 1;
            }
            after = workspaces.last().copied();
        }
        let counts = counts.into_iter();
        let counts = counts.map(|((wrapped_by, ring, state), keys)| KeyCount {
            wrapped_by,
            ring,
            state,
            keys,
        });
        let counts: Vec<KeyCount> = counts.collect();
        let elsewhere = counts
            .iter()
            .filter(|count| count.wrapped_by.is_some() && count.wrapped_by.as_ref() != active.as_ref().ok());
        Ok(KeyReport {
            elsewhere: elsewhere.map(|count| count.keys).sum(),
            active,
            counts,
            rotations: self.store.count_rotations().await?,
        })
    }

    /// Wraps every data key by the active key, and says after each page how far it is. What is wrapped by it already is
    /// left alone, so that an interrupted run is just started again.
    ///
    /// # Errors
    /// The active key cannot be used, a key service does not answer, or the store. A data key that cannot be unwrapped
    /// is counted and passed over.
    pub async fn rewrap(
        &self,
        mut tell: impl FnMut(&RewrapProgress),
    ) -> Result<RewrapProgress, KeyOperationError> {
        let active = self.provider.active_key().await?;
        let (mut progress, mut after) = (RewrapProgress::default(), None);
        while let Some(workspaces) = self.workspaces(after).await? {
            let keys = self.store.keys_of(&workspaces).await?;
            self.rewrap_page(keys, &active, &mut progress).await?;
            tell(&progress);
            after = workspaces.last().copied();
        }
        Ok(progress)
    }

    async fn workspaces(&self, after: Option<WorkspaceId>) -> Result<Option<Vec<WorkspaceId>>, StoreError> {
        let page = Page {
            size: WORKSPACES,
            after,
        };
        let workspaces = self.store.keyed_workspaces(&page).await?;
        Ok((!workspaces.is_empty()).then_some(workspaces))
    }

    async fn rewrap_page(
        &self,
        keys: Vec<StoredKey>,
        active: &str,
        progress: &mut RewrapProgress,
    ) -> Result<(), KeyOperationError> {
        let (current, others): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .filter_map(StoredKey::usable)
            .partition(|key| key.wrapped.key_id == active);
        progress.seen += (current.len() + others.len()) as u64;
        progress.unchanged += current.len() as u64;
        let mut work = futures::stream::iter(others.into_iter().map(|key| self.rewrap_one(key)))
            .buffer_unordered(TOGETHER);
        let mut rewrapped = Vec::new();
        while let Some(answer) = work.next().await {
            match answer {
                Ok(key) => rewrapped.push(key),
                // Nobody knows what the next one would answer: start again when the service is back.
                Err(error @ KeyError::Unavailable(_)) => return Err(error.into()),
                Err(error) => *progress.failed.entry(error.to_string()).or_default() += 1,
            }
        }
        drop(work);
        // The database visits one workspace after the other: once each.
        rewrapped.sort_by_key(|key| key.before.workspace);
        let replaced = self.store.rewrap(&rewrapped).await?;
        progress.rewrapped += replaced;
        progress.overtaken += (rewrapped.len() as u64).saturating_sub(replaced);
        Ok(())
    }

    async fn rewrap_one(&self, key: WrappedDataKey) -> Result<Rewrapped, KeyError> {
        let unwrapped = unwrap_key(&*self.provider, &key).await?;
        let after = self.provider.wrap(&unwrapped, &context_of(&key)).await?;
        Ok(Rewrapped { before: key, after })
    }
}

#[cfg(test)]
mod tests;
