use causeway_context::{Caller, RateTier};
use causeway_crypto::{LocalKeys, LocalRing};
use causeway_errors::Code;
use causeway_outbox::{OutboxStore as _, RelayHandle};

use super::*;
use crate::domain::{AiProvider, MfaPolicy};
use crate::service::Defaults;
use crate::service::tests::{World, context, defaults, name, reason, value, world};

impl World {
    async fn set(&self, by: &Caller, changes: &[SettingChange]) -> Result<Settings, TenancyError> {
        let ctx = context("UpdateSettings", by.clone());
        let fields = vec!["some".to_owned(), "fields".to_owned()];
        self.tenancy.change_settings(&ctx, changes, fields).await
    }

    async fn rate_tier(&self, by: &Caller) -> RateTier {
        let ctx = context("GetTenantStatus", by.clone());
        self.tenancy.status(&ctx).await.expect("read").rate_tier
    }
}

#[tokio::test]
async fn a_change_is_a_fact_that_names_the_fields() {
    let world = world();
    let owner = world.owner().await;
    let changed = world
        .set(&owner, &[SettingChange::MfaPolicy(MfaPolicy::Required)])
        .await
        .expect("changed");
    assert_eq!(changed.mfa_policy, MfaPolicy::Required);
    let ctx = context("GetSettings", owner.clone());
    assert_eq!(world.tenancy.settings(&ctx).await.expect("read"), changed);
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let last = facts.last().expect("kept");
    assert_eq!(last.action, "settings.updated");
    assert_eq!(last.details["fields"], serde_json::json!(["some", "fields"]));
}

#[tokio::test]
async fn the_key_of_a_provider_is_a_secret_of_that_kind() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    let ctx = context("PutSecret", owner.clone());
    for (text, kind) in [
        ("mail", SecretKind::Connector),
        ("openai", SecretKind::LlmProvider),
    ] {
        world
            .tenancy
            .put_secret(&ctx, &name(text), kind, &value("v"))
            .await
            .expect("stored");
    }
    let with = |text| {
        [
            SettingChange::Provider(Some(AiProvider::OpenAi)),
            SettingChange::ApiKeySecret(Some(name(text))),
        ]
    };
    for text in ["mail", "none"] {
        let error = world
            .set(&owner, &with(text))
            .await
            .expect_err("refused")
            .to_api();
        assert_eq!(error.violations[0].field, "settings.ai.api_key_secret", "{text}");
    }
    let foreign = world.set(&stranger, &with("openai")).await;
    assert_eq!(reason(foreign).0, Code::InvalidArgument);
    let set = world.set(&owner, &with("openai")).await.expect("changed");
    assert_eq!(set.ai.api_key_secret, Some(name("openai")));
}

#[tokio::test]
async fn a_workspace_has_its_own_tier_unless_all_have_one() {
    let world = world();
    let owner = world.owner().await;
    assert_eq!(world.rate_tier(&owner).await, RateTier::Standard);
    let (id, change) = (
        owner.workspace.expect("a tenant"),
        [SettingChange::RateTier(RateTier::Enterprise)],
    );
    let at = context("UpdateSettings", owner.clone()).now;
    let stored = world
        .tenancy
        .store
        .change_settings_for(id, &change, at, Vec::new())
        .await;
    stored.expect("stored");
    assert_eq!(world.rate_tier(&owner).await, RateTier::Enterprise);

    let ring = LocalRing::new(&LocalKeys::default(), true).expect("a ring");
    let everybody = Defaults {
        rate_tier: Some(RateTier::Free),
        ..defaults()
    };
    let tenancy = Tenancy::new(
        world.store.clone(),
        std::sync::Arc::new(ring),
        RelayHandle::detached(),
        everybody,
    );
    let all_free = World {
        store: world.store,
        tenancy,
    };
    assert_eq!(all_free.rate_tier(&owner).await, RateTier::Free);
}

#[tokio::test]
async fn a_workspace_that_is_gone_has_no_settings() {
    let world = world();
    let owner = Caller {
        workspace: Some(WorkspaceId::generate()),
        ..world.owner().await
    };
    let unknown = (Code::NotFound, "WORKSPACE_NOT_FOUND".to_owned());
    let ctx = context("GetSettings", owner.clone());
    assert_eq!(reason(world.tenancy.settings(&ctx).await), unknown);
    let change = world
        .set(&owner, &[SettingChange::MfaPolicy(MfaPolicy::Required)])
        .await;
    assert_eq!(reason(change), unknown);
}
