use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use causeway_context::{Caller, UserId};
use causeway_contracts::CallerKind;
use causeway_contracts::common::v1::{CountBelowResponse, SealedTable, Unreadable};
use causeway_crypto::{
    DataKey, KeyContext, KeyError, KeyProvider, LocalKeys, LocalRing, WrappedKey, key_version_of,
};
use causeway_outbox::OutboxStore;
use causeway_testkit::TestDb;
use tokio::task::JoinSet;

use super::*;
use crate::domain::{KeyPlace, Secret, SecretKind, StoredKey};
use crate::error::TenancyError;
use crate::holders::SealedData;
use crate::keys::SealedSecrets;
use crate::page::Page;
use crate::service::Tenancy;
use crate::service::tests::{context, defaults, name, person, value};
use crate::store::{MemoryStore, PgStore};
use crate::{KEYSTORE, LEDGER, SCHEMA};

/// A ring that can be told to keep who unwraps waiting.
struct Gate {
    ring: LocalRing,
    closed: AtomicBool,
    waiting: AtomicUsize,
    opened: Notify,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            ring: LocalRing::new(&LocalKeys::default(), true).expect("a ring"),
            closed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            opened: Notify::new(),
        })
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    async fn somebody_waits(&self) {
        let waits = async {
            while self.waiting.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waits)
            .await
            .expect("it comes to the gate");
    }
}

#[async_trait]
impl KeyProvider for Gate {
    fn active_id(&self) -> Option<&str> {
        self.ring.active_id()
    }

    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError> {
        self.ring.wrap(key, context).await
    }

    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError> {
        let opened = self.opened.notified();
        if self.closed.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            opened.await;
        }
        self.ring.unwrap_key(wrapped, context).await
    }
}

/// One process of the service.
struct Process {
    gate: Arc<Gate>,
    tenancy: Arc<Tenancy>,
    rotator: Rotator,
}

/// A store, and whose it is.
struct Stage {
    store: Arc<dyn TenancyStore>,
    key_outbox: Arc<dyn OutboxStore>,
    owner: Caller,
    _database: Option<TestDb>,
}

impl Stage {
    async fn on(
        store: Arc<dyn TenancyStore>,
        key_outbox: Arc<dyn OutboxStore>,
        database: Option<TestDb>,
    ) -> Self {
        let owner = person(CallerKind::User, UserId::generate(), WorkspaceId::generate());
        let stage = Self {
            store,
            key_outbox,
            owner,
            _database: database,
        };
        stage.provision().await;
        stage
    }

    async fn memory() -> Self {
        let store = MemoryStore::default();
        let outbox = Arc::new(store.key_outbox());
        Self::on(Arc::new(store), outbox, None).await
    }

    async fn postgres() -> Option<Self> {
        let database = TestDb::new(&[&KEYSTORE, &SCHEMA, &LEDGER]).await?;
        let service = database.service().await;
        let outbox = Arc::new(causeway_outbox::PgOutbox::new(service.clone(), KEYSTORE.name));
        Some(Self::on(Arc::new(PgStore::new(service)), outbox, Some(database)).await)
    }

    async fn both() -> Vec<Self> {
        let mut both = vec![Self::memory().await];
        both.extend(Self::postgres().await);
        both
    }

    async fn provision(&self) {
        let ctx = context("ProvisionWorkspace", Caller::service("auth"));
        let acme = crate::domain::WorkspaceName::parse("Acme").expect("a name");
        let user = self.owner.user().expect("a person");
        self.process()
            .tenancy
            .provision_workspace(&ctx, self.workspace(), acme, user)
            .await
            .expect("made");
    }

    fn workspace(&self) -> WorkspaceId {
        self.owner.workspace.expect("has one")
    }

    fn process(&self) -> Process {
        self.process_with(|own| own)
    }

    fn process_with(&self, around: impl FnOnce(Arc<dyn SealedData>) -> Arc<dyn SealedData>) -> Process {
        let gate = Gate::new();
        let provider = Arc::clone(&gate) as Arc<dyn KeyProvider>;
        let relay = RelayHandle::detached();
        let tenancy = Tenancy::new(Arc::clone(&self.store), provider, relay.clone(), defaults());
        let own = SealedSecrets::new(Arc::clone(&self.store), tenancy.data_keys());
        let holders: Sealed = Arc::new([around(Arc::new(own))]);
        let duty = Duty::percent(100);
        let rotator = Rotator::new(Arc::clone(&self.store), holders, relay, Arc::default(), duty);
        Process {
            gate,
            tenancy: Arc::new(tenancy),
            rotator,
        }
    }

    async fn put(&self, process: &Process, text: &str, content: &str) -> Result<Secret, TenancyError> {
        let ctx = context("PutSecret", self.owner.clone());
        process
            .tenancy
            .put_secret(&ctx, &name(text), SecretKind::Custom, &value(content))
            .await
    }

    async fn reveal(&self, process: &Process, text: &str) -> Result<String, TenancyError> {
        use secrecy::ExposeSecret as _;
        let ctx = context("RevealSecret", self.owner.clone());
        let (value, _) = process.tenancy.reveal_secret(&ctx, &name(text)).await?;
        Ok(value.expose_secret().to_owned())
    }

    async fn start(&self, process: &Process, keep_previous: bool) -> Rotation {
        let ctx = context("RotateKey", self.owner.clone());
        let started = process.tenancy.rotate_key(&ctx, Ring::Data, keep_previous).await;
        started.expect("started")
    }

    async fn finish(&self, process: &Process) -> Rotation {
        let (mut rotation, lease) = process.rotator.claim().await.expect("a rotation");
        let carried = process.rotator.carry(&mut rotation, &lease).await;
        carried.expect("carried");
        self.found(rotation.id).await
    }

    async fn found(&self, id: Uuid) -> Rotation {
        let found = self.store.find_rotation(self.workspace(), id).await;
        found.expect("read").expect("there")
    }

    async fn key(&self, version: u32) -> StoredKey {
        let found = self.store.find_key(self.workspace(), Ring::Data, version).await;
        found.expect("read").expect("there")
    }

    async fn fill(&self, process: &Process, count: usize) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("s{number:04}")).collect();
        for name in &names {
            self.put(process, name, &format!("value of {name}"))
                .await
                .expect("stored");
        }
        names
    }

    async fn stored(&self, text: &str) -> Secret {
        let found = self.store.find_secret(self.workspace(), &name(text)).await;
        found.expect("read").expect("there")
    }

    /// The secret's bytes are no longer what they were: as a disk would do it.
    async fn damage(&self, text: &str) {
        let secret = self.stored(text).await;
        let mut sealed = secret.sealed.clone();
        *sealed.last_mut().expect("bytes") ^= 1;
        let damaged = crate::store::Resealed {
            name: secret.name.clone(),
            before: secret.sealed,
            sealed,
            key_version: secret.key_version,
        };
        let replaced = self.store.reseal_secrets(self.workspace(), &[damaged]).await;
        assert_eq!(replaced.expect("damaged"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_seals_everything_anew_and_destroys_what_nothing_lies_under() {
    for stage in Stage::both().await {
        let process = stage.process();
        let names = stage.fill(&process, 600).await;
        let before = stage.stored("s0000").await;
        let started = stage.start(&process, false).await;
        assert_eq!(started.step, RotationStep::Reencrypting);
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!((rotation.total, rotation.done, rotation.remaining), (600, 600, 0));
        assert_eq!((rotation.unreadable, &rotation.destroyed), (0, &vec![1]));
        let proof: Vec<(&str, i64, i64)> = rotation
            .proof
            .iter()
            .map(|line| (line.table.as_str(), line.rows, line.below))
            .collect();
        assert_eq!(proof, [("tenancy.secrets", 600, 0)]);
        assert_eq!(
            (stage.key(1).await.state, stage.key(1).await.wrapped),
            (KeyState::Destroyed, None)
        );
        assert_eq!(stage.key(2).await.state, KeyState::Active);
        for name in &names {
            assert_eq!(
                stage.reveal(&process, name).await.expect("revealed"),
                format!("value of {name}")
            );
        }
        let after = stage.stored("s0000").await;
        assert_eq!(key_version_of(&after.sealed), Ok(2));
        let untouched = Secret {
            sealed: before.sealed.clone(),
            key_version: 1,
            ..after
        };
        assert_eq!(untouched, before, "nothing but the seal changed");
        let facts = stage.key_outbox.unsent(9).await.expect("read");
        let actions: Vec<&str> = facts.iter().map(|fact| fact.action.as_str()).collect();
        assert_eq!(actions, ["key.rotation_started", "key.rotated"]);
        assert_eq!(facts[1].details["destroyed_versions"], serde_json::json!([1]));
        assert_eq!(
            facts[1].details["requested_by"],
            serde_json::json!(stage.owner.id)
        );
        assert!(process.rotator.claim().await.is_none(), "nothing is left to do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_versions_can_be_kept() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 3).await;
        stage.start(&process, true).await;
        let rotation = stage.finish(&process).await;
        assert_eq!((rotation.step, rotation.remaining), (RotationStep::Succeeded, 0));
        assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
        stage.start(&process, false).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.destroyed, [1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_open_stays_with_its_key_and_is_named() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 5).await;
        stage.damage("s0002").await;
        stage.start(&process, false).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Incomplete);
        assert_eq!(
            (rotation.done, rotation.remaining, rotation.unreadable),
            (4, 1, 1)
        );
        assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
        let listed = stage
            .store
            .list_unreadable(stage.workspace(), rotation.id, 9)
            .await;
        let row = UnreadableRow {
            table: "tenancy.secrets".to_owned(),
            row: "s0002".to_owned(),
            reason: "DECRYPTION_FAILED".to_owned(),
        };
        assert_eq!(listed.expect("read"), [row]);
        let facts = stage.key_outbox.unsent(9).await.expect("read");
        assert_eq!(facts[1].action, "key.rotation_incomplete");

        // Its owner writes it anew: then the next rotation takes the old version along.
        stage.put(&process, "s0002", "again").await.expect("stored");
        stage.start(&process, false).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!(rotation.destroyed, [1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_writer_writes_nothing_under_a_destroyed_version_and_loses_nothing() {
    for stage in Stage::both().await {
        let (writer, other) = (stage.process(), stage.process());
        stage.fill(&other, 3).await;
        writer.gate.closed.store(true, Ordering::SeqCst);
        let late = stage.put(&writer, "late", "the value");
        let rotate = async {
            // It has read which version is active, and not yet what it seals with.
            writer.gate.somebody_waits().await;
            stage.start(&other, false).await;
            let rotation = stage.finish(&other).await;
            assert_eq!(rotation.destroyed, [1]);
            writer.gate.open();
        };
        let (written, ()) = tokio::join!(late, rotate);
        assert_eq!(written.expect("stored").key_version, 2);
        assert_eq!(stage.reveal(&other, "late").await.expect("revealed"), "the value");
        let below = stage.store.count_secrets_below(stage.workspace(), 2).await;
        assert_eq!(below.expect("counted"), (4, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_reader_reads_the_row_again() {
    for stage in Stage::both().await {
        let (reader, other) = (stage.process(), stage.process());
        stage.fill(&other, 3).await;
        // Between its row and its key the whole rotation happens.
        reader.gate.closed.store(true, Ordering::SeqCst);
        let late = stage.reveal(&reader, "s0001");
        let rotate = async {
            reader.gate.somebody_waits().await;
            stage.start(&other, false).await;
            stage.finish(&other).await;
            reader.gate.open();
        };
        let (revealed, ()) = tokio::join!(late, rotate);
        assert_eq!(revealed.expect("revealed"), "value of s0001");
        // And where the row was read, but the key was not asked for yet.
        let secret = stage.stored("s0001").await;
        assert_eq!(secret.key_version, 2);
    }
}

async fn keep_writing(
    stage: Arc<Stage>,
    process: Arc<Process>,
    own: String,
    stop: CancellationToken,
) -> usize {
    let mut written = 0;
    while !stop.is_cancelled() {
        written += 1;
        let content = format!("{own} {written}");
        stage.put(&process, &own, &content).await.expect("stored");
        let revealed = stage.reveal(&process, &own).await;
        assert_eq!(revealed.expect("revealed"), content);
        // In memory nothing ever waits.
        tokio::task::yield_now().await;
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_under_load_lose_nothing() {
    for stage in Stage::both().await {
        let worker = stage.process();
        let stage = Arc::new(stage);
        stage.fill(&worker, 300).await;
        let (stop, mut writers) = (CancellationToken::new(), JoinSet::new());
        for number in 0..4 {
            let (stage, process) = (Arc::clone(&stage), Arc::new(stage.process()));
            let own = format!("own-{number}");
            writers.spawn(keep_writing(stage, process, own, stop.clone()));
        }
        for _ in 0..3 {
            stage.start(&worker, false).await;
            let rotation = stage.finish(&worker).await;
            assert_eq!(rotation.step, RotationStep::Succeeded, "{rotation:?}");
        }
        stop.cancel();
        for written in writers.join_all().await {
            assert!(written > 0);
        }
        let newest = stage.store.find_active_key(stage.workspace(), Ring::Data).await;
        let newest = newest.expect("read").expect("there").version;
        assert_eq!(newest, 4);
        let below = stage.store.count_secrets_below(stage.workspace(), newest).await;
        assert_eq!(below.expect("counted"), (304, 0));
        assert_eq!(
            stage.reveal(&worker, "s0299").await.expect("revealed"),
            "value of s0299"
        );
    }
}

/// A holder that fails at its n-th call, after having done what it was asked: as if the answer had been lost.
struct Faulty {
    own: Arc<dyn SealedData>,
    left: AtomicUsize,
}

impl Faulty {
    fn falls(&self) -> Result<(), HolderError> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(1) => Err(HolderError::local(StoreError::Unavailable("lost".into()))),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl SealedData for Faulty {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        let answer = self.own.reencrypt(request).await?;
        self.falls().map(|()| answer)
    }

    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
        self.own.raise_fence(request).await?;
        self.falls()
    }

    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        let answer = self.own.count_below(request).await?;
        self.falls().map(|()| answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_rotation_fails_it_goes_on_from_there() {
    // It counts, seals three parts anew, raises the fence, looks for what slipped in, and counts.
    for falls_at in 1..=7 {
        let stage = Stage::memory().await;
        let first = stage.process_with(|own| {
            Arc::new(Faulty {
                own,
                left: AtomicUsize::new(falls_at),
            })
        });
        let names = stage.fill(&first, 600).await;
        let started = stage.start(&first, false).await;
        let (mut rotation, lease) = first.rotator.claim().await.expect("a rotation");
        let carried = first.rotator.carry(&mut rotation, &lease).await;
        assert!(carried.is_err(), "{falls_at}");
        for name in &names {
            stage.reveal(&first, name).await.expect("readable all the time");
        }
        stage
            .store
            .release_rotation(&lease, Duration::ZERO)
            .await
            .expect("released");
        let rotation = stage.finish(&stage.process()).await;
        assert_eq!(
            (rotation.id, rotation.step),
            (started.id, RotationStep::Succeeded),
            "{falls_at}"
        );
        assert_eq!((rotation.remaining, &rotation.destroyed), (0, &vec![1]));
        for name in &names {
            stage.reveal(&first, name).await.expect("readable afterwards");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_never_became_active_does_so_when_the_next_process_looks() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 2).await;
        // What a process leaves that ends right after its first step.
        let started = stage.start(&process, false).await;
        let (mut rotation, lease) = process.rotator.claim().await.expect("a rotation");
        rotation.finish(RotationStep::Incomplete, rotation.updated_at);
        let ended = stage.store.advance_rotation(&lease, Advance::to(&rotation)).await;
        ended.expect("kept");
        let rotation = Rotation {
            id: Uuid::now_v7(),
            from_version: 2,
            to_version: 3,
            ..started
        };
        let rotation = Rotation {
            step: RotationStep::Beginning,
            ..rotation
        };
        let keys = process.tenancy.data_keys();
        let (key, _) = keys
            .generate(
                stage.workspace(),
                Ring::Data,
                3,
                KeyState::Pending,
                rotation.started_at,
            )
            .await
            .expect("made");
        let lease = Lease::new(stage.workspace(), Duration::ZERO);
        let fact = fact_of_end(&rotation);
        let begun = stage.store.begin_rotation(&rotation, &key, &lease, fact).await;
        begun.expect("begun");
        assert_eq!(stage.key(2).await.state, KeyState::Active);
        stage.put(&process, "meanwhile", "v").await.expect("stored");
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!(stage.key(3).await.state, KeyState::Active);
        assert_eq!(stage.reveal(&process, "meanwhile").await.expect("revealed"), "v");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_works_on_a_workspace() {
    for stage in Stage::both().await {
        let (first, second) = (stage.process(), stage.process());
        stage.fill(&first, 2).await;
        stage.start(&first, false).await;
        let claimed = first.rotator.claim().await;
        assert!(claimed.is_some());
        assert!(second.rotator.claim().await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_a_shredded_workspace_ends() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 2).await;
        let started = stage.start(&process, false).await;
        let destroyed = stage
            .store
            .destroy_keys(stage.workspace(), started.started_at)
            .await;
        assert_eq!(destroyed.expect("destroyed"), 2);
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Incomplete);
        let place = KeyPlace {
            ring: Ring::Data,
            version: 2,
        };
        let all: Page<KeyPlace> = Page { size: 9, after: None };
        let keys = stage
            .store
            .list_keys(stage.workspace(), &all)
            .await
            .expect("read");
        assert!(keys.iter().any(|key| key.place() == place));
        assert!(keys.iter().all(|key| key.state == KeyState::Destroyed));
    }
}

/// A holder elsewhere: it has two tables, and one row that it cannot open.
struct Elsewhere {
    rows: AtomicUsize,
}

#[async_trait]
impl SealedData for Elsewhere {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        let left = self.rows.swap(0, Ordering::SeqCst);
        let last = request.cursor == "last";
        Ok(ReencryptResponse {
            resealed: i64::try_from(left).expect("few"),
            skipped: 0,
            unreadable: Vec::from_iter(last.then(|| Unreadable {
                table: "other.b".to_owned(),
                row: "7".to_owned(),
                reason: "DECRYPTION_FAILED".to_owned(),
            })),
            next_cursor: if last { "" } else { "last" }.to_owned(),
        })
    }

    async fn raise_fence(&self, _: RaiseFenceRequest) -> Result<(), HolderError> {
        Ok(())
    }

    async fn count_below(&self, _: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        let table = |table: &str, rows, below| SealedTable {
            table: table.to_owned(),
            rows,
            below,
        };
        let left = i64::try_from(self.rows.load(Ordering::SeqCst)).expect("few");
        Ok(CountBelowResponse {
            tables: vec![table("other.a", 0, 0), table("other.b", 5, left + 1)],
        })
    }
}

#[tokio::test]
async fn what_other_services_hold_counts_too() {
    let stage = Stage::memory().await;
    let mut process = stage.process();
    stage.fill(&process, 2).await;
    let elsewhere = Arc::new(Elsewhere {
        rows: AtomicUsize::new(4),
    });
    let own = Arc::clone(&process.rotator.holders[0]);
    process.rotator.holders = Arc::new([own, elsewhere]);
    stage.start(&process, false).await;
    let rotation = stage.finish(&process).await;
    assert_eq!(rotation.step, RotationStep::Incomplete);
    assert_eq!(
        (
            rotation.total,
            rotation.done,
            rotation.remaining,
            rotation.unreadable
        ),
        (7, 6, 1, 1)
    );
    let tables: Vec<&str> = rotation.proof.iter().map(|line| line.table.as_str()).collect();
    assert_eq!(tables, ["tenancy.secrets", "other.a", "other.b"]);
    assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
}

#[tokio::test(start_paused = true)]
async fn the_background_work_finds_rotations_and_ends_when_told() {
    let stage = Stage::memory().await;
    let process = stage.process();
    let names = stage.fill(&process, 3).await;
    let started = stage.start(&process, false).await;
    let stop = CancellationToken::new();
    let ends = async {
        while stage.found(started.id).await.finished_at.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let run = process.rotator.run(stop.clone());
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(run, ends) })
        .await
        .expect("it ends");
    assert_eq!(names.len(), 3);
    assert_eq!(stage.found(started.id).await.step, RotationStep::Succeeded);
}
