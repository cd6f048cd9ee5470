//! What a workspace decides for itself.

use causeway_context::{CallContext, WorkspaceId};
use causeway_outbox::OutboxEvent;

use super::{Tenancy, TenantStatus};
use crate::domain::{SecretKind, SecretName, SettingChange, Settings};
use crate::error::TenancyError;
use crate::refusal::Refusal;

impl Tenancy {
    /// The settings of the workspace of the call.
    pub(crate) async fn settings(&self, ctx: &CallContext) -> Result<Settings, TenancyError> {
        self.store
            .find_settings(ctx.workspace()?)
            .await?
            .ok_or(TenancyError::WorkspaceNotFound)
    }

    /// Makes the changes, which are those of `fields`.
    pub(crate) async fn change_settings(
        &self,
        ctx: &CallContext,
        changes: &[SettingChange],
        fields: Vec<String>,
    ) -> Result<Settings, TenancyError> {
        let workspace = ctx.workspace()?;
        for change in changes {
            self.may_change(ctx, change)?;
            if let SettingChange::ApiKeySecret(Some(name)) = change {
                self.require_provider_key(workspace, name).await?;
            }
        }
        let fact = OutboxEvent::of(ctx)?
            .target("workspace", workspace.to_string())
            .detail("fields", fields);
        let fact_id = fact.id;
        let settings = self
            .store
            .change_settings(workspace, changes, ctx.now, fact)
            .await?;
        self.relay.delivered(fact_id).await;
        Ok(settings)
    }

    /// What a workspace decides is its own; what others pay for is the platform's (B-TEN-16).
    fn may_change(&self, ctx: &CallContext, change: &SettingChange) -> Result<(), TenancyError> {
        let platform = |field| {
            if self.is_platform(ctx) {
                Ok(())
            } else {
                Err(Refusal::PlatformSetting(field).into())
            }
        };
        match change {
            SettingChange::RateTier(_) => platform("settings.rate_tier"),
            SettingChange::Region(_) => platform("settings.region"),
            SettingChange::BaseUrl(Some(url))
                if !self.defaults.modes.any_base_url && !url.may_be_public() =>
            {
                Err(Refusal::BaseUrlNotPublic.into())
            }
            SettingChange::Provider(_)
            | SettingChange::Model(_)
            | SettingChange::BaseUrl(_)
            | SettingChange::ApiKeySecret(_)
            | SettingChange::MfaPolicy(_)
            | SettingChange::RetentionDays(_) => Ok(()),
        }
    }

    /// The secret may be deleted later: then the provider cannot be used, which whoever asks it finds out.
    async fn require_provider_key(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
    ) -> Result<(), TenancyError> {
        let secret = self.store.find_secret(workspace, name).await?;
        match secret {
            Some(secret) if secret.kind == SecretKind::LlmProvider => Ok(()),
            Some(_) | None => Err(Refusal::ProviderKeyNotFound.into()),
        }
    }

    /// The state of the tenant of the call.
    pub(crate) async fn status(&self, ctx: &CallContext) -> Result<TenantStatus, TenancyError> {
        let settings = self.settings(ctx).await?;
        Ok(TenantStatus {
            workspace: settings.workspace,
            rate_tier: self.rate_tier_of(&settings),
            region: settings.region,
            demo: self.defaults.demo,
        })
    }
}

#[cfg(test)]
mod tests;
