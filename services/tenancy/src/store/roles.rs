//! Roles that workspaces make.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_outbox::OutboxEvent;

use super::StoreError;
use crate::domain::{CustomRole, RoleChange, RoleId};

/// Roles that workspaces make.
#[async_trait]
pub(crate) trait RoleStore: Send + Sync + 'static {
    /// The workspace's own roles, by the time they were made.
    async fn list_roles(&self, workspace: WorkspaceId) -> Result<Vec<CustomRole>, StoreError>;

    /// The role, if the workspace made it.
    async fn find_role(&self, workspace: WorkspaceId, id: RoleId) -> Result<Option<CustomRole>, StoreError>;

    /// Makes the change and answers the role as it is then, or was; [`StoreError::Refused`] if [`RoleChange::apply`] does,
    /// [`StoreError::NoParent`]. Changes in one workspace come one after the other, those of its members among them. The
    /// access tokens end that say what the role does not hold any more, or not yet; expired invitations go with a role.
    async fn change_role(&self, change: &RoleChange, fact: OutboxEvent) -> Result<CustomRole, StoreError>;
}
