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
mod refusal;
mod service;
mod store;

use std::sync::Arc;

use causeway_contracts::tenancy::v1::tenancy_service_server::TenancyServiceServer;
use causeway_crypto::{KeyError, LocalRing};
use causeway_database::{Database, Schema};
use causeway_mesh::{Mesh, Readiness, Service, always_ready};
use causeway_outbox::{OutboxStore, PgOutbox, Relay};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tonic::service::Routes;

pub use config::Config;
pub use service::Defaults;

use crate::grpc::Grpc;
use crate::service::Tenancy;
use crate::store::{MemoryStore, PgStore, TenancyStore};

/// The name of the service in the mesh.
pub const NAME: &str = "tenancy";

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The tables of the service.
pub static SCHEMA: Schema = Schema {
    name: NAME,
    migrations: MIGRATIONS,
    unscoped: &["membership_index", "outbox"],
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
}

/// Starts the service: its RPCs, and the relay that carries its facts to the audit log.
///
/// # Errors
/// [`StartError`] says which setting is wrong. A missing key is none: then the first use of a secret fails (B-TEN-8).
pub async fn start(config: Config, parts: Parts) -> Result<Service, StartError> {
    let provider = Arc::new(LocalRing::new(&config.keys, config.development_key)?);
    let (store, outbox, ready) = stores(parts.database);
    let (relay, handle) = Relay::new(outbox, parts.mesh.to("audit"));
    let tenancy = Tenancy::new(store, provider, handle, config.defaults);
    Ok(Service {
        name: NAME,
        routes: Routes::new(TenancyServiceServer::new(Grpc::new(tenancy))),
        background: vec![Box::new(move |stop| Box::pin(relay.run(stop)))],
        ready,
    })
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
