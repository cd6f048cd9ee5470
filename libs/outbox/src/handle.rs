//! What a service keeps of its relay: whether a fact is in the log yet.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::OutboxStore;

/// How long an answer waits for its fact to be in the log.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many delivered ids are remembered, for those who ask late.
const REMEMBERED: usize = 4096;

/// Asks whether a fact is in the log, and wakes the relay.
#[derive(Clone)]
pub struct RelayHandle(Option<(Arc<Shared>, Arc<dyn OutboxStore>)>);

/// What a relay and its handles share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) wake: Notify,
    progress: watch::Sender<()>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    order: VecDeque<Uuid>,
    known: HashSet<Uuid>,
}

impl Shared {
    /// The log has these facts.
    pub(crate) fn delivered(&self, ids: impl IntoIterator<Item = Uuid>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if recent.known.insert(id) {
                recent.order.push_back(id);
            }
            if recent.order.len() > REMEMBERED
                && let Some(oldest) = recent.order.pop_front()
            {
                recent.known.remove(&oldest);
            }
        }
        drop(recent);
        self.progress.send_replace(());
    }

    fn knows(&self, id: Uuid) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.known.contains(&id)
    }
}

impl RelayHandle {
    /// A handle without a relay, for tests: every fact counts as delivered.
    pub fn detached() -> Self {
        Self(None)
    }

    pub(crate) fn of(shared: Arc<Shared>, store: Arc<dyn OutboxStore>) -> Self {
        Self(Some((shared, store)))
    }

    /// Wakes the relay and waits, for at most 250 ms, until the log has the fact, which must have been added before.
    /// False means "not yet": the row is kept and sent later.
    pub async fn delivered(&self, id: Uuid) -> bool {
        let Some((shared, store)) = &self.0 else {
            return true;
        };
        // Before looking, so that what happens in between is seen.
        let mut progress = shared.progress.subscribe();
        if shared.knows(id) {
            return true;
        }
        shared.wake.notify_one();
        let known = async { while progress.changed().await.is_ok() && !shared.knows(id) {} };
        if tokio::time::timeout(PATIENCE, known).await.is_ok() {
            return true;
        }
        // The relay of another process may have been faster; ours never heard of it then.
        matches!(store.keeps(id).await, Ok(false))
    }
}
