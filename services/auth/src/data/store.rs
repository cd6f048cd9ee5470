//! What the store does with tenants' data.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_holder::{Applied, Part, Tombstone};
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use crate::domain::SealedSeed;
use crate::store::StoreError;

/// Everything that this service keeps of a workspace.
#[async_trait]
pub(crate) trait DataStore: Send + Sync + 'static {
    /// Seeds of the workspace that lie under lower versions, by person, after that one.
    async fn seeds_below(
        &self,
        workspace: WorkspaceId,
        version: i32,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, SealedSeed)>, StoreError>;

    /// Replaces a seed that is still the one that was read, under a newer key (ROT-02). False if somebody was faster.
    async fn reseal_seed(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        before: &SealedSeed,
        after: &SealedSeed,
    ) -> Result<bool, StoreError>;

    /// How many seeds the workspace has, and how many of them lie under lower versions.
    async fn count_seeds_below(&self, workspace: WorkspaceId, version: i32)
    -> Result<(u64, u64), StoreError>;

    /// The address of a person's account.
    async fn address_of(&self, user: UserId) -> Result<Option<String>, StoreError>;

    /// Erases what the tombstone says, once. A repeat answers what was done.
    async fn apply_tombstone(&self, tombstone: &Tombstone, at: DateTime<Utc>) -> Result<Applied, StoreError>;

    /// Sends the rows of a workspace, as of the snapshot or of one moment.
    async fn send_rows(
        &self,
        workspace: WorkspaceId,
        snapshot: Option<String>,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), StoreError>;

    /// Workspaces with sign-ins, those after that one, in the order of their ids.
    async fn workspaces_with_history(
        &self,
        after: Option<WorkspaceId>,
        limit: usize,
    ) -> Result<Vec<WorkspaceId>, StoreError>;

    /// Forgets the sign-ins into the workspace before that time.
    async fn forget_sign_ins(&self, workspace: WorkspaceId, before: DateTime<Utc>) -> Result<(), StoreError>;
}
