use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use causeway_context::{Caller, UserId};
use causeway_contracts::CallerKind;
use causeway_contracts::common::v1::CountBelowResponse;
use causeway_crypto::{DataKey, KeyContext, KeyError, KeyProvider, LocalKeys, LocalRing, WrappedKey};
use causeway_outbox::OutboxStore;
use causeway_testkit::TestDb;

use super::*;
use crate::domain::{Requester, Secret, SecretKind, StoredKey};
use crate::error::TenancyError;
use crate::holders::SealedData;
use crate::keys::SealedSecrets;
use crate::page::Page;
use crate::service::Tenancy;
use crate::service::tests::{context, defaults, name, person, value};
use crate::store::{MemoryStore, PgStore};
use crate::{KEYSTORE, LEDGER, SCHEMA};

mod crowded;
mod cut_off;
mod first_release;
mod whole;

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

    /// What a process leaves that ends right after the first step of a rotation.
    async fn abandon(&self, process: &Process, ring: Ring, from_version: u32) -> Rotation {
        let (workspace, at) = (self.workspace(), context("RotateKey", self.owner.clone()).now);
        let rotation = Rotation {
            workspace,
            id: Uuid::now_v7(),
            ring,
            from_version,
            to_version: from_version + 1,
            keep_previous: false,
            step: RotationStep::Beginning,
            holder: 0,
            cursor: String::new(),
            total: 0,
            done: 0,
            remaining: 0,
            unreadable: 0,
            proof: Vec::new(),
            destroyed: Vec::new(),
            requester: Requester {
                kind: "user".to_owned(),
                id: "u".to_owned(),
                request: "r".to_owned(),
            },
            started_at: at,
            updated_at: at,
            finished_at: None,
        };
        let keys = process.tenancy.data_keys();
        let (key, _) = keys
            .generate(workspace, ring, rotation.to_version, KeyState::Pending, at)
            .await
            .expect("made");
        let lease = Lease::new(workspace, Duration::ZERO);
        let fact = fact_of_end(&rotation);
        let begun = self.store.begin_rotation(&rotation, &key, &lease, fact).await;
        begun.expect("begun");
        rotation
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
        self.key_of(Ring::Data, version).await
    }

    async fn key_of(&self, ring: Ring, version: u32) -> StoredKey {
        let found = self.store.find_key(self.workspace(), ring, version).await;
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
