//! The transactional outbox: a change and the fact that it happened are one step of one store, and a relay carries
//! the facts to the audit log. Order within a service is kept, nothing is lost, the log deduplicates by event id. A fact
//! that the log will never take is parked, so that it does not block those behind it.

mod event;
mod handle;
mod memory;
mod metrics;
mod postgres;
mod relay;

pub use event::{OutboxEvent, Outcome};
pub use handle::RelayHandle;
pub use memory::MemoryOutbox;
pub use postgres::{PgOutbox, commit_with_outbox_row, insert_outbox_row, insert_outbox_rows};
pub use relay::Relay;

use async_trait::async_trait;
use uuid::Uuid;

/// A store that cannot be read or written now.
#[derive(Debug, thiserror::Error)]
#[error("outbox store is unavailable")]
pub struct OutboxError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where a service keeps the facts that the log does not have yet.
#[async_trait]
pub trait OutboxStore: Send + Sync + 'static {
    /// At most `limit` facts that were not yet marked as sent, in the order of their commits.
    ///
    /// # Errors
    /// [`OutboxError`] when the store does not answer.
    async fn unsent(&self, limit: usize) -> Result<Vec<OutboxEvent>, OutboxError>;

    /// Marks facts as sent: the log has them.
    ///
    /// # Errors
    /// [`OutboxError`] when the store does not answer; the facts are then sent again.
    async fn mark_sent(&self, ids: &[Uuid]) -> Result<(), OutboxError>;

    /// Sets a fact aside that the log refuses for what it holds. It is kept, with the reason, and is no longer unsent:
    /// a person has to look at it.
    ///
    /// # Errors
    /// [`OutboxError`] when the store does not answer; the fact then stays where it is.
    async fn park(&self, id: Uuid, because: &str) -> Result<(), OutboxError>;

    /// Whether the fact is still here, unsent or parked. One that was added and is gone was sent, by this process or by
    /// another one of the same service, or was erased with its workspace.
    ///
    /// # Errors
    /// [`OutboxError`] when the store does not answer.
    async fn keeps(&self, id: Uuid) -> Result<bool, OutboxError>;
}
