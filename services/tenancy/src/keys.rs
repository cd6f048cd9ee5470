//! The data keys of workspaces: made on first use, kept wrapped, unwrapped when something is sealed or opened.
//!
//! The store is asked each time, so that a key that was destroyed is gone at once; only the unwrapping is remembered.

use std::sync::Arc;

use causeway_context::WorkspaceId;
use causeway_crypto::{DataKey, KeyContext, KeyProvider};
use chrono::{DateTime, Utc};

use crate::cache::KeyCache;
use crate::domain::WrappedDataKey;
use crate::error::TenancyError;
use crate::store::{StoreError, TenancyStore};

const PURPOSE: &str = "workspace data";
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

    /// The key that seals; made now if the workspace has none. Of two that make the first one together, one wins and
    /// both use that one.
    pub(crate) async fn active(
        &self,
        workspace: WorkspaceId,
        now: DateTime<Utc>,
    ) -> Result<UsableKey, TenancyError> {
        if let Some(stored) = self.store.find_active_key(workspace).await? {
            return self.usable(&stored).await;
        }
        let (key, wrapped) = self.provider.generate(&context(workspace, FIRST_VERSION)).await?;
        let key = Arc::new(key);
        let first = WrappedDataKey {
            workspace,
            version: FIRST_VERSION,
            wrapped,
            created_at: now,
        };
        // Committed before anything is sealed under it (ROT-01).
        match self.store.insert_key(&first).await {
            Ok(()) => {
                self.cache.put(&first, Arc::clone(&key));
                Ok(UsableKey {
                    version: FIRST_VERSION,
                    key,
                })
            }
            Err(StoreError::Conflict) => self.version(workspace, FIRST_VERSION).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The key of that version, to open what was sealed under it.
    pub(crate) async fn version(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<UsableKey, TenancyError> {
        let stored = self.store.find_key(workspace, version).await?;
        self.usable(&stored.ok_or(TenancyError::NoSuchKey(version))?)
            .await
    }

    async fn usable(&self, stored: &WrappedDataKey) -> Result<UsableKey, TenancyError> {
        let unwrap = || {
            let (provider, stored) = (Arc::clone(&self.provider), stored.clone());
            async move {
                let context = context(stored.workspace, stored.version);
                provider.unwrap_key(&stored.wrapped, &context).await
            }
        };
        Ok(UsableKey {
            version: stored.version,
            key: self.cache.get_or_unwrap(stored, unwrap).await?,
        })
    }
}

fn context(workspace: WorkspaceId, version: u32) -> KeyContext<'static> {
    KeyContext {
        workspace: workspace.0,
        version,
        purpose: PURPOSE,
    }
}

#[cfg(test)]
mod tests;
