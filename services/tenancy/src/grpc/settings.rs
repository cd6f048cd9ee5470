//! Settings over gRPC.

use causeway_context::{CallContext, RateTier, WorkspaceId, to_timestamp};
use causeway_contracts::tenancy::v1::settings_service_server::SettingsService;
use causeway_contracts::tenancy::v1::{self as wire};
use secrecy::ExposeSecret as _;
use tonic::{Request, Response};

use super::{Answer, Fields, Grpc, refuse};
use crate::domain::{
    AiModel, AiProvider, AiSettings, BaseUrl, Invalid, MfaPolicy, RetentionDays, SecretName, SettingChange,
    Settings, region,
};

const AI: [&str; 4] = ["ai.provider", "ai.model", "ai.base_url", "ai.api_key_secret"];

#[tonic::async_trait]
impl SettingsService for Grpc {
    async fn get_settings(
        &self,
        request: Request<wire::GetSettingsRequest>,
    ) -> Answer<wire::GetSettingsResponse> {
        let ctx = CallContext::of(&request)?;
        let settings = self.0.settings(&ctx).await.map_err(refuse)?;
        Ok(Response::new(wire::GetSettingsResponse {
            settings: Some(settings.into()),
        }))
    }

    async fn update_settings(
        &self,
        request: Request<wire::UpdateSettingsRequest>,
    ) -> Answer<wire::UpdateSettingsResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let mask = request.update_mask.unwrap_or_default().paths;
        let settings = fields.check("settings", request.settings.ok_or("must be there"));
        let changes = settings.and_then(|settings| changes(&mut fields, &mask, &settings));
        let Some(changes) = changes else {
            return Err(fields.refuse());
        };
        let settings = self
            .0
            .change_settings(&ctx, &changes, mask)
            .await
            .map_err(refuse)?;
        Ok(Response::new(wire::UpdateSettingsResponse {
            settings: Some(settings.into()),
        }))
    }

    async fn get_ai_override(
        &self,
        request: Request<wire::GetAiOverrideRequest>,
    ) -> Answer<wire::GetAiOverrideResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let id = request.get_ref().workspace_id.parse::<WorkspaceId>();
        let Some(id) = fields.check("workspace_id", id) else {
            return Err(fields.refuse());
        };
        let found = self.0.ai_override(&ctx, id).await.map_err(refuse)?;
        let (ai, key) = (wire::AiSettings::from(found.ai), found.key);
        Ok(Response::new(wire::GetAiOverrideResponse {
            provider: ai.provider,
            model: ai.model,
            base_url: ai.base_url,
            key: key.map(|key| key.expose_secret().to_owned()).unwrap_or_default(),
            key_missing: found.key_missing,
        }))
    }
}

/// The changes that the mask names; nothing if anything is wrong with one of them.
fn changes(fields: &mut Fields, mask: &[String], settings: &wire::Settings) -> Option<Vec<SettingChange>> {
    if mask.is_empty() {
        fields.check("update_mask", Err::<(), _>("must name the fields to change"));
        return None;
    }
    let paths = mask.iter().flat_map(|path| match path.as_str() {
        "ai" => AI.to_vec(),
        path => vec![path],
    });
    let changes: Vec<Option<SettingChange>> = paths.map(|path| change(fields, path, settings)).collect();
    changes.into_iter().collect()
}

fn change(fields: &mut Fields, path: &str, settings: &wire::Settings) -> Option<SettingChange> {
    let none = wire::AiSettings::default();
    let ai = settings.ai.as_ref().unwrap_or(&none);
    let change = match path {
        "ai.provider" => given(&ai.provider, AiProvider::parse).map(SettingChange::Provider),
        "ai.model" => given(&ai.model, AiModel::parse).map(SettingChange::Model),
        "ai.base_url" => given(&ai.base_url, BaseUrl::parse).map(SettingChange::BaseUrl),
        "ai.api_key_secret" => given(&ai.api_key_secret, SecretName::parse).map(SettingChange::ApiKeySecret),
        "mfa_policy" => MfaPolicy::parse(&settings.mfa_policy).map(SettingChange::MfaPolicy),
        "retention_days" => RetentionDays::parse(settings.retention_days).map(SettingChange::RetentionDays),
        "rate_tier" => RateTier::parse(&settings.rate_tier).map(SettingChange::RateTier),
        "region" => region(&settings.region).map(SettingChange::Region),
        _ => {
            return fields.check("update_mask", Err("names a field that cannot change"));
        }
    };
    fields.check(&format!("settings.{path}"), change)
}

fn given<T>(text: &str, parse: impl Fn(&str) -> Result<T, Invalid>) -> Result<Option<T>, Invalid> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(text).map(Some)
    }
}

impl From<AiSettings> for wire::AiSettings {
    fn from(ai: AiSettings) -> Self {
        Self {
            provider: ai
                .provider
                .map(|provider| provider.as_str().to_owned())
                .unwrap_or_default(),
            model: ai
                .model
                .map(|model| model.as_str().to_owned())
                .unwrap_or_default(),
            base_url: ai.base_url.map(|url| url.as_str().to_owned()).unwrap_or_default(),
            api_key_secret: ai
                .api_key_secret
                .map(|name| name.as_str().to_owned())
                .unwrap_or_default(),
        }
    }
}

impl From<Settings> for wire::Settings {
    fn from(settings: Settings) -> Self {
        Self {
            ai: Some(settings.ai.into()),
            mfa_policy: settings.mfa_policy.as_str().to_owned(),
            retention_days: settings.retention_days.number(),
            rate_tier: settings.rate_tier.as_str().to_owned(),
            region: settings.region,
            updated_at: settings.updated_at.map(to_timestamp),
        }
    }
}

#[cfg(test)]
mod tests;
