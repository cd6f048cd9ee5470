//! Settings.

use std::sync::Arc;

use causeway_context::{RateTier, WorkspaceId};
use tokio::task::JoinSet;

use super::{Fixture, fact, name, refusal, time};
use crate::domain::{
    AiModel, AiProvider, BaseUrl, Belonging, Member, Membership, MfaPolicy, RetentionDays, SettingChange,
    Settings, Workspace,
};
use crate::refusal::Refusal;
use crate::store::StoreError;

impl Fixture {
    pub(super) async fn set(
        &self,
        workspace: WorkspaceId,
        changes: &[SettingChange],
    ) -> Result<Settings, StoreError> {
        let fact = fact(workspace, "settings.updated");
        self.store
            .change_settings(workspace, changes, time(9), fact)
            .await
    }

    pub(super) async fn settings(&self, workspace: WorkspaceId) -> Option<Settings> {
        self.store.find_settings(workspace).await.expect("read")
    }
}

/// A change of every setting.
fn everything() -> Vec<SettingChange> {
    vec![
        SettingChange::Provider(Some(AiProvider::OpenAi)),
        SettingChange::Model(AiModel::parse("gpt-4o").ok()),
        SettingChange::BaseUrl(BaseUrl::parse("https://llm.example.com/v1").ok()),
        SettingChange::ApiKeySecret(Some(name("openai"))),
        SettingChange::MfaPolicy(MfaPolicy::Required),
        SettingChange::RetentionDays(RetentionDays::parse(90).expect("days")),
        SettingChange::RateTier(RateTier::Enterprise),
        SettingChange::Region("us-east-1".to_owned()),
    ]
}

pub(crate) async fn settings_begin_untouched_and_change_by_field(fixture: &Fixture) {
    let (ours, _) = fixture.tenant().await;
    let untouched = Settings::untouched(&ours);
    assert_eq!(fixture.settings(ours.id).await, Some(untouched.clone()));
    let all = untouched.with(&everything(), time(9)).expect("allowed");
    assert_eq!(fixture.set(ours.id, &everything()).await.expect("set"), all);
    assert_eq!(fixture.settings(ours.id).await, Some(all.clone()));
    let less = [
        SettingChange::Model(None),
        SettingChange::RateTier(RateTier::Free),
    ];
    let after = all.with(&less, time(9)).expect("allowed");
    assert_eq!(fixture.set(ours.id, &less).await.expect("set"), after);
    assert_eq!(fixture.settings(ours.id).await, Some(after));
    assert_eq!(
        fixture.actions().await,
        ["workspace.created", "settings.updated", "settings.updated"]
    );
}

pub(crate) async fn a_membership_comes_with_the_policy_of_its_workspace(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, somebody) = fixture.tenant().await;
    let belonging = |workspace: &Workspace, member: &Member, mfa_policy| {
        Some(Belonging {
            membership: Membership {
                workspace: workspace.clone(),
                member: member.clone(),
            },
            mfa_policy,
            custom: None,
        })
    };
    let find = async |places: &[(&Workspace, &Member)]| {
        let places: Vec<_> = places
            .iter()
            .map(|(workspace, member)| (workspace.id, member.user))
            .collect();
        fixture.store.find_belongings(&places).await.expect("read")
    };
    assert_eq!(find(&[]).await, []);
    let alone = find(&[(&ours, &owner)]).await;
    assert_eq!(alone, [belonging(&ours, &owner, MfaPolicy::Optional)]);
    let demand = [SettingChange::MfaPolicy(MfaPolicy::Required)];
    fixture.set(ours.id, &demand).await.expect("set");
    // Each is looked for in its own workspace, whatever was looked at before, and once more if it is asked for twice.
    let places = [
        (&theirs, &owner),
        (&ours, &owner),
        (&theirs, &somebody),
        (&ours, &somebody),
        (&ours, &owner),
    ];
    let ours_found = belonging(&ours, &owner, MfaPolicy::Required);
    let theirs_found = belonging(&theirs, &somebody, MfaPolicy::Optional);
    let expected = [None, ours_found.clone(), theirs_found, None, ours_found];
    assert_eq!(find(&places).await, expected);
}

pub(crate) async fn a_new_region_is_the_home_of_the_workspace(fixture: &Fixture) {
    let (ours, _) = fixture.tenant().await;
    let moved = SettingChange::Region("us-east-1".to_owned());
    fixture.set(ours.id, &[moved]).await.expect("set");
    let expected = Workspace {
        region: "us-east-1".to_owned(),
        updated_at: time(9),
        ..ours.clone()
    };
    assert_eq!(
        fixture.store.find_workspace(ours.id).await.expect("read"),
        Some(expected)
    );
}

pub(crate) async fn refused_settings_leave_nothing(fixture: &Fixture) {
    let (ours, _) = fixture.tenant().await;
    let model = SettingChange::Model(AiModel::parse("gpt-4o").ok());
    let refused = fixture
        .set(ours.id, &[SettingChange::RateTier(RateTier::Free), model])
        .await;
    assert_eq!(refusal(refused), Refusal::ProviderMissing);
    assert_eq!(fixture.settings(ours.id).await, Some(Settings::untouched(&ours)));
    assert_eq!(fixture.actions().await, ["workspace.created"]);
    let nobody = WorkspaceId::generate();
    assert_eq!(fixture.settings(nobody).await, None);
    let refused = fixture.set(nobody, &everything()).await;
    assert!(matches!(refused, Err(StoreError::NoParent)), "{refused:?}");
}

pub(crate) async fn a_change_of_settings_keeps_every_fact_of_it(fixture: &Fixture) {
    let (ours, _) = fixture.tenant().await;
    let before = fixture.actions().await.len();
    // More than once, so that every connection knows the statements.
    for round in 1..=4 {
        let facts = ["settings.updated", "platform.settings_updated"].map(|action| fact(ours.id, action));
        let change = [SettingChange::Provider(Some(AiProvider::OpenAi))];
        let changed = fixture
            .store
            .change_settings_for(ours.id, &change, time(9), facts.to_vec());
        changed.await.expect("changed");
        assert_eq!(fixture.actions().await.len(), before + 2 * round);
    }
}

pub(crate) async fn concurrent_changes_of_settings_all_count(fixture: &Fixture) {
    let (ours, _) = fixture.tenant().await;
    let provider = [SettingChange::Provider(Some(AiProvider::OpenAi))];
    fixture.set(ours.id, &provider).await.expect("set");
    let mut tasks = JoinSet::new();
    for change in everything() {
        let (store, fact) = (Arc::clone(&fixture.store), fact(ours.id, "settings.updated"));
        tasks.spawn(async move { store.change_settings(ours.id, &[change], time(9), fact).await });
    }
    for answer in tasks.join_all().await {
        answer.expect("set");
    }
    let expected = Settings::untouched(&ours).with(&everything(), time(9));
    assert_eq!(fixture.settings(ours.id).await, expected.ok());
}
