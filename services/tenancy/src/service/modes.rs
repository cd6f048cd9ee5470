//! Which tenants there are, what the platform decides about them, and what other parts of it ask: where a tenant is
//! served, how often it may call, which model answers it.

use causeway_context::{CallContext, RateTier, UserId, WorkspaceId};
use causeway_errors::ApiError;
use causeway_outbox::OutboxEvent;
use secrecy::SecretString;

use super::{Tenancy, fact_of_creation};
use crate::domain::{
    AiSettings, Membership, RetentionDays, SecretKind, SettingChange, Settings, Workspace, WorkspaceName,
};
use crate::error::TenancyError;
use crate::refusal::Refusal;
use crate::store::Joining;

/// The RPC under whose audit action a person's joining is recorded.
const JOIN: &str = "/causeway.tenancy.v1.MemberService/AddMember";
/// Who may have the key of a tenant's provider.
const LLM: &str = "llm";
/// What the only workspace is called until its owner calls it otherwise.
const ONLY_NAME: &str = "Default workspace";

/// Which tenants there are, and who decides about them. Its default is the strict side of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modes {
    /// There is one tenant, [`WorkspaceId::DEFAULT`], and no other (SINGLE_TENANT_MODE).
    pub single_tenant: bool,
    /// The tenant that writes what is the platform's (PLATFORM_OWNER_TENANT_ID); without one nobody does.
    pub platform_owner: Option<WorkspaceId>,
    /// A workspace may send its conversations to any address, this machine's included: for development.
    pub any_base_url: bool,
}

/// Where a tenant is served, how often it may call, and how long it is remembered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResolvedTenant {
    /// Its home.
    pub region: String,
    /// The tier that counts.
    pub rate_tier: RateTier,
    /// For how long its history is kept.
    pub retention: RetentionDays,
}

/// Which model answers in a workspace. Has no `Debug`: it holds a key.
pub(crate) struct AiOverride {
    /// What the workspace decided.
    pub ai: AiSettings,
    /// The provider's key, if a secret with it is named and there.
    pub key: Option<SecretString>,
    /// A secret is named and is not there any more.
    pub key_missing: bool,
}

impl Tenancy {
    /// The tier that counts: that of all workspaces, or the workspace's own.
    pub(super) fn rate_tier_of(&self, settings: &Settings) -> RateTier {
        self.defaults.rate_tier.unwrap_or(settings.rate_tier)
    }

    pub(super) fn may_have_more_than_one(&self) -> Result<(), TenancyError> {
        if self.defaults.modes.single_tenant {
            return Err(Refusal::SingleTenant.into());
        }
        Ok(())
    }

    /// With a single tenant the others, from before, are there and count for nobody.
    pub(super) fn must_count(&self, workspace: WorkspaceId) -> Result<(), TenancyError> {
        if self.defaults.modes.single_tenant && workspace != WorkspaceId::DEFAULT {
            return Err(Refusal::SingleTenant.into());
        }
        Ok(())
    }

    /// Makes the person belong to the only workspace, which is made if it is not there. A repeat changes nothing.
    pub(super) async fn join_only_workspace(
        &self,
        ctx: &CallContext,
        user: UserId,
    ) -> Result<Workspace, TenancyError> {
        let name = WorkspaceName::parse(ONLY_NAME).map_err(|_| ApiError::internal())?;
        let (workspace, _) = self.first_of(ctx, WorkspaceId::DEFAULT, name, user);
        let made = fact_of_creation(ctx, &workspace)?.by_user(user);
        let joined = OutboxEvent::of(&as_rpc(ctx, JOIN))?
            .in_workspace(workspace.id)
            .by_user(user)
            .target("user", user.to_string())
            .detail("cause", "registered");
        let joining = Joining {
            workspace,
            user,
            made,
            joined,
        };
        let joined = self.store.join_only(joining).await?;
        if let Some(fact) = joined.fact {
            self.relay.delivered(fact).await;
        }
        Ok(joined.membership.workspace)
    }

    /// The only workspace, if the person belongs to it; what else the person once belonged to does not count.
    pub(super) async fn only_membership(&self, user: UserId) -> Result<Vec<Membership>, TenancyError> {
        let found = self
            .store
            .find_belongings(&[(WorkspaceId::DEFAULT, user)])
            .await?;
        Ok(found.into_iter().flatten().map(|one| one.membership).collect())
    }

    /// Whether the caller's workspace is the platform's own. Its permission says that the caller is in charge there.
    ///
    /// # Errors
    /// [`Refusal::NotPlatformOwner`], whatever is asked for.
    pub(crate) fn require_platform(&self, ctx: &CallContext) -> Result<(), TenancyError> {
        if self.is_platform(ctx) {
            Ok(())
        } else {
            Err(Refusal::NotPlatformOwner.into())
        }
    }

    pub(super) fn is_platform(&self, ctx: &CallContext) -> bool {
        let owner = self.defaults.modes.platform_owner;
        owner.is_some() && owner == ctx.caller.workspace
    }

    /// A workspace, any of them, with what the platform decided about it.
    pub(crate) async fn platform_workspace(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
    ) -> Result<(Workspace, Settings), TenancyError> {
        self.require_platform(ctx)?;
        let workspace = self.store.find_workspace(id).await?;
        let settings = self.store.find_settings(id).await?;
        workspace.zip(settings).ok_or(TenancyError::WorkspaceNotFound)
    }

    /// Changes what the platform decides about a workspace. The platform's log has it, and the workspace's own.
    pub(crate) async fn change_platform_workspace(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
        changes: &[SettingChange],
        fields: Vec<String>,
    ) -> Result<(Workspace, Settings), TenancyError> {
        self.require_platform(ctx)?;
        let fact = || -> Result<OutboxEvent, ApiError> {
            Ok(OutboxEvent::of(ctx)?
                .target("workspace", id.to_string())
                .detail("fields", fields.clone()))
        };
        let own = fact()?;
        let own_id = own.id;
        let mut facts = vec![own];
        if ctx.workspace()? != id {
            facts.push(fact()?.in_workspace(id));
        }
        self.store
            .change_settings_for(id, changes, ctx.now, facts)
            .await?;
        self.relay.delivered(own_id).await;
        self.platform_workspace(ctx, id).await
    }

    /// Where a tenant is served and how often it may call.
    pub(crate) async fn resolve(&self, id: WorkspaceId) -> Result<ResolvedTenant, TenancyError> {
        let settings = self.store.find_settings(id).await?;
        let settings = settings.ok_or(TenancyError::WorkspaceNotFound)?;
        Ok(ResolvedTenant {
            rate_tier: self.rate_tier_of(&settings),
            retention: settings.retention_days,
            region: settings.region,
        })
    }

    /// Which model answers in a workspace, with the provider's key once the log has that it is used.
    ///
    /// # Errors
    /// `CALLER_REFUSED` for any service but llm; [`TenancyError::AuditUnavailable`].
    pub(crate) async fn ai_override(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
    ) -> Result<AiOverride, TenancyError> {
        if ctx.caller.id != LLM {
            return Err(ApiError::forbidden("CALLER_REFUSED", "this is for the llm service alone").into());
        }
        let settings = self.store.find_settings(id).await?;
        let ai = settings.ok_or(TenancyError::WorkspaceNotFound)?.ai;
        let mut found = AiOverride {
            ai,
            key: None,
            key_missing: false,
        };
        if let Some(name) = &found.ai.api_key_secret {
            let secret = self.store.find_secret(id, name).await?;
            match secret.filter(|secret| secret.kind == SecretKind::LlmProvider) {
                Some(secret) => found.key = Some(self.disclose(ctx, secret).await?.1),
                None => found.key_missing = true,
            }
        }
        Ok(found)
    }
}

/// The same call under the name of another RPC, whose audit action says what was done.
fn as_rpc(ctx: &CallContext, path: &str) -> CallContext {
    CallContext {
        method: causeway_contracts::method(path).unwrap_or(ctx.method),
        ..ctx.clone()
    }
}

#[cfg(test)]
mod tests;
