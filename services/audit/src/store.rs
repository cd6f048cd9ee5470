//! Where the logs are: one append-only log per workspace, with the hash of every complete subtree.

#[cfg(test)]
pub(crate) mod conformance;
mod memory;

use std::ops::Range;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use chrono::{DateTime, Utc};
pub use memory::MemoryAuditStore;
use uuid::Uuid;

use crate::event::{Event, Outcome};
use crate::merkle::{Hash, Node};

/// An entry of a log, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// From 0, without gaps.
    pub seq: u64,
    /// The bytes that were hashed.
    pub leaf: Vec<u8>,
    /// Their hash.
    pub leaf_hash: Hash,
    /// When it was appended.
    pub appended_at: DateTime<Utc>,
    /// What the bytes say: what searches look at.
    pub event: Event,
}

/// What a search asks for; nothing set finds all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Only this action.
    pub action: Option<String>,
    /// Only this actor.
    pub actor_id: Option<String>,
    /// Only this thing.
    pub target_id: Option<String>,
    /// Only this outcome.
    pub outcome: Option<Outcome>,
    /// Only what happened from then on.
    pub from: Option<DateTime<Utc>>,
    /// Only what happened before then.
    pub to: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether the search finds the event.
    pub fn finds(&self, event: &Event) -> bool {
        fn fits<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        }
        fits(&self.action, &event.action)
            && fits(&self.actor_id, &event.actor_id)
            && fits(&self.target_id, &event.target_id)
            && fits(&self.outcome, &event.outcome)
            && self.from.is_none_or(|from| event.occurred_at >= from)
            && self.to.is_none_or(|to| event.occurred_at < to)
    }
}

/// What to do with an event whose id is in the log with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReuse {
    /// Append nothing of the batch.
    Refuse,
    /// The first stays, as for a repeat.
    KeepFirst,
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The id is in the log with other content.
    #[error("event id {0} is in the log with other content")]
    IdReused(Uuid),
    /// The store does not answer now.
    #[error("audit store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store lacks something that it must have.
    #[error("audit store is damaged: {0}")]
    Damaged(&'static str),
}

/// Logs. Every call names the workspace, so that no query can forget it. There is no way to change or remove an entry.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Appends a batch in its order, all of it or nothing, and answers the sequence number of each event. An event
    /// whose id is in the log is not appended again.
    ///
    /// # Errors
    /// [`StoreError::IdReused`] for an id with other content, unless the first is to be kept.
    async fn append(
        &self,
        workspace: WorkspaceId,
        events: Vec<Event>,
        appended_at: DateTime<Utc>,
        on_reuse: OnReuse,
    ) -> Result<Vec<u64>, StoreError>;

    /// How many entries the log has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], as for all that follow.
    async fn size(&self, workspace: WorkspaceId) -> Result<u64, StoreError>;

    /// The entry with that sequence number.
    async fn find(&self, workspace: WorkspaceId, seq: u64) -> Result<Option<Entry>, StoreError>;

    /// At most `limit` entries within `range` that `filter` finds, by sequence.
    async fn search(
        &self,
        workspace: WorkspaceId,
        range: Range<u64>,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// The hashes of complete subtrees, in the order asked for.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a node that is not there.
    async fn nodes(&self, workspace: WorkspaceId, nodes: &[Node]) -> Result<Vec<Hash>, StoreError>;
}
