use async_trait::async_trait;
use causeway_context::{Caller, RequestId};
use causeway_contracts::METHODS;
use causeway_crypto::{DataKey, KeyContext, KeyError, LocalKeys, LocalRing, WrappedKey};
use causeway_errors::Code;
use causeway_mesh::near;
use causeway_outbox::{OutboxError, OutboxStore, Relay};
use chrono::{DateTime, TimeDelta};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;
use tonic::service::Routes;
use uuid::Uuid;

use super::*;
use crate::domain::{Secret, SecretKind, SecretName};
use crate::store::MemoryStore;

/// A ring that lets others run between making a key and wrapping it.
struct Slow(LocalRing);

#[async_trait]
impl KeyProvider for Slow {
    fn active_id(&self) -> Option<&str> {
        self.0.active_id()
    }

    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError> {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.0.wrap(key, context).await
    }

    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError> {
        self.0.unwrap_key(wrapped, context).await
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) tenancy: Tenancy,
}

pub(crate) fn defaults() -> Defaults {
    Defaults {
        region: "eu-central-1".to_owned(),
        rate_tier: None,
        demo: false,
        modes: Modes::default(),
    }
}

pub(crate) fn world_with(keys: LocalRing, relay: RelayHandle) -> World {
    let store = Arc::new(MemoryStore::default());
    let tenancy = Tenancy::new(
        Arc::clone(&store) as Arc<dyn TenancyStore>,
        Arc::new(Slow(keys)),
        relay,
        defaults(),
    );
    World { store, tenancy }
}

pub(crate) fn world() -> World {
    let ring = LocalRing::new(&LocalKeys::default(), true).expect("a ring");
    world_with(ring, RelayHandle::detached())
}

pub(crate) fn context(rpc: &str, caller: Caller) -> CallContext {
    let mut ours = METHODS.iter().filter(|method| method.owner == "tenancy");
    let method = ours.find(|method| method.name == rpc).expect("an RPC");
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    CallContext::new(caller, method, RequestId::generate(), now)
}

pub(crate) fn person(kind: CallerKind, user: UserId, workspace: WorkspaceId) -> Caller {
    Caller::person(kind, user, workspace, &[Role::Owner], &[], "s".to_owned())
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::parse(text).expect("a name")
}

fn workspace_name(text: &str) -> WorkspaceName {
    WorkspaceName::parse(text).expect("a name")
}

pub(crate) fn value(text: &str) -> SecretString {
    SecretString::from(text)
}

pub(crate) fn reason<T>(answer: Result<T, TenancyError>) -> (Code, String) {
    let error = answer.err().expect("refused").to_api();
    (error.code, error.reason.into_owned())
}

impl World {
    /// A person in a fresh workspace that it owns.
    pub(crate) async fn owner(&self) -> Caller {
        let (user, id) = (UserId::generate(), WorkspaceId::generate());
        let ctx = context("ProvisionWorkspace", Caller::service("auth"));
        self.tenancy
            .provision_workspace(&ctx, id, workspace_name("Acme"), user)
            .await
            .expect("made");
        person(CallerKind::User, user, id)
    }

    pub(crate) async fn put(
        &self,
        caller: &Caller,
        text: &str,
        content: &str,
    ) -> Result<Secret, TenancyError> {
        let ctx = context("PutSecret", caller.clone());
        self.tenancy
            .put_secret(&ctx, &name(text), SecretKind::LlmProvider, &value(content))
            .await
    }

    async fn reveal(&self, caller: &Caller, text: &str) -> Result<(String, u32), TenancyError> {
        let ctx = context("RevealSecret", caller.clone());
        let (value, version) = self.tenancy.reveal_secret(&ctx, &name(text)).await?;
        Ok((value.expose_secret().to_owned(), version))
    }

    pub(crate) async fn actions(&self) -> Vec<String> {
        let facts = self.store.outbox().unsent(1000).await.expect("read");
        facts.into_iter().map(|fact| fact.action).collect()
    }
}

#[tokio::test]
async fn a_repeated_provision_makes_no_second_workspace() {
    let world = world();
    let (user, id) = (UserId::generate(), WorkspaceId::generate());
    let ctx = context("ProvisionWorkspace", Caller::service("auth"));
    let provision = |name, user| {
        world
            .tenancy
            .provision_workspace(&ctx, id, workspace_name(name), user)
    };
    let first = provision("Acme", user).await.expect("made");
    assert_eq!(provision("Acme", user).await.expect("answered"), first);
    assert_eq!(world.tenancy.memberships(user).await.expect("read").len(), 1);
    assert_eq!(world.actions().await, ["workspace.created"]);
    let stolen = provision("Acme", UserId::generate()).await;
    assert_eq!(
        reason(stolen),
        (Code::AlreadyExists, "WORKSPACE_EXISTS".to_owned())
    );
}

#[tokio::test]
async fn the_fact_of_a_provision_names_the_owner_and_lies_in_the_new_workspace() {
    let world = world();
    let owner = world.owner().await;
    let facts = world.store.outbox().unsent(10).await.expect("read");
    assert_eq!(Some(facts[0].workspace), owner.workspace);
    assert_eq!(
        (facts[0].actor_kind.as_str(), &facts[0].actor_id),
        ("user", &owner.id)
    );
}

#[tokio::test]
async fn a_person_owns_what_it_makes_and_sees_all_of_its_workspaces() {
    let world = world();
    let owner = world.owner().await;
    let ctx = context("CreateWorkspace", owner.clone());
    let second = world
        .tenancy
        .create_workspace(&ctx, workspace_name("Second"))
        .await
        .expect("made");
    let ctx = context("ListWorkspaces", owner.clone());
    let mut ids = Vec::new();
    let mut page = Page { size: 1, after: None };
    loop {
        let (workspaces, next) = world.tenancy.workspaces(&ctx, &page).await.expect("read");
        ids.extend(workspaces.iter().map(|workspace| workspace.id));
        match page::place(&next).expect("our own token") {
            Some(after) => page.after = Some(after),
            None => break,
        }
    }
    ids.sort();
    let mut expected = vec![owner.workspace.expect("has one"), second.id];
    expected.sort();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_token_sees_only_the_workspace_it_was_made_for() {
    let world = world();
    let owner = world.owner().await;
    let ctx = context("CreateWorkspace", owner.clone());
    world
        .tenancy
        .create_workspace(&ctx, workspace_name("Second"))
        .await
        .expect("made");
    let ctx = context(
        "ListWorkspaces",
        Caller {
            kind: CallerKind::Token,
            ..owner.clone()
        },
    );
    let (workspaces, next) = world
        .tenancy
        .workspaces(
            &ctx,
            &Page {
                size: 50,
                after: None,
            },
        )
        .await
        .expect("read");
    assert_eq!(
        workspaces
            .iter()
            .map(|workspace| Some(workspace.id))
            .collect::<Vec<_>>(),
        [owner.workspace]
    );
    assert_eq!(next, "");
}

#[tokio::test]
async fn another_workspace_is_unknown() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    let theirs = stranger.workspace.expect("has one");
    let unknown = (Code::NotFound, "WORKSPACE_NOT_FOUND".to_owned());
    let ctx = context("GetWorkspace", owner.clone());
    assert_eq!(reason(world.tenancy.workspace(&ctx, theirs).await), unknown);
    assert_eq!(
        reason(world.tenancy.workspace(&ctx, WorkspaceId::generate()).await),
        unknown
    );
    let ctx = context("UpdateWorkspace", owner);
    assert_eq!(
        reason(
            world
                .tenancy
                .rename_workspace(&ctx, theirs, &workspace_name("Mine"))
                .await
        ),
        unknown
    );
}

#[tokio::test]
async fn a_secret_comes_back_and_its_version_grows() {
    let world = world();
    let owner = world.owner().await;
    assert_eq!(
        world.put(&owner, "openai", "sk-1").await.expect("stored").version,
        1
    );
    let second = world.put(&owner, "openai", "sk-2").await.expect("stored");
    assert_eq!((second.version, second.key_version), (2, 1));
    assert_eq!(
        world.reveal(&owner, "openai").await.expect("shown"),
        ("sk-2".to_owned(), 2)
    );
    let actions = world.actions().await;
    assert_eq!(
        actions,
        [
            "workspace.created",
            "secret.written",
            "secret.written",
            "secret.revealed"
        ]
    );
}

#[tokio::test]
async fn no_fact_holds_a_value() {
    let world = world();
    let owner = world.owner().await;
    world
        .put(&owner, "openai", "sk-very-secret")
        .await
        .expect("stored");
    world.reveal(&owner, "openai").await.expect("shown");
    let facts = world.store.outbox().unsent(10).await.expect("read");
    assert!(
        !serde_json::to_string(&facts)
            .expect("JSON")
            .contains("sk-very-secret")
    );
}

#[tokio::test]
async fn a_secret_of_another_workspace_is_unknown() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    world.put(&owner, "openai", "sk-1").await.expect("stored");
    let unknown = (Code::NotFound, "SECRET_NOT_FOUND".to_owned());
    assert_eq!(reason(world.reveal(&stranger, "openai").await), unknown);
    let ctx = context("GetSecret", stranger.clone());
    assert_eq!(reason(world.tenancy.secret(&ctx, &name("openai")).await), unknown);
    let ctx = context("DeleteSecret", stranger);
    assert_eq!(
        reason(world.tenancy.delete_secret(&ctx, &name("openai")).await),
        unknown
    );
    assert!(world.reveal(&owner, "openai").await.is_ok());
}

#[tokio::test]
async fn concurrent_first_uses_end_with_one_data_key() {
    let world = Arc::new(world());
    let owner = world.owner().await;
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let (world, owner) = (Arc::clone(&world), owner.clone());
        tasks.spawn(async move {
            world
                .put(&owner, &format!("s{number}"), &format!("v{number}"))
                .await
        });
    }
    for answer in tasks.join_all().await {
        assert_eq!(answer.expect("stored").key_version, 1);
    }
    for number in 0..16 {
        let shown = world.reveal(&owner, &format!("s{number}")).await.expect("shown");
        assert_eq!(shown, (format!("v{number}"), 1));
    }
}

#[tokio::test]
async fn concurrent_writes_of_one_secret_all_count() {
    let world = Arc::new(world());
    let owner = world.owner().await;
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let (world, owner) = (Arc::clone(&world), owner.clone());
        tasks.spawn(async move { world.put(&owner, "a", &number.to_string()).await });
    }
    let mut versions: Vec<u32> = tasks
        .join_all()
        .await
        .into_iter()
        .map(|answer| answer.expect("stored").version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
    assert_eq!(world.reveal(&owner, "a").await.expect("shown").1, 8);
}

#[tokio::test]
async fn without_a_master_key_the_first_use_fails_and_nothing_is_stored() {
    let ring = LocalRing::new(&LocalKeys::default(), false).expect("a ring");
    let world = world_with(ring, RelayHandle::detached());
    let owner = world.owner().await;
    let refused = world.put(&owner, "a", "v").await;
    assert_eq!(reason(refused), (Code::Unavailable, "KEY_UNAVAILABLE".to_owned()));
    assert_eq!(world.actions().await, ["workspace.created"]);
}

/// An outbox in which everything stays.
struct Kept;

#[async_trait]
impl OutboxStore for Kept {
    async fn unsent(&self, _: usize) -> Result<Vec<OutboxEvent>, OutboxError> {
        Ok(Vec::new())
    }

    async fn mark_sent(&self, _: &[Uuid]) -> Result<(), OutboxError> {
        Ok(())
    }

    async fn park(&self, _: Uuid, _: &str) -> Result<(), OutboxError> {
        Ok(())
    }

    async fn keeps(&self, _: Uuid) -> Result<bool, OutboxError> {
        Ok(true)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_revealed_before_the_audit_log_has_it() {
    // A relay that does not run: the log takes nothing.
    let (_relay, handle) = Relay::new(Arc::new(Kept), near(Routes::default().prepare()));
    let world = world_with(
        LocalRing::new(&LocalKeys::default(), true).expect("a ring"),
        handle,
    );
    let owner = world.owner().await;
    world
        .put(&owner, "a", "v")
        .await
        .expect("an ordinary change does not wait for the log");
    let refused = world.reveal(&owner, "a").await;
    assert_eq!(
        reason(refused),
        (Code::Unavailable, "AUDIT_UNAVAILABLE".to_owned())
    );
}

#[tokio::test]
async fn a_sealed_value_that_was_moved_to_another_row_does_not_open() {
    use crate::store::SecretStore as _;
    let world = world();
    let owner = world.owner().await;
    let workspace = owner.workspace.expect("has one");
    let first = world.put(&owner, "a", "v1").await.expect("stored");
    let ctx = context("DeleteSecret", owner.clone());
    world
        .tenancy
        .delete_secret(&ctx, &first.name)
        .await
        .expect("deleted");
    world.put(&owner, "a", "v2").await.expect("stored");

    // An older value of a secret of the same name, put back by somebody who can write rows.
    let unreadable = (Code::DataLoss, "VALUE_UNREADABLE".to_owned());
    let now = world
        .store
        .find_secret(workspace, &first.name)
        .await
        .expect("read")
        .expect("there");
    let moved = Secret {
        sealed: first.sealed.clone(),
        version: 2,
        ..now
    };
    let fact = OutboxEvent::of(&context("PutSecret", owner.clone())).expect("audited");
    world.store.replace_secret(&moved, fact).await.expect("replaced");
    assert_eq!(reason(world.reveal(&owner, "a").await), unreadable);
}

#[tokio::test]
async fn the_status_tells_region_and_tier() {
    let world = world();
    let owner = world.owner().await;
    let status = world
        .tenancy
        .status(&context("GetTenantStatus", owner.clone()))
        .await
        .expect("read");
    assert_eq!(Some(status.workspace), owner.workspace);
    assert_eq!(
        (status.region.as_str(), status.rate_tier.as_str(), status.demo),
        ("eu-central-1", "standard", false)
    );
}
