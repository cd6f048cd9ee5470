//! Roles in memory.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_contracts::PermissionSet;
use causeway_outbox::OutboxEvent;

use super::{MemoryStore, State};
use crate::domain::{CustomRole, HeldRole, MemberRole, RoleChange, RoleId, RoleStanding, RoleStep};
use crate::store::{RoleStore, StoreError};

impl State {
    /// What a role holds, if it is one of the workspace.
    pub(super) fn custom(&self, workspace: WorkspaceId, role: MemberRole) -> Option<PermissionSet> {
        match role {
            MemberRole::BuiltIn(_) => None,
            MemberRole::Custom(id) => self.roles.get(&(workspace, id)).map(|role| role.permissions),
        }
    }

    pub(super) fn held(&self, workspace: WorkspaceId, role: MemberRole) -> Option<HeldRole> {
        HeldRole::of(role, self.custom(workspace, role))
    }

    fn role_standing(&self, change: &RoleChange) -> RoleStanding {
        let workspace = change.workspace;
        let others = self.roles.values().filter(|role| role.workspace == workspace);
        let key = change.name().map(|name| name.key());
        let role = MemberRole::Custom(change.role);
        let member = |(place, member): (&(WorkspaceId, _), &crate::domain::Member)| {
            place.0 == workspace && member.role == role
        };
        let invited = self.invitations.values().any(|(invitation, _)| {
            invitation.workspace == workspace && invitation.role == role && invitation.is_open(change.at)
        });
        RoleStanding {
            actor: self.held_by(workspace, change.actor),
            role: self.roles.get(&(workspace, change.role)).cloned(),
            roles: others.clone().count(),
            name_taken: others
                .filter(|other| other.id != change.role)
                .any(|other| Some(other.name.key()) == key),
            in_use: invited || self.members.iter().any(member),
        }
    }
}

#[async_trait]
impl RoleStore for MemoryStore {
    async fn list_roles(&self, workspace: WorkspaceId) -> Result<Vec<CustomRole>, StoreError> {
        let state = self.state();
        let own = state.roles.values().filter(|role| role.workspace == workspace);
        let mut roles: Vec<CustomRole> = own.cloned().collect();
        roles.sort_by_key(|role| (role.created_at, role.id));
        Ok(roles)
    }

    async fn find_role(&self, workspace: WorkspaceId, id: RoleId) -> Result<Option<CustomRole>, StoreError> {
        Ok(self.state().roles.get(&(workspace, id)).cloned())
    }

    async fn change_role(&self, change: &RoleChange, fact: OutboxEvent) -> Result<CustomRole, StoreError> {
        let mut state = self.state();
        state.require(change.workspace)?;
        let standing = state.role_standing(change);
        let before = standing.role.clone();
        let role = change.apply(standing)?;
        let place = (change.workspace, change.role);
        if change.step == RoleStep::Delete {
            state.roles.remove(&place);
            let gone = MemberRole::Custom(change.role);
            state.invitations.retain(|_, (invitation, _)| {
                invitation.workspace != change.workspace || invitation.role != gone
            });
        } else {
            state.roles.insert(place, role.clone());
        }
        if change.voids() {
            self.ended.add([change.voided(change.at, self.life.0)]);
        }
        self.outbox.push(change.describe(fact, before.as_ref(), &role));
        Ok(role)
    }
}
