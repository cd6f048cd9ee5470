//! What the store does for erasures and exports.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_holder::{Applied, Buried, Part, Snapshot, Tombstone};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Content, Done, Erasure, Export, Receipt};
use crate::page::{Page, TimePlace};

/// A piece of work that one process has for a while. The token tells it from the one that had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkLease {
    /// Whose it is.
    pub token: Uuid,
    /// When it ends, unless it is renewed.
    pub until: DateTime<Utc>,
}

/// The ledger of erasures. It lies apart from everything else, and outlives it.
#[async_trait]
pub(crate) trait LedgerStore: Send + Sync + 'static {
    /// Orders an erasure; answers it, or the open one for the same workspace and person, and then keeps no fact.
    async fn order_erasure(&self, erasure: &Erasure, fact: OutboxEvent) -> Result<Erasure, StoreError>;

    /// The erasure, of whatever workspace, with its receipt.
    async fn find_erasure(&self, id: Uuid) -> Result<Option<Erasure>, StoreError>;

    /// The erasures of the workspace, newest first.
    async fn list_erasures(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Erasure>, StoreError>;

    /// Takes back an erasure that has not begun; nothing if the workspace has none of that id,
    /// [`StoreError::Refused`] if it has begun. To take it back again changes nothing.
    async fn cancel_erasure(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        fact: OutboxEvent,
    ) -> Result<Option<Erasure>, StoreError>;

    /// Begins the erasure that has been due for longest, or goes on with one whose worker is gone.
    async fn claim_erasure(
        &self,
        now: DateTime<Utc>,
        lease: WorkLease,
    ) -> Result<Option<Erasure>, StoreError>;

    /// Keeps the lease for longer; false if somebody else has it.
    async fn renew_erasure(&self, id: Uuid, lease: WorkLease) -> Result<bool, StoreError>;

    /// Gives up an erasure that has become impossible. False, and no fact, if it has a tombstone or another worker.
    async fn abandon_erasure(&self, id: Uuid, token: Uuid, fact: OutboxEvent) -> Result<bool, StoreError>;

    /// Commits to the erasure: from now on it will be carried out, here and wherever the data is restored. A person is a
    /// mere reader from now on, so that the others are not kept from being owners, nor freed from it, by somebody who is
    /// as good as gone. A repeat answers the same number.
    ///
    /// [`StoreError::Refused`], and no tombstone, for a person who is no member any more or has become the only owner.
    async fn bury(&self, erasure: &Erasure, at: DateTime<Utc>) -> Result<Tombstone, StoreError>;

    /// Ends an erasure with the next receipt of the ledger. A repeat answers the same receipt and keeps no fact.
    async fn finish_erasure(
        &self,
        erasure: &Erasure,
        done: &Done,
        fact: OutboxEvent,
    ) -> Result<Receipt, StoreError>;

    /// All receipts, in their order.
    async fn receipts(&self) -> Result<Vec<Receipt>, StoreError>;

    /// All tombstones, in the order of their numbers.
    async fn tombstones(&self) -> Result<Vec<Buried>, StoreError>;
}

/// Exports and their bytes.
#[async_trait]
pub(crate) trait ExportStore: Send + Sync + 'static {
    /// Adds an export to make; [`StoreError::NoParent`].
    async fn insert_export(&self, export: &Export, fact: OutboxEvent) -> Result<(), StoreError>;

    /// The export.
    async fn find_export(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Export>, StoreError>;

    /// The exports of the workspace, newest first.
    async fn list_exports(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Export>, StoreError>;

    /// An export to make that nobody works on, and how often it was begun, this time included. Its bytes are dropped:
    /// an export is made in one go.
    async fn claim_export(
        &self,
        now: DateTime<Utc>,
        lease: WorkLease,
    ) -> Result<Option<(Export, u32)>, StoreError>;

    /// Adds a piece and keeps the lease for longer; [`StoreError::Conflict`] if somebody else has it, or the export is
    /// gone.
    async fn append_chunk(
        &self,
        export: &Export,
        lease: WorkLease,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError>;

    /// Ends an export: with its content, or without because it failed. [`StoreError::Conflict`] as above.
    async fn finish_export(
        &self,
        export: &Export,
        token: Uuid,
        content: Option<&Content>,
        fact: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// A piece of an export.
    async fn read_chunk(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        number: u32,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Throws away the bytes of exports whose time is over, and of those that were erased; at most so many. True if
    /// there may be more.
    async fn purge_exports(&self, now: DateTime<Utc>, limit: usize) -> Result<bool, StoreError>;

    /// How many objects of the workspace wait to be thrown away.
    async fn doomed_objects(&self, workspace: WorkspaceId) -> Result<u64, StoreError>;
}

/// Everything that this service keeps of a workspace.
#[async_trait]
pub(crate) trait TenantRows: Send + Sync + 'static {
    /// Erases what the tombstone says, once, and says which persons belong to no workspace any more. A repeat answers
    /// what was done.
    async fn apply_tombstone(&self, tombstone: &Tombstone, at: DateTime<Utc>) -> Result<Applied, StoreError>;

    /// Sends the rows of a workspace, as of the snapshot or of one moment; [`StoreError::Unavailable`] if the snapshot is
    /// over.
    async fn send_rows(
        &self,
        workspace: WorkspaceId,
        snapshot: Option<String>,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), StoreError>;

    /// Takes a snapshot that the holders of data who share the database can read. None without a database.
    async fn snapshot(&self) -> Result<Option<Snapshot>, StoreError>;

    /// The owners of the workspace.
    async fn owners(&self, workspace: WorkspaceId) -> Result<Vec<UserId>, StoreError>;
}

/// All of it.
pub(crate) trait LifecycleStore: LedgerStore + ExportStore + TenantRows {}

impl<S: LedgerStore + ExportStore + TenantRows> LifecycleStore for S {}
