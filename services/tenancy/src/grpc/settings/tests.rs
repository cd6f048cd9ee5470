use super::*;
use crate::grpc::tests::{World, fields, request_to, world};

impl World {
    async fn settings(&self) -> wire::Settings {
        let message = wire::GetSettingsRequest {};
        let request = request_to("SettingsService", "GetSettings", &self.caller, message);
        let answer = self.grpc.get_settings(request).await.expect("read");
        answer.into_inner().settings.expect("answered")
    }

    async fn set(
        &self,
        settings: Option<wire::Settings>,
        paths: &[&str],
    ) -> Answer<wire::UpdateSettingsResponse> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let message = wire::UpdateSettingsRequest {
            settings,
            update_mask: Some(prost_types::FieldMask { paths }),
        };
        let request = request_to("SettingsService", "UpdateSettings", &self.caller, message);
        self.grpc.update_settings(request).await
    }
}

fn ai(provider: &str, model: &str, base_url: &str) -> wire::Settings {
    wire::Settings {
        ai: Some(wire::AiSettings {
            provider: provider.to_owned(),
            model: model.to_owned(),
            base_url: base_url.to_owned(),
            api_key_secret: String::new(),
        }),
        ..wire::Settings::default()
    }
}

#[tokio::test]
async fn settings_begin_as_they_come() {
    let settings = world().await.settings().await;
    let expected = wire::Settings {
        ai: Some(wire::AiSettings::default()),
        mfa_policy: "optional".to_owned(),
        retention_days: 0,
        rate_tier: "standard".to_owned(),
        region: "us-east-1".to_owned(),
        updated_at: None,
    };
    assert_eq!(settings, expected);
}

#[tokio::test]
async fn only_what_the_mask_names_changes() {
    let world = world().await;
    let message = wire::Settings {
        mfa_policy: "required".to_owned(),
        retention_days: 30,
        rate_tier: "not looked at".to_owned(),
        ..ai("openai", "gpt-4o", "https://llm.example.com")
    };
    world
        .set(Some(message), &["ai", "mfa_policy"])
        .await
        .expect("changed");
    let settings = world.settings().await;
    assert_eq!(
        (settings.mfa_policy.as_str(), settings.retention_days),
        ("required", 0)
    );
    assert!(settings.updated_at.is_some());

    world
        .set(Some(ai("", "gpt-4o-mini", "")), &["ai.model"])
        .await
        .expect("changed");
    let changed = world.settings().await.ai.expect("answered");
    assert_eq!(
        (
            changed.provider.as_str(),
            changed.model.as_str(),
            changed.base_url.as_str()
        ),
        ("openai", "gpt-4o-mini", "https://llm.example.com")
    );
    world.set(Some(ai("", "", "")), &["ai"]).await.expect("changed");
    assert_eq!(world.settings().await.ai, Some(wire::AiSettings::default()));
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let world = world().await;
    let message = wire::Settings {
        mfa_policy: "never".to_owned(),
        retention_days: -1,
        rate_tier: "gold".to_owned(),
        region: "EU".to_owned(),
        ..ai("skynet", "a b", "ftp://x")
    };
    let paths = [
        "ai",
        "mfa_policy",
        "retention_days",
        "rate_tier",
        "region",
        "updated_at",
    ];
    assert_eq!(
        fields(world.set(Some(message), &paths).await),
        [
            "settings.ai.provider",
            "settings.ai.model",
            "settings.ai.base_url",
            "settings.mfa_policy",
            "settings.retention_days",
            "settings.rate_tier",
            "settings.region",
            "update_mask"
        ]
    );
    assert_eq!(fields(world.set(None, &["ai"]).await), ["settings"]);
    assert_eq!(
        fields(world.set(Some(wire::Settings::default()), &[]).await),
        ["update_mask"]
    );
    assert_eq!(
        fields(world.set(Some(ai("", "gpt-4o", "")), &["ai"]).await),
        ["settings.ai.provider"]
    );
}
