//! Members and invitations in memory.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MemoryStore, State, page_of};
use crate::domain::{
    HeldRole, INVITATIONS_WRITE, Invitation, Member, MemberChange, MemberStep, Membership, SecretHash,
    Standing, may_grant,
};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::{MemberStore, StoreError};

impl State {
    /// What a person is in a workspace.
    pub(super) fn held_by(&self, workspace: WorkspaceId, user: UserId) -> Option<HeldRole> {
        let member = self.members.get(&(workspace, user))?;
        self.held(workspace, member.role)
    }

    /// Whether who wrote an invitation may still give its role.
    fn is_backed(&self, invitation: &Invitation) -> bool {
        let workspace = invitation.workspace;
        let writer = self.held_by(workspace, invitation.invited_by);
        self.held(workspace, invitation.role)
            .is_some_and(|role| may_grant(writer, INVITATIONS_WRITE, &role).is_ok())
    }

    fn standing(&self, change: &MemberChange) -> Standing {
        Standing {
            actor: self.held_by(change.workspace, change.actor),
            target: self.held_by(change.workspace, change.target),
            custom: change
                .step
                .role()
                .and_then(|role| self.custom(change.workspace, role)),
            other_owners: self.members.values().any(|member| {
                member.workspace == change.workspace
                    && member.user != change.target
                    && member.role == Role::Owner
            }),
            known: self.members.keys().any(|(_, user)| *user == change.target),
        }
    }
}

#[async_trait]
impl MemberStore for MemoryStore {
    async fn change_member(&self, change: &MemberChange, fact: OutboxEvent) -> Result<Member, StoreError> {
        let mut state = self.state();
        state.require(change.workspace)?;
        let standing = state.standing(change);
        change.check(&standing)?;
        let place = (change.workspace, change.target);
        let member = match change.step {
            MemberStep::Join(role) => {
                let member = Member {
                    workspace: change.workspace,
                    user: change.target,
                    role,
                    joined_at: change.at,
                };
                state.members.insert(place, member.clone());
                member
            }
            MemberStep::Become(role) => {
                let member = state.members.get_mut(&place).ok_or(Refusal::MemberNotFound)?;
                member.role = role;
                member.clone()
            }
            MemberStep::Leave => state.members.remove(&place).ok_or(Refusal::MemberNotFound)?,
        };
        if change.step.voids() {
            self.ended.add([change.voided(change.at, self.life.0)]);
        }
        let lost: Vec<_> = state
            .invitations
            .iter()
            .filter(|(_, (open, _))| open.workspace == change.workspace && open.invited_by == change.target)
            .filter(|(_, (open, _))| !state.is_backed(open))
            .map(|(place, _)| *place)
            .collect();
        for place in lost {
            state.invitations.remove(&place);
        }
        self.outbox.push(change.describe(fact, standing.target));
        Ok(member)
    }

    async fn insert_invitation(
        &self,
        invitation: &Invitation,
        hash: &SecretHash,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        state.require(invitation.workspace)?;
        let writer = state.held_by(invitation.workspace, invitation.invited_by);
        let role = state.held(invitation.workspace, invitation.role);
        may_grant(writer, INVITATIONS_WRITE, &role.ok_or(Refusal::RoleNotFound)?)?;
        let same_address =
            |other: &Invitation| other.workspace == invitation.workspace && other.email == invitation.email;
        let mut others = state.invitations.values().map(|(other, _)| other);
        if others.any(|other| same_address(other) && other.is_open(invitation.created_at)) {
            return Err(Refusal::InvitationExists.into());
        }
        state.invitations.retain(|_, (other, _)| !same_address(other));
        let place = (invitation.workspace, invitation.id);
        state.invitations.insert(place, (invitation.clone(), *hash));
        self.outbox.push(fact);
        Ok(())
    }

    async fn list_invitations(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Invitation>, StoreError> {
        let state = self.state();
        let invitations = state
            .invitations
            .values()
            .map(|(invitation, _)| invitation)
            .filter(|invitation| invitation.workspace == workspace)
            .cloned();
        Ok(page_of(invitations, page, Invitation::place))
    }

    async fn find_invitation(&self, hash: &SecretHash) -> Result<Option<Invitation>, StoreError> {
        let state = self.state();
        let mut found = state.invitations.values().filter(|(_, stored)| stored == hash);
        Ok(found.next().map(|(invitation, _)| invitation.clone()))
    }

    async fn accept_invitation(
        &self,
        invitation: &Invitation,
        user: UserId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Membership, StoreError> {
        let mut state = self.state();
        let workspace = state.workspaces.get(&invitation.workspace).cloned();
        let workspace = workspace.ok_or(StoreError::NoParent)?;
        let place = (invitation.workspace, invitation.id);
        let (stored, _) = state.invitations.get(&place).ok_or(Refusal::InvitationNotFound)?;
        if !stored.is_open(at) || !state.is_backed(stored) {
            return Err(Refusal::InvitationNotFound.into());
        }
        if state.members.contains_key(&(invitation.workspace, user)) {
            return Err(Refusal::MemberExists.into());
        }
        let member = Member {
            workspace: invitation.workspace,
            user,
            role: stored.role,
            joined_at: at,
        };
        state.invitations.remove(&place);
        state.members.insert((invitation.workspace, user), member.clone());
        self.outbox.push(fact);
        Ok(Membership { workspace, member })
    }

    async fn revoke_invitation(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let found = self.state().invitations.remove(&(workspace, id)).is_some();
        if found {
            self.outbox.push(fact);
        }
        Ok(found)
    }
}
