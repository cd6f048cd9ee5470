//! The revocations of a store in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{Page, Revocation, RevocationError, Revocations};

/// Revocations in memory. A store adds while it holds its own lock, so that change and revocation are one step.
#[derive(Debug, Clone, Default)]
pub struct MemoryRevocations(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    last: u64,
    rows: Vec<(u64, Revocation)>,
}

impl MemoryRevocations {
    /// Adds revocations.
    pub fn add(&self, revocations: impl IntoIterator<Item = Revocation>) {
        let mut rows = self.lock();
        for revocation in revocations {
            rows.last += 1;
            let place = rows.last;
            rows.rows.push((place, revocation));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // A panic elsewhere cannot leave the rows half changed: no change can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Revocations for MemoryRevocations {
    async fn after(&self, place: &str, now: DateTime<Utc>) -> Result<Page, RevocationError> {
        let rows = self.lock();
        let after: u64 = place.parse().unwrap_or_default();
        // A place of a process that ran before says nothing here.
        let after = if after > rows.last { 0 } else { after };
        let new = rows.rows.iter().filter(|(place, _)| *place > after);
        Ok(Page {
            revocations: new
                .map(|(_, revocation)| *revocation)
                .filter(|revocation| revocation.expires_at > now)
                .collect(),
            next: None,
            resume: rows.last.to_string(),
        })
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<usize, RevocationError> {
        let mut rows = self.lock();
        let before = rows.rows.len();
        rows.rows.retain(|(_, revocation)| revocation.expires_at > now);
        Ok(before - rows.rows.len())
    }
}
