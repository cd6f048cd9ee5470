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
        let everybody = self.defaults.rate_tier.clone();
        Ok(TenantStatus {
            workspace: settings.workspace,
            region: settings.region,
            demo: self.defaults.demo,
            rate_tier: everybody.unwrap_or_else(|| settings.rate_tier.as_str().to_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
