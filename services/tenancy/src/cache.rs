//! Unwrapped data keys, for a while: a key-encryption key may be a network away (KEY-07).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_crypto::{DataKey, WrappedKey};
use tokio::time::Instant;

use crate::domain::WrappedDataKey;

const LIFETIME: Duration = Duration::from_secs(300);
const LARGEST_SIZE: usize = 1024;

/// A bounded number of keys, each for a bounded time; the oldest goes first. A key is overwritten when its last user
/// drops it.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<(WorkspaceId, u32), Entry>>);

struct Entry {
    /// Of what the key is the unwrapped form: the key was proven to belong to its workspace only for these bytes.
    wrapped: WrappedKey,
    key: Arc<DataKey>,
    since: Instant,
}

impl Entry {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < LIFETIME
    }
}

impl KeyCache {
    pub(crate) fn get(&self, stored: &WrappedDataKey) -> Option<Arc<DataKey>> {
        let entries = self.entries();
        let entry = entries.get(&(stored.workspace, stored.version))?;
        (entry.wrapped == stored.wrapped && entry.is_fresh()).then(|| Arc::clone(&entry.key))
    }

    pub(crate) fn put(&self, stored: &WrappedDataKey, key: Arc<DataKey>) {
        let mut entries = self.entries();
        if entries.len() >= LARGEST_SIZE {
            entries.retain(|_, entry| entry.is_fresh());
        }
        while entries.len() >= LARGEST_SIZE
            && let Some(oldest) = entries
                .iter()
                .min_by_key(|(_, entry)| entry.since)
                .map(|(place, _)| *place)
        {
            entries.remove(&oldest);
        }
        let entry = Entry {
            wrapped: stored.wrapped.clone(),
            key,
            since: Instant::now(),
        };
        entries.insert((stored.workspace, stored.version), entry);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<(WorkspaceId, u32), Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn stored(workspace: WorkspaceId) -> WrappedDataKey {
        let wrapped = WrappedKey {
            key_id: "k".to_owned(),
            bytes: vec![1],
        };
        WrappedDataKey {
            workspace,
            version: 1,
            wrapped,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    fn key() -> Arc<DataKey> {
        Arc::new(DataKey::generate().expect("random bytes"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_forgotten_after_five_minutes() {
        let (cache, stored) = (KeyCache::default(), stored(WorkspaceId::generate()));
        cache.put(&stored, key());
        tokio::time::advance(LIFETIME - Duration::from_secs(1)).await;
        assert!(cache.get(&stored).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(cache.get(&stored).is_none());
    }

    #[tokio::test]
    async fn wrapped_bytes_moved_to_another_workspace_find_nothing() {
        let (cache, home) = (KeyCache::default(), stored(WorkspaceId::generate()));
        cache.put(&home, key());
        assert!(cache.get(&stored(WorkspaceId::generate())).is_none());
        let wrapped = WrappedKey {
            bytes: vec![2],
            ..home.wrapped.clone()
        };
        assert!(cache.get(&WrappedDataKey { wrapped, ..home }).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_key_makes_room() {
        let cache = KeyCache::default();
        let first = stored(WorkspaceId::generate());
        cache.put(&first, key());
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..LARGEST_SIZE {
            cache.put(&stored(WorkspaceId::generate()), key());
        }
        assert!(cache.get(&first).is_none());
        assert_eq!(cache.entries().len(), LARGEST_SIZE);
    }
}
