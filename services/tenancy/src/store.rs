//! What the service keeps. Memory and PostgreSQL pass one suite, `conformance.rs`.
//!
//! Every method that reads or writes a tenant's rows names the tenant. Ids and times are arguments. A change takes the
//! fact that it happened, and both become visible in one step.

#[cfg(test)]
mod conformance;
mod keys;
pub(crate) mod lifecycle;
mod memory;
mod only;
mod postgres;
mod roles;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::{
    Belonging, Invitation, Member, MemberChange, Membership, Secret, SecretHash, SecretName, SettingChange,
    Settings, Workspace, WorkspaceName,
};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;

pub(crate) use keys::{
    Advance, KeyStore, KeyStores, Resealed, RewrapStore, RotationStore, SealedStore, shredded_ring,
};
pub(crate) use lifecycle::{ExportStore, LedgerStore, LifecycleStore, TenantRows, WorkLease};
pub(crate) use memory::MemoryStore;
pub(crate) use only::{Joined, Joining, OnlyStore};
pub(crate) use postgres::PgStore;
pub(crate) use roles::RoleStore;

/// A cause, kept for the log.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A store that does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What is to be added is there already, or was changed meanwhile.
    #[error("the row is there already or was changed")]
    Conflict,
    /// The workspace of the row does not exist.
    #[error("the workspace does not exist")]
    NoParent,
    /// The data key version may not be written any more: seal again under the newest (ROT-05).
    #[error("the data key version may not be written any more")]
    Fenced,
    /// Another process works on it now.
    #[error("another process has the lease")]
    LeaseLost,
    /// A rule forbids it, and nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store does not answer; a write may or may not have happened.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// A row does not hold what its column promises.
    #[error("a row cannot be read")]
    Corrupt(#[source] Cause),
}

/// The longest life of an access token: for so long gateways are told of a membership that changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessLife(pub(crate) TimeDelta);

impl Default for AccessLife {
    fn default() -> Self {
        Self(TimeDelta::minutes(15))
    }
}

/// Workspaces and who belongs to them.
#[async_trait]
pub(crate) trait WorkspaceStore: Send + Sync + 'static {
    /// Adds a workspace with its first member; [`StoreError::Conflict`] if its id is taken.
    async fn create_workspace(
        &self,
        workspace: &Workspace,
        owner: &Member,
        fact: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// The workspace.
    async fn find_workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError>;

    /// Gives the workspace another name; answers nothing, and keeps no fact, if there is no such workspace.
    async fn rename_workspace(
        &self,
        id: WorkspaceId,
        name: &WorkspaceName,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Option<Workspace>, StoreError>;

    /// The person in the workspace.
    async fn find_member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError>;

    /// The people in the workspace, by the time they joined.
    async fn list_members(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Member>, StoreError>;

    /// The person's workspaces, by the time of joining. The only question that spans tenants: who asks must have proven
    /// to be that person, or be a service.
    async fn list_memberships(
        &self,
        user: UserId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Membership>, StoreError>;

    /// What each person is in the workspace beside, in their order; nothing for who does not belong to it. One look for
    /// all of them: this is asked at every refresh of a session.
    async fn find_belongings(
        &self,
        places: &[(WorkspaceId, UserId)],
    ) -> Result<Vec<Option<Belonging>>, StoreError>;
}

/// Changes of membership, and invitations.
#[async_trait]
pub(crate) trait MemberStore: Send + Sync + 'static {
    /// Makes the change and answers the member as it is then, or was; [`StoreError::Refused`] if
    /// [`MemberChange::check`] does, [`StoreError::NoParent`]. Changes in one workspace come one after the other. The
    /// invitations that the person could no longer write go with its role, and so do the credentials that say the old one
    /// and were issued until [`SETTLED`] after the change.
    async fn change_member(&self, change: &MemberChange, fact: OutboxEvent) -> Result<Member, StoreError>;

    /// Adds an invitation that the secret of that hash opens; [`StoreError::Refused`] if its writer may not grant its
    /// role, or its address has one that is open. One that has expired is replaced.
    async fn insert_invitation(
        &self,
        invitation: &Invitation,
        hash: &SecretHash,
        fact: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// The workspace's open and expired invitations, by the time they were written.
    async fn list_invitations(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// The invitation that the secret of that hash opens, expired or not. Spans tenants: who has the secret is not in
    /// the workspace yet.
    async fn find_invitation(&self, hash: &SecretHash) -> Result<Option<Invitation>, StoreError>;

    /// Uses up the invitation and makes the person a member; [`StoreError::Refused`] if it is gone or has expired, or
    /// the person is a member already: then it stays.
    async fn accept_invitation(
        &self,
        invitation: &Invitation,
        user: UserId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Membership, StoreError>;

    /// Takes an invitation back; false, and no fact, if there is none.
    async fn revoke_invitation(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;
}

/// What workspaces decide for themselves.
#[async_trait]
pub(crate) trait SettingsStore: Send + Sync + 'static {
    /// The settings; nothing if there is no such workspace.
    async fn find_settings(&self, workspace: WorkspaceId) -> Result<Option<Settings>, StoreError>;

    /// Makes the changes and answers the settings after them; [`StoreError::Refused`] if [`Settings::with`] does,
    /// [`StoreError::NoParent`].
    async fn change_settings(
        &self,
        workspace: WorkspaceId,
        changes: &[SettingChange],
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Settings, StoreError> {
        self.change_settings_for(workspace, changes, at, vec![fact]).await
    }

    /// The same change as several facts, for the logs of several workspaces.
    async fn change_settings_for(
        &self,
        workspace: WorkspaceId,
        changes: &[SettingChange],
        at: DateTime<Utc>,
        facts: Vec<OutboxEvent>,
    ) -> Result<Settings, StoreError>;
}

/// Sealed secrets.
#[async_trait]
pub(crate) trait SecretStore: Send + Sync + 'static {
    /// The secret.
    async fn find_secret(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
    ) -> Result<Option<Secret>, StoreError>;

    /// The workspace's secrets, by name.
    async fn list_secrets(
        &self,
        workspace: WorkspaceId,
        page: &Page<SecretName>,
    ) -> Result<Vec<Secret>, StoreError>;

    /// Adds the first version of a secret; [`StoreError::Conflict`] if the name is taken, [`StoreError::Fenced`],
    /// [`StoreError::NoParent`].
    async fn insert_secret(&self, secret: &Secret, fact: OutboxEvent) -> Result<(), StoreError>;

    /// Replaces the version before `secret.version` of the same row; [`StoreError::Conflict`] if that is not what is
    /// stored, [`StoreError::Fenced`].
    async fn replace_secret(&self, secret: &Secret, fact: OutboxEvent) -> Result<(), StoreError>;

    /// Forgets a secret; false, and no fact, if there is none.
    async fn delete_secret(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Keeps the fact that a secret was read.
    async fn record(&self, fact: OutboxEvent) -> Result<(), StoreError>;
}

/// All that the service keeps.
pub(crate) trait TenancyStore:
    WorkspaceStore
    + OnlyStore
    + MemberStore
    + RoleStore
    + SettingsStore
    + KeyStores
    + SecretStore
    + LifecycleStore
{
}

impl<S> TenancyStore for S where
    S: WorkspaceStore
        + OnlyStore
        + MemberStore
        + RoleStore
        + SettingsStore
        + KeyStores
        + SecretStore
        + LifecycleStore
{
}
