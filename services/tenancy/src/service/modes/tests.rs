use std::sync::Arc;

use causeway_context::Caller;
use causeway_contracts::{CallerKind, Role};
use causeway_crypto::{LocalKeys, LocalRing};
use causeway_errors::Code;
use causeway_outbox::{OutboxStore as _, RelayHandle};
use secrecy::ExposeSecret as _;

use super::*;
use crate::domain::{AiProvider, BaseUrl, Email, INVITATION_PREFIX, Invitation, MemberRole, RetentionDays};
use crate::service::Defaults;
use crate::service::tests::{World, context, defaults, name, person, reason, world};

fn world_in(modes: Modes) -> World {
    let World { store, .. } = world();
    let ring = LocalRing::new(&LocalKeys::default(), true).expect("a ring");
    let defaults = Defaults { modes, ..defaults() };
    let tenancy = Tenancy::new(store.clone(), Arc::new(ring), RelayHandle::detached(), defaults);
    World { store, tenancy }
}

fn single() -> World {
    world_in(Modes {
        single_tenant: true,
        ..Modes::default()
    })
}

impl World {
    async fn register(&self, user: UserId) -> Workspace {
        let ctx = context("ProvisionWorkspace", Caller::service("auth"));
        let name = WorkspaceName::parse("Own").expect("a name");
        let id = WorkspaceId::generate();
        let made = self.tenancy.provision_workspace(&ctx, id, name, user).await;
        made.expect("joined")
    }

    async fn role_of(&self, user: UserId) -> Option<MemberRole> {
        let memberships = self.tenancy.memberships(user).await.expect("read");
        assert!(memberships.len() <= 1, "one workspace is all there is");
        memberships.first().map(|membership| membership.member.role)
    }

    async fn settings_of(&self, id: WorkspaceId) -> Settings {
        let found = self.tenancy.store.find_settings(id).await.expect("read");
        found.expect("a workspace")
    }
}

#[tokio::test]
async fn who_comes_first_owns_the_only_workspace_and_the_others_read() {
    let world = single();
    let [first, second] = [(); 2].map(|()| UserId::generate());
    let made = world.register(first).await;
    assert_eq!(made.id, WorkspaceId::DEFAULT);
    assert_eq!(world.register(second).await, made);
    assert_eq!(world.register(first).await, made, "a repeat changes nothing");
    assert_eq!(world.role_of(first).await, Some(Role::Owner.into()));
    assert_eq!(world.role_of(second).await, Some(Role::Viewer.into()));
    assert_eq!(world.actions().await, ["workspace.created", "member.added"]);
    let facts = world.store.outbox().unsent(10).await.expect("read");
    assert_eq!(facts[1].actor_id, second.to_string());
    assert!(facts.iter().all(|fact| fact.workspace == WorkspaceId::DEFAULT));
}

#[tokio::test]
async fn where_one_workspace_is_all_no_other_is_made_or_seen() {
    let world = single();
    let user = UserId::generate();
    world.register(user).await;
    let caller = person(CallerKind::User, user, WorkspaceId::DEFAULT);
    let ctx = context("CreateWorkspace", caller.clone());
    let more = WorkspaceName::parse("More").expect("a name");
    let refused = (Code::PermissionDenied, "SINGLE_TENANT_MODE".to_owned());
    assert_eq!(reason(world.tenancy.create_workspace(&ctx, more).await), refused);

    // From before the mode was set: it is there and counts for nobody.
    let (before, _) = world.tenancy.first_of(
        &ctx,
        WorkspaceId::generate(),
        WorkspaceName::parse("Before").expect("a name"),
        user,
    );
    let owner = crate::domain::Member {
        workspace: before.id,
        user,
        role: Role::Owner.into(),
        joined_at: ctx.now,
    };
    let fact = OutboxEvent::of(&ctx).expect("audited");
    let stored = world.tenancy.store.create_workspace(&before, &owner, fact).await;
    stored.expect("stored");
    assert_eq!(world.role_of(user).await, Some(Role::Owner.into()));
    let page = crate::page::Page {
        size: 10,
        after: None,
    };
    let ctx = context("ListWorkspaces", caller);
    let (listed, _) = world.tenancy.workspaces(&ctx, &page).await.expect("read");
    assert_eq!(
        listed.iter().map(|workspace| workspace.id).collect::<Vec<_>>(),
        [WorkspaceId::DEFAULT]
    );
    let stranger = UserId::generate();
    assert_eq!(world.role_of(stranger).await, None);

    // Nor does an invitation lead there, be it from now or from then.
    let there = context("CreateInvitation", person(CallerKind::User, user, before.id));
    let email = Email::parse("ada@example.com").expect("an address");
    let until = there.now + chrono::TimeDelta::days(1);
    let invited = world
        .tenancy
        .create_invitation(&there, email.clone(), Role::Viewer.into(), until)
        .await;
    assert_eq!(reason(invited.map(|_| ())), refused);
    let minted = causeway_crypto::token::mint(INVITATION_PREFIX);
    let old = Invitation {
        workspace: before.id,
        id: uuid::Uuid::now_v7(),
        email,
        role: Role::Viewer.into(),
        invited_by: user,
        created_at: there.now,
        expires_at: until,
    };
    let fact = OutboxEvent::of(&there).expect("audited");
    let stored = world.tenancy.store.insert_invitation(&old, &minted.hash, fact);
    stored.await.expect("from before the mode was set");
    let ctx = context(
        "AcceptInvitation",
        person(CallerKind::User, stranger, WorkspaceId::DEFAULT),
    );
    let joined = world.tenancy.accept_invitation(&ctx, &minted.secret).await;
    assert_eq!(reason(joined.map(|_| ())), refused);
}

#[tokio::test]
async fn the_platform_changes_what_a_workspace_may_not() {
    let plain = world();
    let (platform, tenant) = (plain.owner().await, plain.owner().await);
    let ring = LocalRing::new(&LocalKeys::default(), true).expect("a ring");
    let modes = Modes {
        platform_owner: platform.workspace,
        ..Modes::default()
    };
    let defaults = Defaults { modes, ..defaults() };
    let (store, ring, relay) = (plain.store.clone(), Arc::new(ring), RelayHandle::detached());
    let world = World {
        store: plain.store.clone(),
        tenancy: Tenancy::new(store, ring, relay, defaults),
    };
    let id = tenant.workspace.expect("a tenant");
    let change = [
        SettingChange::RateTier(RateTier::Enterprise),
        SettingChange::Region("eu-west-1".to_owned()),
    ];
    let fields = || vec!["rate_tier".to_owned(), "region".to_owned()];
    let by = |caller: &Caller| context("UpdatePlatformWorkspace", caller.clone());

    let refused = (Code::PermissionDenied, "NOT_PLATFORM_OWNER".to_owned());
    for (tenancy, caller) in [
        (&world.tenancy, &tenant),
        (&plain.tenancy, &platform),
        (&plain.tenancy, &tenant),
    ] {
        let ctx = by(caller);
        let changed = tenancy
            .change_platform_workspace(&ctx, id, &change, fields())
            .await;
        assert_eq!(reason(changed), refused, "unset means nobody");
        assert_eq!(reason(tenancy.platform_workspace(&ctx, id).await), refused);
    }
    let ctx = by(&platform);
    let changed = world
        .tenancy
        .change_platform_workspace(&ctx, id, &change, fields())
        .await;
    let (workspace, settings) = changed.expect("changed");
    assert_eq!(
        (workspace.region.as_str(), settings.rate_tier),
        ("eu-west-1", RateTier::Enterprise)
    );
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let of = |workspace| facts.iter().filter(move |fact| fact.workspace == workspace);
    for log in [id, platform.workspace.expect("a tenant")] {
        let fact = of(log).next_back().expect("kept");
        assert_eq!(fact.action, "platform.workspace_updated");
        assert_eq!((&fact.target_id, &fact.actor_id), (&id.to_string(), &platform.id));
        assert_eq!(fact.details["fields"], serde_json::json!(["rate_tier", "region"]));
    }
    let nobody = WorkspaceId::generate();
    let missing = world
        .tenancy
        .change_platform_workspace(&ctx, nobody, &change, fields())
        .await;
    assert_eq!(
        reason(missing),
        (Code::NotFound, "WORKSPACE_NOT_FOUND".to_owned())
    );
}

#[tokio::test]
async fn a_workspace_does_not_raise_its_own_tier_nor_move_itself_unless_it_is_the_platforms() {
    let world = world();
    let owner = world.owner().await;
    let id = owner.workspace.expect("a tenant");
    let ctx = context("UpdateSettings", owner.clone());
    for (change, field) in [
        (SettingChange::RateTier(RateTier::Unlimited), "settings.rate_tier"),
        (SettingChange::Region("eu-west-1".to_owned()), "settings.region"),
    ] {
        let refused = world.tenancy.change_settings(&ctx, &[change], Vec::new()).await;
        let error = refused.expect_err("refused").to_api();
        assert_eq!(
            (error.code, error.reason.as_ref()),
            (Code::PermissionDenied, "PLATFORM_SETTING")
        );
        assert_eq!(error.violations[0].field, field);
    }
    assert_eq!(world.settings_of(id).await.updated_at, None);

    let ring = LocalRing::new(&LocalKeys::default(), true).expect("a ring");
    let modes = Modes {
        platform_owner: Some(id),
        ..Modes::default()
    };
    let defaults = Defaults { modes, ..defaults() };
    let tenancy = Tenancy::new(
        world.store.clone(),
        Arc::new(ring),
        RelayHandle::detached(),
        defaults,
    );
    let change = [SettingChange::RateTier(RateTier::Unlimited)];
    let changed = tenancy.change_settings(&ctx, &change, Vec::new()).await;
    assert_eq!(changed.expect("changed").rate_tier, RateTier::Unlimited);
}

#[tokio::test]
async fn conversations_of_a_workspace_go_to_public_hosts_only() {
    let strict = world();
    let owner = strict.owner().await;
    let ctx = context("UpdateSettings", owner);
    let to = |url: &str| {
        vec![
            SettingChange::Provider(Some(AiProvider::OpenAi)),
            SettingChange::BaseUrl(BaseUrl::parse(url).ok()),
        ]
    };
    for url in [
        "http://llm.example.com",
        "https://127.0.0.1:8443",
        "https://169.254.169.254",
        "https://localhost",
    ] {
        let refused = strict.tenancy.change_settings(&ctx, &to(url), Vec::new()).await;
        let error = refused.expect_err("refused").to_api();
        assert_eq!(error.violations[0].field, "settings.ai.base_url", "{url}");
    }
    let public = to("https://llm.example.com/v1");
    let changed = strict.tenancy.change_settings(&ctx, &public, Vec::new()).await;
    changed.expect("changed");

    let open = world_in(Modes {
        any_base_url: true,
        ..Modes::default()
    });
    let ctx = context("UpdateSettings", open.owner().await);
    let local = to("http://127.0.0.1:11434/api");
    let changed = open.tenancy.change_settings(&ctx, &local, Vec::new()).await;
    changed.expect("changed");
}

#[tokio::test]
async fn a_tenant_is_resolved_to_its_region_and_the_tier_that_counts() {
    let world = world();
    let id = world.owner().await.workspace.expect("a tenant");
    let expected = ResolvedTenant {
        region: "eu-central-1".to_owned(),
        rate_tier: RateTier::Standard,
        retention: RetentionDays::parse(0).expect("a number"),
    };
    assert_eq!(world.tenancy.resolve(id).await.expect("found"), expected);
    let unknown = world.tenancy.resolve(WorkspaceId::generate()).await;
    assert_eq!(
        reason(unknown),
        (Code::NotFound, "WORKSPACE_NOT_FOUND".to_owned())
    );
}

#[tokio::test]
async fn the_key_of_a_tenants_provider_is_for_llm_alone_and_its_use_is_a_fact() {
    let world = world();
    let owner = world.owner().await;
    let id = owner.workspace.expect("a tenant");
    let by = |service| context("GetAiOverride", Caller::service(service));
    let none = world.tenancy.ai_override(&by("llm"), id).await.expect("answered");
    assert!(none.ai.provider.is_none() && none.key.is_none() && !none.key_missing);

    world.put(&owner, "openai", "sk-tenant").await.expect("stored");
    let chosen = [
        SettingChange::Provider(Some(AiProvider::OpenAi)),
        SettingChange::ApiKeySecret(Some(name("openai"))),
    ];
    let ctx = context("UpdateSettings", owner.clone());
    let changed = world.tenancy.change_settings(&ctx, &chosen, Vec::new()).await;
    changed.expect("changed");

    for other in ["scoring", "operator", "gateway"] {
        let refused = world.tenancy.ai_override(&by(other), id).await;
        let refused = reason(refused);
        assert_eq!(refused, (Code::PermissionDenied, "CALLER_REFUSED".to_owned()));
    }
    let found = world.tenancy.ai_override(&by("llm"), id).await.expect("answered");
    assert_eq!(found.key.expect("a key").expose_secret(), "sk-tenant");
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let used: Vec<_> = facts.iter().filter(|fact| fact.action == "secret.used").collect();
    let [fact] = used.as_slice() else {
        panic!("one use is one fact: {facts:?}")
    };
    assert_eq!((fact.workspace, fact.target_id.as_str()), (id, "openai"));
    assert_eq!(
        (fact.actor_kind.as_str(), fact.actor_id.as_str()),
        ("service", "llm")
    );

    let ctx = context("DeleteSecret", owner);
    world
        .tenancy
        .delete_secret(&ctx, &name("openai"))
        .await
        .expect("deleted");
    let gone = world.tenancy.ai_override(&by("llm"), id).await.expect("answered");
    assert!(gone.key.is_none() && gone.key_missing);
}
