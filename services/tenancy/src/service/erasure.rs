//! Erasures: orders and what becomes of them. Carrying them out is the work of [`ErasureJob`].

mod job;
mod own;

use causeway_context::{CallContext, UserId, WorkspaceId};
use causeway_contracts::CallerKind;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Tenancy, known};
use crate::domain::{Erasure, ErasureState, HeldRole, MemberRole};
use crate::error::TenancyError;
use crate::page::{self, Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::TenancyStore;

pub(crate) use job::{ErasureJob, MeshAddresses, background_fact};
pub(crate) use own::OwnData;

/// The permission to see the erasures of a workspace.
const ERASURES_READ: &str = "erasures.read";

/// The times of grace and of backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// How long the erasure of a workspace that is deleted waits.
    pub grace: TimeDelta,
    /// How long backups of wrapped data keys are kept: an erasure is in effect after that (ERA-02).
    pub keystore_backups: TimeDelta,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            grace: TimeDelta::hours(72),
            keystore_backups: TimeDelta::days(7),
        }
    }
}

impl Tenancy {
    /// Orders the erasure of a person in the workspace of the call, or of that workspace.
    pub(crate) async fn create_erasure(
        &self,
        ctx: &CallContext,
        subject: Option<UserId>,
        scheduled_for: DateTime<Utc>,
    ) -> Result<Erasure, TenancyError> {
        let workspace = ctx.workspace()?;
        match subject {
            Some(user) => {
                may_go(&*self.store, workspace, user).await?;
                self.may_erase(ctx, workspace, user).await?;
            }
            None => self.may_be_erased(workspace).await?,
        }
        self.order(ctx, workspace, subject, scheduled_for).await
    }

    /// Orders the erasure of the workspace when the time of grace is over. A repeat answers the same erasure.
    pub(crate) async fn delete_workspace(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
    ) -> Result<Erasure, TenancyError> {
        known(ctx, workspace)?;
        self.may_be_erased(workspace).await?;
        self.order(ctx, workspace, None, ctx.now + self.lifecycle.grace)
            .await
    }

    async fn order(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
        subject: Option<UserId>,
        scheduled_for: DateTime<Utc>,
    ) -> Result<Erasure, TenancyError> {
        let erasure = Erasure {
            id: Uuid::now_v7(),
            workspace,
            subject,
            state: ErasureState::Scheduled,
            requested_by: ctx.user()?,
            requested_at: ctx.now,
            scheduled_for,
            receipt: None,
        };
        let fact = OutboxEvent::of(ctx)?.target("erasure", erasure.id.to_string());
        let fact = about(fact, &erasure).detail("scheduled_for", scheduled_for.to_rfc3339());
        let fact_id = fact.id;
        let ordered = self.store.order_erasure(&erasure, fact).await?;
        self.relay.delivered(fact_id).await;
        Ok(ordered)
    }

    /// An erasure: for whoever asked for it, also when the workspace is gone, and for who may see those of the workspace.
    pub(crate) async fn erasure(&self, ctx: &CallContext, id: Uuid) -> Result<Erasure, TenancyError> {
        let found = self.store.find_erasure(id).await?;
        let sees = |erasure: &Erasure| {
            let here = ctx.caller.workspace == Some(erasure.workspace);
            // A token that acts for the person elsewhere was not made for this workspace.
            let own = ctx.caller.user() == Some(erasure.requested_by)
                && (here || ctx.caller.kind == CallerKind::User);
            own || here && ctx.caller.holds(ERASURES_READ)
        };
        Ok(found.filter(sees).ok_or(Refusal::ErasureNotFound)?)
    }

    /// The erasures of the workspace of the call.
    pub(crate) async fn erasures(
        &self,
        ctx: &CallContext,
        page: &Page<TimePlace>,
    ) -> Result<(Vec<Erasure>, String), TenancyError> {
        let workspace = ctx.workspace()?;
        let mut erasures = self
            .store
            .list_erasures(workspace, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut erasures, page.size, Erasure::place);
        Ok((erasures, next))
    }

    /// Takes back an erasure that has not begun.
    pub(crate) async fn cancel_erasure(&self, ctx: &CallContext, id: Uuid) -> Result<Erasure, TenancyError> {
        let fact = OutboxEvent::of(ctx)?.target("erasure", id.to_string());
        let fact_id = fact.id;
        let cancelled = self.store.cancel_erasure(ctx.workspace()?, id, fact).await?;
        self.relay.delivered(fact_id).await;
        Ok(cancelled.ok_or(Refusal::ErasureNotFound)?)
    }

    /// Whoever erases somebody else must be above them, as who removes a member must (RBAC-04).
    async fn may_erase(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
        subject: UserId,
    ) -> Result<(), TenancyError> {
        let own = ctx.user()?;
        if own == subject {
            return Ok(());
        }
        let actor = self.held_by(workspace, own).await?;
        let target = self.held_by(workspace, subject).await?;
        match actor.zip(target) {
            Some((actor, target)) if actor.covers(&target) => Ok(()),
            _ => Err(Refusal::RoleAboveOwn.into()),
        }
    }

    async fn held_by(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<HeldRole>, TenancyError> {
        let Some(member) = self.store.find_member(workspace, user).await? else {
            return Ok(None);
        };
        let custom = match member.role {
            MemberRole::Custom(id) => self.store.find_role(workspace, id).await?,
            MemberRole::BuiltIn(_) => None,
        };
        Ok(HeldRole::of(member.role, custom.map(|role| role.permissions)))
    }

    /// The id of `default` is always the same: once erased, an installation of one tenant could never have it again.
    async fn may_be_erased(&self, workspace: WorkspaceId) -> Result<(), TenancyError> {
        if workspace == WorkspaceId::DEFAULT {
            return Err(Refusal::SingleTenant.into());
        }
        self.must_exist(workspace).await
    }

    /// A token may outlive its workspace.
    pub(super) async fn must_exist(&self, workspace: WorkspaceId) -> Result<(), TenancyError> {
        let found = self.store.find_workspace(workspace).await?;
        found.map(|_| ()).ok_or(TenancyError::WorkspaceNotFound)
    }
}

/// Whether the person can be taken out of the workspace.
async fn may_go(store: &dyn TenancyStore, workspace: WorkspaceId, user: UserId) -> Result<(), TenancyError> {
    if store.find_member(workspace, user).await?.is_none() {
        return Err(Refusal::MemberNotFound.into());
    }
    if store.owners(workspace).await? == [user] {
        return Err(Refusal::LastOwner.into());
    }
    Ok(())
}

/// The fact with whom the erasure is about: an id, which says nothing when the person is gone.
fn about(fact: OutboxEvent, erasure: &Erasure) -> OutboxEvent {
    match erasure.subject {
        Some(subject) => fact.detail("subject", subject.to_string()),
        None => fact,
    }
}

#[cfg(test)]
pub(crate) mod tests;
