//! Who is calling: accounts, sessions, access tokens, personal access tokens.
//!
//! The service promises: a password is kept only as an argon2id hash, every other credential only as a hash; an unknown
//! account and a wrong password look alike; a session of Clerk becomes one here only if Clerk's own keys prove it; a
//! refresh token works once, and its reuse ends the session; a personal access token can do what its person may do now,
//! narrowed to its scopes; each change is in the audit log, or its fact waits in the outbox.

mod config;
mod domain;
mod error;
mod grpc;
mod page;
mod passwords;
mod service;
mod store;
mod subject;
mod tenancy;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_contracts::auth::v1::auth_service_server::AuthServiceServer;
use causeway_database::{Database, Schema};
use causeway_egress::{Egress, EgressOptions};
use causeway_mesh::{Background, Mesh, Readiness, Service, always_ready};
use causeway_oidc::{ClerkVerifier, system_clock};
use causeway_outbox::{MemoryOutbox, OutboxStore, PgOutbox, Relay};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use config::Config;

use crate::grpc::Grpc;
use crate::passwords::Passwords;
use crate::service::AuthService;
use crate::store::{AuthStore, MemoryStore, PgStore};
use crate::subject::ClerkSessions;
use crate::tenancy::MeshTenancy;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// The service's part of the database.
pub static SCHEMA: Schema = Schema {
    name: "auth",
    migrations: MIGRATIONS,
    unscoped: &[
        "accounts",
        "identities",
        "sessions",
        "refresh_tokens",
        "used_proofs",
        "token_index",
        "outbox",
    ],
};

/// What the service is given.
pub struct Parts {
    /// The way to tenancy and audit.
    pub mesh: Mesh,
    /// Where to keep things; in memory without one. Must be migrated.
    pub database: Option<Database>,
}

/// A service that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Starts the service.
///
/// # Errors
/// None yet: everything that can fail was checked when the configuration and the database were opened.
pub async fn start(config: Config, parts: Parts) -> Result<Service, StartError> {
    let Parts { mesh, database } = parts;
    let (store, outbox, ready) = stores(database);
    let (relay, handle) = Relay::new(outbox, mesh.to("audit"));
    let mut background: Vec<Background> = vec![Box::new(move |stop| Box::pin(relay.run(stop)))];
    let tenancy = Arc::new(MeshTenancy::new(&mesh));
    let clerk = clerk(&config, &mut background);
    let service = AuthService::new(&config, store, tenancy, clerk, handle, Passwords::new());
    let routes = tonic::service::Routes::new(AuthServiceServer::new(Grpc::new(Arc::new(service))));
    Ok(Service {
        name: "auth",
        routes,
        background,
        ready,
    })
}

/// The verifier of Clerk's tokens, if Clerk is configured; its keys are kept fresh in the background.
fn clerk(config: &Config, background: &mut Vec<Background>) -> Option<Arc<dyn ClerkSessions>> {
    let options = config.clerk.clone()?;
    let egress = Egress::new(EgressOptions::default());
    let verifier = Arc::new(ClerkVerifier::new(options, egress, system_clock()));
    let keeper = Arc::clone(&verifier);
    background.push(Box::new(move |stop| {
        Box::pin(async move { keeper.run(stop).await })
    }));
    Some(verifier)
}

fn stores(database: Option<Database>) -> (Arc<dyn AuthStore>, Arc<dyn OutboxStore>, Readiness) {
    match database {
        None => {
            let outbox = MemoryOutbox::default();
            (
                Arc::new(MemoryStore::new(outbox.clone())),
                Arc::new(outbox),
                always_ready(),
            )
        }
        Some(database) => {
            let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
            let store = PgStore::new(database.clone());
            let ready: Readiness = Arc::new(move || {
                let database = database.clone();
                Box::pin(async move { database.ready().await })
            });
            (Arc::new(store), Arc::new(outbox), ready)
        }
    }
}
