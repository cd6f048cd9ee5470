//! The data keys of workspaces: made on first use, kept wrapped, unwrapped when something is sealed or opened.
//!
//! The store is asked each time, so that a key that was destroyed is gone at once, whatever is remembered here of its
//! unwrapped form; only that it is gone need not be asked twice.

mod reseal;
mod rewrap;

use std::sync::Arc;

use causeway_context::WorkspaceId;
use causeway_crypto::{DataKey, KeyContext, KeyError, KeyProvider};
use chrono::{DateTime, Utc};

use crate::cache::KeyCache;
use crate::domain::{KeyPlace, KeyState, Ring, StoredKey, WrappedDataKey};
use crate::error::TenancyError;
use crate::store::{StoreError, TenancyStore};

pub(crate) use reseal::SealedSecrets;
pub use rewrap::{
    KeyCount, KeyOperationError, KeyOperations, KeyReport, RewrapProgress, fingerprint, new_master_key,
};

const FIRST_VERSION: u32 = 1;

/// A data key that can seal and open, and its version.
pub(crate) struct UsableKey {
    pub(crate) version: u32,
    pub(crate) key: Arc<DataKey>,
}

/// Gives out data keys.
pub(crate) struct DataKeys {
    store: Arc<dyn TenancyStore>,
    provider: Arc<dyn KeyProvider>,
    cache: KeyCache,
}

impl DataKeys {
    pub(crate) fn new(store: Arc<dyn TenancyStore>, provider: Arc<dyn KeyProvider>) -> Self {
        Self {
            store,
            provider,
            cache: KeyCache::default(),
        }
    }

    /// What is remembered, for whoever sweeps it.
    pub(crate) fn cache(&self) -> KeyCache {
        self.cache.clone()
    }

    /// The key that seals; made now if the ring has none. Of two that make the first one together, one wins and both
    /// use that one.
    pub(crate) async fn active(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
        now: DateTime<Utc>,
    ) -> Result<UsableKey, TenancyError> {
        if let Some(stored) = self.store.find_active_key(workspace, ring).await? {
            return self.usable(stored).await;
        }
        let (first, key) = self
            .generate(workspace, ring, FIRST_VERSION, KeyState::Active, now)
            .await?;
        // Committed before anything is sealed under it (ROT-01).
        match self.store.insert_key(&first).await {
            Ok(()) => {
                if let Some(first) = first.usable() {
                    self.cache.put(&first, Arc::clone(&key));
                }
                Ok(UsableKey {
                    version: FIRST_VERSION,
                    key,
                })
            }
            // Somebody else made it; or the ring was shredded, and it is destroyed.
            Err(StoreError::Conflict) => self.version(workspace, ring, FIRST_VERSION).await,
            Err(error) => Err(error.into()),
        }
    }

    /// A new key of that version, as it is to be kept.
    pub(crate) async fn generate(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
        version: u32,
        state: KeyState,
        now: DateTime<Utc>,
    ) -> Result<(StoredKey, Arc<DataKey>), TenancyError> {
        let (key, wrapped) = self.provider.generate(&context(workspace, ring, version)).await?;
        let stored = StoredKey {
            workspace,
            ring,
            version,
            state,
            wrapped: Some(wrapped),
            created_at: now,
            destroyed_at: None,
        };
        Ok((stored, Arc::new(key)))
    }

    /// The key of that version, to open what was sealed under it.
    ///
    /// # Errors
    /// [`TenancyError::KeyDestroyed`] for one that is gone for good.
    pub(crate) async fn version(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
        version: u32,
    ) -> Result<UsableKey, TenancyError> {
        if self.cache.is_destroyed(workspace, KeyPlace { ring, version }) {
            return Err(TenancyError::KeyDestroyed(version));
        }
        let stored = self.store.find_key(workspace, ring, version).await?;
        self.usable(stored.ok_or(TenancyError::NoSuchKey(version))?).await
    }

    async fn usable(&self, stored: StoredKey) -> Result<UsableKey, TenancyError> {
        let (workspace, place) = (stored.workspace, stored.place());
        let Some(stored) = stored.usable() else {
            self.cache.destroy(workspace, place);
            return Err(TenancyError::KeyDestroyed(place.version));
        };
        let unwrap = || {
            let (provider, stored) = (Arc::clone(&self.provider), stored.clone());
            async move { unwrap_key(&*provider, &stored).await }
        };
        Ok(UsableKey {
            version: stored.version,
            key: self.cache.get_or_unwrap(&stored, unwrap).await?,
        })
    }
}

fn context(workspace: WorkspaceId, ring: Ring, version: u32) -> KeyContext<'static> {
    KeyContext {
        workspace: workspace.0,
        version,
        purpose: ring.purpose(),
    }
}

fn context_of(key: &WrappedDataKey) -> KeyContext<'static> {
    context(key.workspace, key.ring, key.version)
}

async fn unwrap_key(provider: &dyn KeyProvider, key: &WrappedDataKey) -> Result<DataKey, KeyError> {
    match provider.unwrap_key(&key.wrapped, &context_of(key)).await {
        // The first release had one ring. What the crypto API sealed then lies elsewhere and must open, so its keys are
        // in this ring as they were.
        Err(KeyError::Refused(_)) if key.ring == Ring::Transit => {
            let first = context(key.workspace, Ring::Data, key.version);
            provider.unwrap_key(&key.wrapped, &first).await
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests;
