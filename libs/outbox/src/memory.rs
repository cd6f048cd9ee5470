//! The outbox of an in-memory store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{OutboxError, OutboxEvent, OutboxStore};

/// Facts in memory. A store pushes while it holds its own lock, so that change and fact are one step.
#[derive(Debug, Clone, Default)]
pub struct MemoryOutbox(Arc<Mutex<VecDeque<OutboxEvent>>>);

impl MemoryOutbox {
    /// Adds a fact.
    pub fn push(&self, event: OutboxEvent) {
        self.lock().push_back(event);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<OutboxEvent>> {
        // A panic elsewhere cannot leave the queue half changed: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl OutboxStore for MemoryOutbox {
    async fn unsent(&self, limit: usize) -> Result<Vec<OutboxEvent>, OutboxError> {
        Ok(self.lock().iter().take(limit).cloned().collect())
    }

    async fn mark_sent(&self, ids: &[Uuid]) -> Result<(), OutboxError> {
        self.lock().retain(|event| !ids.contains(&event.id));
        Ok(())
    }
}
