//! The one workspace of an installation with a single tenant.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Membership, Workspace};

/// A person who is to belong to the only workspace.
pub(crate) struct Joining {
    /// The workspace as it is made if it is not there yet; its time is the time of joining.
    pub workspace: Workspace,
    /// The person.
    pub user: UserId,
    /// The fact that the person made the workspace.
    pub made: OutboxEvent,
    /// The fact that the person joined it.
    pub joined: OutboxEvent,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The workspace and the person in it.
    pub membership: Membership,
    /// The fact that was kept; none for who belonged to it already.
    pub fact: Option<Uuid>,
}

/// Who belongs to the only workspace.
#[async_trait]
pub(crate) trait OnlyStore: Send + Sync + 'static {
    /// Makes the person a member: an owner if the workspace has none, otherwise a viewer. The workspace is made if it is
    /// not there. Of many who come together one is the owner. Keeps one of the two facts, or none for a member.
    async fn join_only(&self, joining: Joining) -> Result<Joined, StoreError>;
}
