//! Tenancy: whose data it is and under which keys it lies. Workspaces, their members, and secrets that are sealed under
//! a data key of their workspace.
//!
//! What it promises: a caller sees its own workspace and nothing of another, not even that it exists; a secret's value
//! is stored sealed, and leaves only through `RevealSecret`, after the audit log has it that it did.

mod cache;
mod config;
mod domain;
mod error;
mod grpc;
mod keys;
mod page;
mod providers;
mod refusal;
mod service;
mod store;

use std::sync::Arc;
use std::time::Duration;

use causeway_contracts::tenancy::v1::crypto_service_server::CryptoServiceServer;
use causeway_contracts::tenancy::v1::member_service_server::MemberServiceServer;
use causeway_contracts::tenancy::v1::settings_service_server::SettingsServiceServer;
use causeway_contracts::tenancy::v1::tenancy_service_server::TenancyServiceServer;
use causeway_crypto::{KeyError, KeyProvider as _, LocalRing};
use causeway_database::{Database, Schema};
use causeway_mesh::{Background, Mesh, Readiness, Service, always_ready};
use causeway_outbox::{OutboxStore, PgOutbox, Relay};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tonic::service::Routes;
use uuid::Uuid;

pub use causeway_kms::{AccessKey, KmsOptions, Patience};
pub use config::Config;
pub use providers::KmsKeys;
pub use service::Defaults;

use crate::cache::KeyCache;
use crate::grpc::Grpc;
use crate::providers::Providers;
use crate::service::Tenancy;
use crate::store::{MemoryStore, PgStore, TenancyStore};

/// The name of the service in the mesh.
pub const NAME: &str = "tenancy";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The tables of the service.
pub static SCHEMA: Schema = Schema {
    name: NAME,
    migrations: MIGRATIONS,
    unscoped: &["invitation_index", "membership_index", "outbox"],
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
    let (store, outbox, ready) = stores(parts.database);
    let (relay, handle) = Relay::new(outbox, parts.mesh.to("audit"));
    let tenancy = Tenancy::new(store, Arc::new(providers), handle, config.defaults);
    let sweep = sweep(tenancy.key_cache());
    Ok(Service {
        name: NAME,
        routes: routes(Grpc::new(tenancy)),
        background: vec![Box::new(move |stop| Box::pin(relay.run(stop))), sweep],
        ready,
    })
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
    Routes::new(MemberServiceServer::new(grpc.clone()))
        .add_service(SettingsServiceServer::new(grpc.clone()))
        .add_service(crypto)
        .add_service(TenancyServiceServer::new(grpc))
}

fn stores(database: Option<Database>) -> (Arc<dyn TenancyStore>, Arc<dyn OutboxStore>, Readiness) {
    let Some(database) = database else {
        let store = MemoryStore::default();
        let outbox = Arc::new(store.outbox());
        return (Arc::new(store), outbox, always_ready());
    };
    let outbox = Arc::new(PgOutbox::new(database.clone(), NAME));
    let store = Arc::new(PgStore::new(database.clone()));
    let ready: Readiness = Arc::new(move || {
        let database = database.clone();
        Box::pin(async move { database.ready().await })
    });
    (store, outbox, ready)
}
