//! The outbox of an in-memory store.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{OutboxError, OutboxEvent, OutboxStore};

/// Facts in memory. A store pushes while it holds its own lock, so that change and fact are one step.
#[derive(Debug, Clone, Default)]
pub struct MemoryOutbox(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    unsent: VecDeque<OutboxEvent>,
    parked: Vec<(OutboxEvent, String)>,
}

impl MemoryOutbox {
    /// Adds a fact.
    pub fn push(&self, event: OutboxEvent) {
        self.lock().unsent.push_back(event);
    }

    /// What was set aside, and why.
    pub fn parked(&self) -> Vec<(OutboxEvent, String)> {
        self.lock().parked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        // A panic elsewhere cannot leave the facts half changed: no change can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OutboxStore for MemoryOutbox {
    async fn unsent(&self, limit: usize) -> Result<Vec<OutboxEvent>, OutboxError> {
        Ok(self.lock().unsent.iter().take(limit).cloned().collect())
    }

    async fn mark_sent(&self, ids: &[Uuid]) -> Result<(), OutboxError> {
        let ids: HashSet<&Uuid> = ids.iter().collect();
        self.lock().unsent.retain(|event| !ids.contains(&event.id));
        Ok(())
    }

    async fn park(&self, id: Uuid, because: &str) -> Result<(), OutboxError> {
        let mut facts = self.lock();
        let place = facts.unsent.iter().position(|event| event.id == id);
        if let Some(event) = place.and_then(|place| facts.unsent.remove(place)) {
            facts.parked.push((event, because.to_owned()));
        }
        Ok(())
    }
    async fn keeps(&self, id: Uuid) -> Result<bool, OutboxError> {
        let facts = self.lock();
        let mut parked = facts.parked.iter().map(|(event, _)| event);
        Ok(facts.unsent.iter().any(|event| event.id == id) || parked.any(|event| event.id == id))
    }
}
