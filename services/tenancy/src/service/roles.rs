//! Roles that a workspace makes.

use causeway_context::CallContext;
use causeway_contracts::PermissionSet;
use causeway_outbox::OutboxEvent;
use uuid::Uuid;

use super::Tenancy;
use crate::domain::{CustomRole, RoleChange, RoleId, RoleName, RoleStep, SETTLED};
use crate::error::TenancyError;
use crate::refusal::Refusal;

impl Tenancy {
    /// The roles that the workspace of the call made.
    pub(crate) async fn roles(&self, ctx: &CallContext) -> Result<Vec<CustomRole>, TenancyError> {
        Ok(self.store.list_roles(ctx.workspace()?).await?)
    }

    /// One of them.
    pub(crate) async fn role(&self, ctx: &CallContext, id: RoleId) -> Result<CustomRole, TenancyError> {
        let found = self.store.find_role(ctx.workspace()?, id).await?;
        Ok(found.ok_or(Refusal::RoleNotFound)?)
    }

    /// Makes a role.
    pub(crate) async fn create_role(
        &self,
        ctx: &CallContext,
        name: RoleName,
        permissions: PermissionSet,
    ) -> Result<CustomRole, TenancyError> {
        let step = RoleStep::Create(name, permissions);
        self.change_role(ctx, RoleId(Uuid::now_v7()), step).await
    }

    /// Changes a role; `version` is the one that the change is of.
    pub(crate) async fn update_role(
        &self,
        ctx: &CallContext,
        id: RoleId,
        version: Option<u32>,
        name: Option<RoleName>,
        permissions: Option<PermissionSet>,
    ) -> Result<CustomRole, TenancyError> {
        let step = RoleStep::Update {
            version,
            name,
            permissions,
        };
        self.change_role(ctx, id, step).await
    }

    /// Deletes a role that nobody has.
    pub(crate) async fn delete_role(&self, ctx: &CallContext, id: RoleId) -> Result<(), TenancyError> {
        self.change_role(ctx, id, RoleStep::Delete).await?;
        Ok(())
    }

    /// What the caller is now is looked up with the change; what its credential was narrowed to is known here.
    async fn change_role(
        &self,
        ctx: &CallContext,
        role: RoleId,
        step: RoleStep,
    ) -> Result<CustomRole, TenancyError> {
        let change = RoleChange {
            workspace: ctx.workspace()?,
            actor: ctx.user()?,
            role,
            step,
            at: ctx.now,
        };
        if change
            .permissions()
            .is_some_and(|wanted| !ctx.caller.permissions.includes(&wanted))
        {
            return Err(Refusal::PermissionNotHeld.into());
        }
        let fact = OutboxEvent::of(ctx)?.target("role", role.0.to_string());
        let fact_id = fact.id;
        let role = self.store.change_role(&change, fact).await?;
        if change.voids() {
            // Credentials that are made after the answer are good.
            tokio::time::sleep(SETTLED.to_std().unwrap_or_default()).await;
        }
        self.relay.delivered(fact_id).await;
        Ok(role)
    }
}

#[cfg(test)]
mod tests;
