//! The store of a process without a database. One lock: each method is one step.

mod exports;
mod keys;
mod ledger;
mod membership;
mod only;
mod roles;
mod rows;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_holder::Applied;
use causeway_outbox::{MemoryOutbox, OutboxEvent};
use causeway_revocation::MemoryRevocations;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{AccessLife, SecretStore, StoreError, WorkspaceStore};
use crate::domain::{
    Belonging, CustomRole, Invitation, Member, MemberRole, Membership, RoleId, Secret, SecretHash,
    SecretName, Settings, Workspace, WorkspaceName,
};
use crate::page::{Page, TimePlace};

/// Everything in memory.
#[derive(Default)]
pub(crate) struct MemoryStore {
    state: Mutex<State>,
    outbox: MemoryOutbox,
    key_outbox: MemoryOutbox,
    ended: MemoryRevocations,
    life: AccessLife,
}

#[derive(Default)]
struct State {
    ledger: ledger::Ledger,
    exports: exports::Exports,
    /// What was erased, of whom, by the numbers of tombstones.
    applied: BTreeMap<i64, ((WorkspaceId, Option<UserId>), Applied)>,
    workspaces: BTreeMap<WorkspaceId, Workspace>,
    members: BTreeMap<(WorkspaceId, UserId), Member>,
    invitations: BTreeMap<(WorkspaceId, Uuid), (Invitation, SecretHash)>,
    roles: BTreeMap<(WorkspaceId, RoleId), CustomRole>,
    settings: BTreeMap<WorkspaceId, Settings>,
    keys: keys::Keys,
    secrets: BTreeMap<(WorkspaceId, SecretName), Secret>,
}

impl MemoryStore {
    /// The facts that the store keeps.
    pub(crate) fn outbox(&self) -> MemoryOutbox {
        self.outbox.clone()
    }

    /// The facts about keys that the store keeps.
    pub(crate) fn key_outbox(&self) -> MemoryOutbox {
        self.key_outbox.clone()
    }

    /// The same store where access tokens live that long.
    pub(crate) fn with_access_life(self, life: TimeDelta) -> Self {
        Self {
            life: AccessLife(life),
            ..self
        }
    }

    /// What ended before its time.
    pub(crate) fn revocations(&self) -> MemoryRevocations {
        self.ended.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No method leaves the state half changed: each checks first and then only inserts or removes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn require(&self, workspace: WorkspaceId) -> Result<(), StoreError> {
        if self.workspaces.contains_key(&workspace) {
            Ok(())
        } else {
            Err(StoreError::NoParent)
        }
    }

    fn may_write(&self, secret: &Secret) -> Result<(), StoreError> {
        self.require(secret.workspace)?;
        self.keys.may_write(secret.workspace, secret.key_version)
    }
}

/// The page of `items` in the order of their places.
fn page_of<T, P: Ord>(items: impl Iterator<Item = T>, page: &Page<P>, place: impl Fn(&T) -> P) -> Vec<T> {
    let mut items: Vec<T> = items
        .filter(|item| page.after.as_ref().is_none_or(|after| place(item) > *after))
        .collect();
    items.sort_by_key(&place);
    items.truncate(page.size);
    items
}

#[async_trait]
impl WorkspaceStore for MemoryStore {
    async fn create_workspace(
        &self,
        workspace: &Workspace,
        owner: &Member,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.workspaces.contains_key(&workspace.id) {
            return Err(StoreError::Conflict);
        }
        if state
            .applied
            .values()
            .any(|(whose, _)| *whose == (workspace.id, None))
        {
            return Err(StoreError::NoParent);
        }
        state.workspaces.insert(workspace.id, workspace.clone());
        state.members.insert((workspace.id, owner.user), owner.clone());
        self.outbox.push(fact);
        Ok(())
    }

    async fn find_workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        Ok(self.state().workspaces.get(&id).cloned())
    }

    async fn rename_workspace(
        &self,
        id: WorkspaceId,
        name: &WorkspaceName,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Option<Workspace>, StoreError> {
        let mut state = self.state();
        let Some(workspace) = state.workspaces.get_mut(&id) else {
            return Ok(None);
        };
        workspace.name = name.clone();
        workspace.updated_at = at;
        self.outbox.push(fact);
        Ok(Some(workspace.clone()))
    }

    async fn find_member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError> {
        Ok(self.state().members.get(&(workspace, user)).cloned())
    }

    async fn list_members(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Member>, StoreError> {
        let state = self.state();
        let members = state
            .members
            .values()
            .filter(|member| member.workspace == workspace)
            .cloned();
        Ok(page_of(members, page, Member::place))
    }

    async fn list_memberships(
        &self,
        user: UserId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Membership>, StoreError> {
        let state = self.state();
        let memberships = state
            .members
            .values()
            .filter(|member| member.user == user)
            .filter_map(|member| {
                let workspace = state.workspaces.get(&member.workspace)?.clone();
                Some(Membership {
                    workspace,
                    member: member.clone(),
                })
            });
        Ok(page_of(memberships, page, Membership::place))
    }

    async fn find_belongings(
        &self,
        places: &[(WorkspaceId, UserId)],
    ) -> Result<Vec<Option<Belonging>>, StoreError> {
        let state = self.state();
        let belonging = |place: &(WorkspaceId, UserId)| {
            let member = state.members.get(place)?.clone();
            let custom = match member.role {
                MemberRole::BuiltIn(_) => None,
                MemberRole::Custom(id) => state.roles.get(&(place.0, id)).map(|role| role.permissions),
            };
            Some(Belonging {
                mfa_policy: state.settings_of(place.0)?.mfa_policy,
                membership: Membership {
                    workspace: state.workspaces.get(&place.0)?.clone(),
                    member,
                },
                custom,
            })
        };
        Ok(places.iter().map(belonging).collect())
    }
}

#[async_trait]
impl SecretStore for MemoryStore {
    async fn find_secret(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
    ) -> Result<Option<Secret>, StoreError> {
        Ok(self.state().secrets.get(&(workspace, name.clone())).cloned())
    }

    async fn list_secrets(
        &self,
        workspace: WorkspaceId,
        page: &Page<SecretName>,
    ) -> Result<Vec<Secret>, StoreError> {
        let state = self.state();
        let secrets = state
            .secrets
            .values()
            .filter(|secret| secret.workspace == workspace)
            .cloned();
        Ok(page_of(secrets, page, |secret| secret.name.clone()))
    }

    async fn insert_secret(&self, secret: &Secret, fact: OutboxEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        state.may_write(secret)?;
        let place = (secret.workspace, secret.name.clone());
        if state.secrets.contains_key(&place) {
            return Err(StoreError::Conflict);
        }
        state.secrets.insert(place, secret.clone());
        self.outbox.push(fact);
        Ok(())
    }

    async fn replace_secret(&self, secret: &Secret, fact: OutboxEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        state.may_write(secret)?;
        let stored = state.secrets.get_mut(&(secret.workspace, secret.name.clone()));
        let stored = stored
            .filter(|stored| stored.id == secret.id && stored.version.checked_add(1) == Some(secret.version));
        *stored.ok_or(StoreError::Conflict)? = secret.clone();
        self.outbox.push(fact);
        Ok(())
    }

    async fn delete_secret(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let found = state.secrets.remove(&(workspace, name.clone())).is_some();
        if found {
            self.outbox.push(fact);
        }
        Ok(found)
    }

    async fn record(&self, fact: OutboxEvent) -> Result<(), StoreError> {
        self.outbox.push(fact);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::MemoryStore;
    use crate::store::conformance::Fixture;

    async fn fresh() -> Option<(Fixture, ())> {
        let store = Arc::new(MemoryStore::default());
        let (outbox, keys) = (Arc::new(store.outbox()), Arc::new(store.key_outbox()));
        Some((Fixture::new(store, outbox, keys), ()))
    }

    crate::store::conformance::store_conformance!(fresh);
}
