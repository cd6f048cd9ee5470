//! Who belongs to a workspace.

use causeway_context::{CallContext, UserId};
use causeway_contracts::{CallerKind, PermissionSet};
use causeway_crypto::token;
use causeway_errors::ApiError;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::Tenancy;
use crate::domain::{
    Email, INVITATION_PREFIX, Invitation, MEMBERS_WRITE, Member, MemberChange, MemberRole, MemberStep,
    Membership, SETTLED,
};
use crate::error::TenancyError;
use crate::page::{self, Page, TimePlace};
use crate::refusal::Refusal;

impl Tenancy {
    /// Makes a person who has an account a member.
    pub(crate) async fn add_member(
        &self,
        ctx: &CallContext,
        user: UserId,
        role: MemberRole,
    ) -> Result<Member, TenancyError> {
        self.must_hold(ctx, role).await?;
        self.change_member(ctx, user, MemberStep::Join(role)).await
    }

    /// Gives a member another role.
    pub(crate) async fn update_member(
        &self,
        ctx: &CallContext,
        user: UserId,
        role: MemberRole,
    ) -> Result<Member, TenancyError> {
        self.must_hold(ctx, role).await?;
        self.change_member(ctx, user, MemberStep::Become(role)).await
    }

    /// Takes a member out. A person may always take itself out; what acts for it, and everybody else, needs the
    /// permission.
    pub(crate) async fn remove_member(&self, ctx: &CallContext, user: UserId) -> Result<(), TenancyError> {
        let leaves = ctx.caller.kind == CallerKind::User && ctx.user()? == user;
        if !leaves && !holds(ctx, MEMBERS_WRITE) {
            let message = format!("the permission {MEMBERS_WRITE} is missing");
            return Err(ApiError::forbidden("PERMISSION_DENIED", message).into());
        }
        self.change_member(ctx, user, MemberStep::Leave).await?;
        Ok(())
    }

    /// Checks that the credential holds everything that the role holds: a token that was narrowed cannot make somebody who
    /// is not.
    async fn must_hold(&self, ctx: &CallContext, role: MemberRole) -> Result<(), TenancyError> {
        let wanted = match role {
            MemberRole::BuiltIn(role) => PermissionSet::of_role(role),
            MemberRole::Custom(id) => {
                let found = self.store.find_role(ctx.workspace()?, id).await?;
                found.ok_or(Refusal::RoleNotFound)?.permissions
            }
        };
        match ctx.caller.permissions.includes(&wanted) {
            true => Ok(()),
            false => Err(Refusal::RoleAboveOwn.into()),
        }
    }

    /// What the caller is now is looked up with the change: its token may be older than a change of its own role.
    async fn change_member(
        &self,
        ctx: &CallContext,
        target: UserId,
        step: MemberStep,
    ) -> Result<Member, TenancyError> {
        let change = MemberChange {
            workspace: ctx.workspace()?,
            actor: ctx.user()?,
            target,
            step,
            at: ctx.now,
        };
        let fact = OutboxEvent::of(ctx)?.target("user", target.to_string());
        let fact_id = fact.id;
        let member = self.store.change_member(&change, fact).await?;
        if step.voids() {
            // Credentials that are made after the answer are good.
            tokio::time::sleep(SETTLED.to_std().unwrap_or_default()).await;
        }
        self.relay.delivered(fact_id).await;
        Ok(member)
    }

    /// Writes an invitation; answers it with its secret, which is kept nowhere.
    pub(crate) async fn create_invitation(
        &self,
        ctx: &CallContext,
        email: Email,
        role: MemberRole,
        expires_at: DateTime<Utc>,
    ) -> Result<(Invitation, SecretString), TenancyError> {
        self.must_hold(ctx, role).await?;
        self.must_count(ctx.workspace()?)?;
        let minted = token::mint(INVITATION_PREFIX);
        let invitation = Invitation {
            workspace: ctx.workspace()?,
            id: Uuid::now_v7(),
            email,
            role,
            invited_by: ctx.user()?,
            created_at: ctx.now,
            expires_at,
        };
        // Without the address: the log is kept when the person is forgotten.
        let fact = OutboxEvent::of(ctx)?
            .target("invitation", invitation.id.to_string())
            .detail("role", role.to_string())
            .detail("expires_at", expires_at.to_rfc3339());
        let fact_id = fact.id;
        self.store
            .insert_invitation(&invitation, &minted.hash, fact)
            .await?;
        self.relay.delivered(fact_id).await;
        Ok((invitation, minted.secret))
    }

    /// The open and expired invitations of the workspace of the call.
    pub(crate) async fn invitations(
        &self,
        ctx: &CallContext,
        page: &Page<TimePlace>,
    ) -> Result<(Vec<Invitation>, String), TenancyError> {
        let mut invitations = self
            .store
            .list_invitations(ctx.workspace()?, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut invitations, page.size, Invitation::place);
        Ok((invitations, next))
    }

    /// Takes an invitation back.
    pub(crate) async fn revoke_invitation(&self, ctx: &CallContext, id: Uuid) -> Result<(), TenancyError> {
        let fact = OutboxEvent::of(ctx)?.target("invitation", id.to_string());
        let fact_id = fact.id;
        if !self.store.revoke_invitation(ctx.workspace()?, id, fact).await? {
            return Err(Refusal::InvitationNotFound.into());
        }
        self.relay.delivered(fact_id).await;
        Ok(())
    }

    /// Makes the calling person a member of the workspace that invited. The fact lies in that workspace.
    pub(crate) async fn accept_invitation(
        &self,
        ctx: &CallContext,
        secret: &SecretString,
    ) -> Result<Membership, TenancyError> {
        let (user, secret) = (ctx.user()?, secret.expose_secret());
        if !token::check(INVITATION_PREFIX, secret) {
            return Err(Refusal::InvitationNotFound.into());
        }
        let invitation = self.store.find_invitation(&token::hash(secret)).await?;
        let invitation = invitation
            .filter(|invitation| invitation.is_open(ctx.now))
            .ok_or(Refusal::InvitationNotFound)?;
        self.must_count(invitation.workspace)?;
        let fact = OutboxEvent::of(ctx)?
            .in_workspace(invitation.workspace)
            .target("invitation", invitation.id.to_string())
            .detail("role", invitation.role.to_string());
        let fact_id = fact.id;
        let membership = self
            .store
            .accept_invitation(&invitation, user, ctx.now, fact)
            .await?;
        self.relay.delivered(fact_id).await;
        Ok(membership)
    }
}

fn holds(ctx: &CallContext, permission: &str) -> bool {
    ctx.caller.holds(permission)
}

#[cfg(test)]
mod tests;
