use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use causeway_context::Caller;
use causeway_contracts::common::v1::{
    CountBelowRequest, CountBelowResponse, EraseRequest, EraseResponse, ErasedTable, ExportRequest,
    RaiseFenceRequest, ReencryptRequest, ReencryptResponse,
};
use causeway_contracts::{CallerKind, Role};
use causeway_errors::Code;
use causeway_outbox::OutboxStore as _;
use futures::StreamExt as _;
use tonic::Status;

use super::job::Addresses;
use super::*;
use crate::domain::{MemberChange, MemberStep, NO_HASH, SecretKind};
use crate::holders::{Holder, HolderError, Holders, InProcess, Lines, SealedData, TenantData};
use crate::service::tests::{World, context, name, person, reason, value, world};
use crate::store::{LedgerStore as _, MemberStore as _, TenancyStore, TenantRows as _, WorkspaceStore as _};

/// Holds nothing that is sealed.
struct Unsealed;

#[async_trait]
impl SealedData for Unsealed {
    async fn reencrypt(&self, _request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        Ok(ReencryptResponse::default())
    }

    async fn raise_fence(&self, _request: RaiseFenceRequest) -> Result<(), HolderError> {
        Ok(())
    }

    async fn count_below(&self, _request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        Ok(CountBelowResponse::default())
    }
}

/// Another service: remembers what it was asked, and fails as often as it is told.
#[derive(Default)]
pub(crate) struct Elsewhere {
    asked: Mutex<Vec<EraseRequest>>,
    failures: Mutex<u32>,
}

#[async_trait]
impl TenantData for Elsewhere {
    async fn erase(&self, request: EraseRequest) -> Result<EraseResponse, HolderError> {
        let mut failures = self.failures.lock().expect("not poisoned");
        if *failures > 0 {
            *failures -= 1;
            return Err(HolderError::local(std::io::Error::other("away")));
        }
        self.asked.lock().expect("not poisoned").push(request);
        let table = ErasedTable {
            table: "elsewhere.things".to_owned(),
            rows: 3,
        };
        Ok(EraseResponse {
            tables: vec![table],
            leaver_user_ids: vec![],
        })
    }

    async fn export(&self, _request: ExportRequest) -> Result<Lines, HolderError> {
        Ok(futures::stream::empty().boxed())
    }
}

#[async_trait]
impl Addresses for Elsewhere {
    async fn of(&self, _user: UserId) -> Result<Vec<String>, Status> {
        Ok(vec!["them@example.com".to_owned()])
    }
}

struct Remote(InProcess);

#[async_trait]
impl SealedData for Remote {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        self.0.reencrypt(request).await
    }

    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
        self.0.raise_fence(request).await
    }

    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        self.0.count_below(request).await
    }
}

#[async_trait]
impl TenantData for Remote {
    async fn erase(&self, request: EraseRequest) -> Result<EraseResponse, HolderError> {
        self.0.erase(request).await
    }

    async fn export(&self, request: ExportRequest) -> Result<Lines, HolderError> {
        self.0.export(request).await
    }
}

impl Holder for Remote {
    fn name(&self) -> &'static str {
        "elsewhere"
    }
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn later() -> DateTime<Utc> {
    now() + TimeDelta::days(4)
}

fn latest() -> DateTime<Utc> {
    later() + TimeDelta::hours(1)
}

pub(crate) fn holders(store: &Arc<dyn TenancyStore>, elsewhere: &Arc<Elsewhere>) -> Holders {
    let own = InProcess::new(Arc::new(Unsealed), Arc::new(OwnData::new(Arc::clone(store), now)));
    let remote = InProcess::new(Arc::new(Unsealed), Arc::clone(elsewhere) as Arc<dyn TenantData>);
    Holders::of([Arc::new(own) as Arc<dyn Holder>, Arc::new(Remote(remote))])
}

fn job(world: &World, elsewhere: &Arc<Elsewhere>, clock: fn() -> DateTime<Utc>) -> ErasureJob {
    let store = Arc::clone(&world.store) as Arc<dyn TenancyStore>;
    ErasureJob {
        holders: holders(&store, elsewhere),
        store,
        addresses: Arc::clone(elsewhere) as Arc<dyn Addresses>,
        lifecycle: Lifecycle::default(),
        kms: false,
        clock,
    }
}

async fn with_secret(world: &World) -> Caller {
    let owner = world.owner().await;
    let ctx = context("PutSecret", owner.clone());
    let kind = SecretKind::Custom;
    world
        .tenancy
        .put_secret(&ctx, &name("s"), kind, &value("v"))
        .await
        .expect("stored");
    owner
}

async fn order(world: &World, by: &Caller, subject: Option<UserId>) -> Result<Erasure, TenancyError> {
    let ctx = context("CreateErasure", by.clone());
    world.tenancy.create_erasure(&ctx, subject, ctx.now).await
}

async fn join(world: &World, owner: &Caller, user: UserId, role: Role) {
    let change = MemberChange {
        workspace: owner.workspace.expect("a workspace"),
        actor: owner.user().expect("a person"),
        target: user,
        step: MemberStep::Join(role.into()),
        at: now(),
    };
    let fact = background_fact(change.workspace, "member.added", now());
    world.store.change_member(&change, fact).await.expect("joined");
}

async fn actions(world: &World) -> Vec<String> {
    let facts = world.store.outbox().unsent(100).await.expect("memory answers");
    facts.into_iter().map(|fact| fact.action).collect()
}

/// ERA-01, ERA-06.
#[tokio::test]
async fn an_erased_workspace_leaves_a_receipt_and_nothing_that_opens() {
    let (world, elsewhere) = (world(), Arc::new(Elsewhere::default()));
    let owner = with_secret(&world).await;
    let workspace = owner.workspace.expect("a workspace");
    let ordered = order(&world, &owner, None).await.expect("ordered");
    assert_eq!(ordered.state, ErasureState::Scheduled);
    let job = job(&world, &elsewhere, now);
    assert!(job.round().await.expect("erased"));
    assert!(!job.round().await.expect("nothing left to do"));

    let found = world
        .tenancy
        .erasure(&context("GetErasure", owner.clone()), ordered.id)
        .await
        .expect("readable");
    let receipt = found.receipt.expect("a receipt");
    assert_eq!(found.state, ErasureState::Succeeded);
    assert_eq!((receipt.sequence, receipt.previous_hash.as_str()), (1, NO_HASH));
    assert_eq!(receipt.hash, receipt.computed_hash());
    assert_eq!(receipt.done.effective_at, now() + TimeDelta::days(7));
    let counts = &receipt.done.counts;
    let rows = |table: &str| {
        counts
            .iter()
            .find(|count| count.table == table)
            .map(|count| count.rows)
    };
    assert_eq!(rows("tenancy.secrets"), Some(1));
    assert_eq!(rows("elsewhere.things"), Some(3));
    assert!(receipt.done.retained.iter().any(|kept| kept.what == "audit log"));
    let asked = elsewhere.asked.lock().expect("not poisoned").clone();
    assert_eq!(
        asked[0].leaver_user_ids,
        [owner.user().expect("a person").to_string()]
    );

    let seen = world
        .tenancy
        .secret(&context("GetSecret", owner.clone()), &name("s"))
        .await;
    assert_eq!(reason(seen).0, Code::NotFound);
    let put = context("PutSecret", owner.clone());
    let put = world
        .tenancy
        .put_secret(&put, &name("t"), SecretKind::Custom, &value("v"))
        .await;
    assert_eq!(reason(put), (Code::NotFound, "WORKSPACE_NOT_FOUND".to_owned()));
    let again = order(&world, &owner, None).await;
    assert_eq!(reason(again).1, "WORKSPACE_NOT_FOUND");
    assert_eq!(world.store.find_workspace(workspace).await.expect("read"), None);
    let said = actions(&world).await;
    assert!(
        said.ends_with(&["erasure.requested".to_owned(), "erasure.completed".to_owned()]),
        "{said:?}"
    );
}

/// ERA-03.
#[tokio::test]
async fn an_erasure_that_broke_off_is_gone_on_with() {
    let (world, elsewhere) = (world(), Arc::new(Elsewhere::default()));
    let owner = with_secret(&world).await;
    let ordered = order(&world, &owner, None).await.expect("ordered");
    *elsewhere.failures.lock().expect("not poisoned") = 1;
    let first = job(&world, &elsewhere, later);
    assert!(matches!(
        first.round().await,
        Err(job::ErasureError::Holder {
            holder: "elsewhere",
            ..
        })
    ));
    assert!(!first.round().await.expect("waits"), "not at once");
    let cancelled = world
        .tenancy
        .cancel_erasure(&context("CancelErasure", owner.clone()), ordered.id)
        .await;
    assert_eq!(reason(cancelled).1, "ERASURE_BEGUN");
    assert!(job(&world, &elsewhere, latest).round().await.expect("erased"));
    let receipts = world.store.receipts().await.expect("read");
    assert_eq!(receipts.len(), 1);
    let secrets = receipts[0]
        .done
        .counts
        .iter()
        .find(|count| count.table == "tenancy.secrets");
    assert_eq!(
        secrets.map(|count| count.rows),
        Some(1),
        "what the first worker erased is counted"
    );
    assert_eq!(receipts[0].done.destroyed_keys, 1);
}

#[tokio::test]
async fn a_deleted_workspace_waits_and_can_be_taken_back() {
    let (world, elsewhere) = (world(), Arc::new(Elsewhere::default()));
    let owner = with_secret(&world).await;
    let workspace = owner.workspace.expect("a workspace");
    let ctx = context("DeleteWorkspace", owner.clone());
    let deleted = world
        .tenancy
        .delete_workspace(&ctx, workspace)
        .await
        .expect("ordered");
    assert_eq!(deleted.scheduled_for, ctx.now + TimeDelta::hours(72));
    let again = world
        .tenancy
        .delete_workspace(&ctx, workspace)
        .await
        .expect("ordered");
    assert_eq!(again.id, deleted.id);
    let foreign = world
        .tenancy
        .delete_workspace(&ctx, WorkspaceId::generate())
        .await;
    assert_eq!(reason(foreign).1, "WORKSPACE_NOT_FOUND");
    assert!(!job(&world, &elsewhere, now).round().await.expect("nothing due"));
    let ctx = context("CancelErasure", owner.clone());
    let cancelled = world
        .tenancy
        .cancel_erasure(&ctx, deleted.id)
        .await
        .expect("taken back");
    assert_eq!(cancelled.state, ErasureState::Cancelled);
    assert!(!job(&world, &elsewhere, later).round().await.expect("nothing due"));
    assert!(
        world
            .store
            .find_workspace(workspace)
            .await
            .expect("read")
            .is_some()
    );
}

/// ERA-04.
#[tokio::test]
async fn a_person_is_erased_alone() {
    let (world, elsewhere) = (world(), Arc::new(Elsewhere::default()));
    let owner = with_secret(&world).await;
    let workspace = owner.workspace.expect("a workspace");
    let own = owner.user().expect("a person");
    assert_eq!(reason(order(&world, &owner, Some(own)).await).1, "LAST_OWNER");
    assert_eq!(
        reason(order(&world, &owner, Some(UserId::generate())).await).1,
        "MEMBER_NOT_FOUND"
    );
    let guest = world.owner().await.user().expect("a person");
    join(&world, &owner, guest, Role::Editor).await;
    let ordered = order(&world, &owner, Some(guest)).await.expect("ordered");
    assert!(job(&world, &elsewhere, now).round().await.expect("erased"));
    let asked = elsewhere.asked.lock().expect("not poisoned").clone();
    assert_eq!(asked[0].subject_user_id, guest.to_string());
    assert_eq!(asked[0].addresses, ["them@example.com"]);
    assert_eq!(
        asked[0].leaver_user_ids,
        Vec::<String>::new(),
        "has a workspace of its own"
    );
    let receipt = world
        .tenancy
        .erasure(&context("GetErasure", owner.clone()), ordered.id)
        .await;
    let receipt = receipt.expect("readable").receipt.expect("a receipt");
    assert_eq!((receipt.subject, receipt.done.destroyed_keys), (Some(guest), 0));
    let seen = world
        .tenancy
        .secret(&context("GetSecret", owner.clone()), &name("s"))
        .await;
    assert!(seen.is_ok(), "the workspace goes on");
    let facts = world.store.outbox().unsent(100).await.expect("read");
    let completed = facts
        .iter()
        .find(|fact| fact.action == "erasure.completed")
        .expect("kept");
    assert_eq!(
        (completed.workspace, &completed.details["subject"]),
        (workspace, &guest.to_string().into())
    );
}

#[tokio::test]
async fn who_became_the_only_owner_before_the_erasure_began_stays() {
    let (world, elsewhere) = (world(), Arc::new(Elsewhere::default()));
    let owner = world.owner().await;
    let second = world.owner().await.user().expect("a person");
    join(&world, &owner, second, Role::Owner).await;
    let ordered = order(&world, &owner, Some(second)).await.expect("ordered");
    let leaves = MemberChange {
        workspace: owner.workspace.expect("a workspace"),
        actor: owner.user().expect("a person"),
        target: owner.user().expect("a person"),
        step: MemberStep::Leave,
        at: now(),
    };
    let fact = background_fact(leaves.workspace, "member.removed", now());
    world.store.change_member(&leaves, fact).await.expect("left");
    assert!(job(&world, &elsewhere, now).round().await.expect("given up"));
    let found = world
        .store
        .find_erasure(ordered.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!(found.state, ErasureState::Cancelled);
    assert_eq!(
        world.store.owners(leaves.workspace).await.expect("read"),
        [second]
    );
    assert_eq!(
        actions(&world).await.last().map(String::as_str),
        Some("erasure.cancelled")
    );
}

#[tokio::test]
async fn an_erasure_is_shown_to_who_asked_and_to_who_may_see_them() {
    let world = world();
    let owner = world.owner().await;
    let ordered = order(&world, &owner, None).await.expect("ordered");
    let read = async |caller: Caller| {
        world
            .tenancy
            .erasure(&context("GetErasure", caller), ordered.id)
            .await
    };
    let own = owner.user().expect("a person");
    let elsewhere = person(CallerKind::User, own, WorkspaceId::generate());
    assert!(read(elsewhere).await.is_ok(), "from another workspace too");
    let viewer = UserId::generate();
    let workspace = owner.workspace.expect("a workspace");
    let viewer = Caller::person(
        CallerKind::User,
        viewer,
        workspace,
        &[Role::Viewer],
        &[],
        "s".to_owned(),
    );
    assert_eq!(reason(read(viewer).await).1, "ERASURE_NOT_FOUND");
    let admin = Caller::person(
        CallerKind::User,
        UserId::generate(),
        workspace,
        &[Role::Admin],
        &[],
        "s".to_owned(),
    );
    assert!(read(admin).await.is_ok());
    let stranger = world.owner().await;
    assert_eq!(reason(read(stranger).await).1, "ERASURE_NOT_FOUND");
}
