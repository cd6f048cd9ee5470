//! Tenancy: whose data it is and under which keys it lies. Workspaces, their members, and secrets that are sealed under
//! a data key of their workspace.
//!
//! What it promises: a caller sees its own workspace and nothing of another, not even that it exists; a secret's value
//! is stored sealed, and leaves only through `RevealSecret`, after the audit log has it that it did.

mod cache;
mod config;
mod domain;
mod error;
mod failpoint;
mod grpc;
mod holders;
mod holding;
mod keys;
mod page;
mod providers;
mod refusal;
mod replay;
mod rotation;
mod service;
mod store;

use std::sync::Arc;
use std::time::Duration;

use causeway_contracts::tenancy::v1::crypto_service_server::CryptoServiceServer;
use causeway_contracts::tenancy::v1::erasure_service_server::ErasureServiceServer;
use causeway_contracts::tenancy::v1::export_service_server::ExportServiceServer;
use causeway_contracts::tenancy::v1::key_service_server::KeyServiceServer;
use causeway_contracts::tenancy::v1::member_service_server::MemberServiceServer;
use causeway_contracts::tenancy::v1::platform_service_server::PlatformServiceServer;
use causeway_contracts::tenancy::v1::revocation_service_server::RevocationServiceServer;
use causeway_contracts::tenancy::v1::role_service_server::RoleServiceServer;
use causeway_contracts::tenancy::v1::settings_service_server::SettingsServiceServer;
use causeway_contracts::tenancy::v1::tenancy_service_server::TenancyServiceServer;
use causeway_crypto::{KeyError, KeyProvider as _, LocalRing};
use causeway_database::{Database, Schema};
use causeway_mesh::{Background, Mesh, Readiness, Service, always_ready};
use causeway_outbox::{OutboxStore, PgOutbox, Relay};
use causeway_revocation::{PgRevocations, Revocations, keep_swept};
use chrono::{DateTime, TimeDelta, Utc};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tonic::service::Routes;
use uuid::Uuid;

pub use causeway_kms::{AccessKey, KmsOptions, Patience};
pub use config::Config;
pub use holding::{HOLDING, KEYSTORE_HOLDING};
pub use keys::{
    KeyCount, KeyOperationError, KeyOperations, KeyReport, RewrapProgress, fingerprint, new_master_key,
};
pub use providers::KmsKeys;
pub use replay::{ReplayError, Restored};
pub use service::{Defaults, Lifecycle, Modes};

use crate::cache::KeyCache;
use crate::grpc::{Grpc, RevocationRpc};
use crate::holders::{Holders, InProcess, SealedData};
use crate::keys::SealedSecrets;
use crate::providers::Providers;
use crate::rotation::{Duty, Rotator};
use crate::service::{ErasureJob, ExportJob, MeshAddresses, OwnData, Rotations, Tenancy};
use crate::store::{MemoryStore, PgStore, TenancyStore};

/// The name of the service in the mesh.
pub const NAME: &str = "tenancy";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();
const KEYSTORE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("keystore");

/// The tables of the service.
pub static SCHEMA: Schema = Schema {
    name: NAME,
    migrations: MIGRATIONS,
    unscoped: &[
        "doomed_objects",
        "erasures_applied",
        "export_jobs",
        "invitation_index",
        "membership_index",
        "outbox",
        "revocations",
    ],
};

/// The wrapped data keys: a schema with backups of its own (ERA-02). Migrated before [`SCHEMA`], whose keys of before
/// move into it.
pub static KEYSTORE: Schema = Schema {
    name: "keystore",
    migrations: KEYSTORE_MIGRATIONS,
    unscoped: &["keyed_workspaces", "outbox", "rotation_leases"],
};

const LEDGER_MIGRATIONS: EmbeddedMigrations = embed_migrations!("ledger");

/// The ledger of erasures. It is backed up apart from the rest: a restored rest is erased again by it (ERA-03).
pub static LEDGER: Schema = Schema {
    name: "ledger",
    migrations: LEDGER_MIGRATIONS,
    unscoped: &["erasures", "receipts", "tombstones"],
};

/// What the service gets from the program.
pub struct Parts {
    /// The way to the other services.
    pub mesh: Mesh,
    /// The database; without one everything is kept in memory.
    pub database: Option<Database>,
}

/// A service that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting does not hold a key.
    #[error("read the key-encryption keys")]
    Keys(#[from] KeyError),
    /// The key in AWS KMS is there, or is not, and cannot be used.
    #[error("use the key that KMS_KEY_ID names")]
    Kms(#[source] KeyError),
}

const SWEEP: Duration = Duration::from_secs(60);

/// Starts the service: its RPCs, and the relay that carries its facts to the audit log.
///
/// # Errors
/// [`StartError`] says which setting is wrong. A missing key is none: then the first use of a secret fails (B-TEN-8).
pub async fn start(config: Config, parts: Parts) -> Result<Service, StartError> {
    let ring = LocalRing::new(&config.keys, config.development_key)?;
    let providers = Providers::new(ring, config.kms).await;
    try_kms(&providers, config.kms_must_work).await?;
    let uses_kms = providers.uses_kms();
    let Stores {
        store,
        outbox,
        key_outbox,
        revocations,
        ready,
    } = stores(parts.database, config.access_life);
    let (relay, handle) = Relay::new(outbox, parts.mesh.to("audit"));
    let (key_relay, key_handle) = Relay::new(key_outbox, parts.mesh.to("audit"));
    let rotations = Rotations::of(key_handle.clone());
    let tenancy = Tenancy::new(Arc::clone(&store), Arc::new(providers), handle, config.defaults)
        .rotating(rotations.clone())
        .with_lifecycle(config.lifecycle);
    let keys = tenancy.data_keys();
    let own = Arc::new(SealedSecrets::new(Arc::clone(&store), Arc::clone(&keys)));
    let lifecycle = Lifecycles {
        store: Arc::clone(&store),
        sealed: Arc::clone(&own) as Arc<dyn SealedData>,
        kms: uses_kms,
        lifecycle: config.lifecycle,
    };
    let (erasures, exports) = lifecycle.jobs(&parts.mesh);
    let rotator = Rotator::new(
        store,
        holders::sealed(&parts.mesh, own),
        key_handle,
        rotations.wake(),
        Duty::percent(config.rotation_duty),
    );
    Ok(Service {
        name: NAME,
        routes: routes(Grpc::new(tenancy)).add_service(RevocationServiceServer::new(RevocationRpc::new(
            Arc::clone(&revocations),
        ))),
        background: vec![
            Box::new(move |stop| Box::pin(relay.run(stop))),
            Box::new(move |stop| Box::pin(key_relay.run(stop))),
            Box::new(move |stop| Box::pin(rotator.run(stop))),
            Box::new(move |stop| Box::pin(erasures.run(stop))),
            Box::new(move |stop| Box::pin(exports.run(stop))),
            sweep(keys.cache()),
            Box::new(move |stop| Box::pin(keep_swept(revocations, stop))),
        ],
        ready,
    })
}

/// What the jobs of erasures and exports need.
struct Lifecycles {
    store: Arc<dyn TenancyStore>,
    sealed: Arc<dyn SealedData>,
    kms: bool,
    lifecycle: Lifecycle,
}

impl Lifecycles {
    fn jobs(self, mesh: &Mesh) -> (ErasureJob, ExportJob) {
        let data = Arc::new(OwnData::new(Arc::clone(&self.store), clock));
        let holders = Holders::new(mesh, InProcess::new(self.sealed, data));
        let erasures = ErasureJob {
            store: Arc::clone(&self.store),
            holders: holders.clone(),
            addresses: Arc::new(MeshAddresses::new(mesh)),
            lifecycle: self.lifecycle,
            kms: self.kms,
            clock,
        };
        let exports = ExportJob {
            store: self.store,
            holders,
            clock,
        };
        (erasures, exports)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "background work reads the clock once per step"
)]
pub(crate) fn clock() -> DateTime<Utc> {
    Utc::now()
}

/// A key that is wrong is found out now and not by the first tenant. One that cannot be asked for may be fine.
async fn try_kms(providers: &Providers, must_work: bool) -> Result<(), StartError> {
    if !providers.uses_kms() {
        return Ok(());
    }
    match providers.active_key().await {
        Ok(_) => {}
        Err(error) if must_work && !matches!(error, KeyError::Unavailable(_)) => {
            return Err(StartError::Kms(error));
        }
        Err(error) => causeway_telemetry::report(&error, Uuid::now_v7(), "the key in KMS cannot be used now"),
    }
    Ok(())
}

/// Overwrites unwrapped keys that nobody asks for any more.
fn sweep(cache: KeyCache) -> Background {
    Box::new(move |stop| {
        Box::pin(async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(SWEEP))
                .await
                .is_some()
            {
                cache.forget_expired();
            }
        })
    })
}

/// What a batch for the crypto service may have; the items have limits of their own.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

fn routes(grpc: Grpc) -> Routes {
    let crypto = CryptoServiceServer::new(grpc.clone()).max_decoding_message_size(MAX_BATCH_BYTES);
    let keys = KeyServiceServer::new(grpc.clone()).max_decoding_message_size(MAX_BATCH_BYTES);
    Routes::new(MemberServiceServer::new(grpc.clone()))
        .add_service(RoleServiceServer::new(grpc.clone()))
        .add_service(PlatformServiceServer::new(grpc.clone()))
        .add_service(SettingsServiceServer::new(grpc.clone()))
        .add_service(ErasureServiceServer::new(grpc.clone()))
        .add_service(ExportServiceServer::new(grpc.clone()))
        .add_service(crypto)
        .add_service(keys)
        .add_service(TenancyServiceServer::new(grpc))
}

struct Stores {
    store: Arc<dyn TenancyStore>,
    outbox: Arc<dyn OutboxStore>,
    /// The keystore has facts of its own, as they lie in the schema of what they are about.
    key_outbox: Arc<dyn OutboxStore>,
    revocations: Arc<dyn Revocations>,
    ready: Readiness,
}

fn stores(database: Option<Database>, access_life: TimeDelta) -> Stores {
    let Some(database) = database else {
        let store = MemoryStore::default().with_access_life(access_life);
        return Stores {
            revocations: Arc::new(store.revocations()),
            outbox: Arc::new(store.outbox()),
            key_outbox: Arc::new(store.key_outbox()),
            store: Arc::new(store),
            ready: always_ready(),
        };
    };
    let key_outbox = Arc::new(PgOutbox::new(database.clone(), KEYSTORE.name));
    let outbox = Arc::new(PgOutbox::new(database.clone(), NAME));
    let revocations = Arc::new(PgRevocations::new(database.clone(), NAME));
    let store = Arc::new(PgStore::new(database.clone()).with_access_life(access_life));
    let ready: Readiness = Arc::new(move || {
        let database = database.clone();
        Box::pin(async move { database.ready().await })
    });
    Stores {
        store,
        outbox,
        key_outbox,
        revocations,
        ready,
    }
}
