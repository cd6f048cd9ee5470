//! Who is calling: accounts, sessions, access tokens, personal access tokens.
//!
//! The service promises: a password is kept only as an argon2id hash, every other credential only as a hash; an unknown
//! account and a wrong password look alike; a session of Clerk becomes one here only if Clerk's own keys prove it; a
//! refresh token works once, and its reuse ends the session; a personal access token can do what its person may do now,
//! narrowed to its scopes; each change is in the audit log, or its fact waits in the outbox.

mod breached;
mod config;
mod data;
mod domain;
mod error;
mod grpc;
mod mailer;
mod oauth;
mod oidc;
mod page;
mod passwords;
mod scanning;
mod sealer;
mod service;
mod store;
mod subject;
mod tenancy;
mod together;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use causeway_contracts::auth::v1::auth_data_service_server::AuthDataServiceServer;
use causeway_contracts::auth::v1::auth_service_server::AuthServiceServer;
use causeway_contracts::auth::v1::client_service_server::ClientServiceServer;
use causeway_contracts::auth::v1::mfa_service_server::MfaServiceServer;
use causeway_contracts::auth::v1::oauth_service_server::OauthServiceServer;
use causeway_contracts::auth::v1::oidc_service_server::OidcServiceServer;
use causeway_contracts::auth::v1::person_service_server::PersonServiceServer;
use causeway_contracts::auth::v1::recovery_service_server::RecoveryServiceServer;
use causeway_contracts::auth::v1::revocation_service_server::RevocationServiceServer;
use causeway_contracts::auth::v1::session_service_server::SessionServiceServer;
use causeway_database::{Database, Schema};
use causeway_egress::{Egress, EgressOptions};
use causeway_mesh::{Background, Mesh, Readiness, Service, always_ready};
use causeway_oidc::{ClerkVerifier, system_clock};
use causeway_outbox::{MemoryOutbox, OutboxStore, PgOutbox, Relay};
use causeway_revocation::keep_swept;
use chrono::{DateTime, TimeDelta, Utc};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use uuid::Uuid;

pub use config::{Config, MailConfig, access_keys};
pub use data::{HOLDING, ReplayError, Restored};
pub use oidc::OidcConfig;

use crate::data::{AuthData, MeshRetentions, Retention};
use crate::grpc::{Grpc, RevocationRpc};
use crate::passwords::Passwords;
use crate::scanning::ScanningKeys;
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
        "client_index",
        "client_secret_index",
        "second_factors",
        "recovery_codes",
        "factor_tries",
        "passed_factors",
        "sign_ins",
        "mail_tokens",
        "guesses",
        "disabled_persons",
        "known_places",
        "revocations",
        "outbox",
        "erasures_applied",
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
    let Stores { store, outbox, ready } = stores(database, config.access_life);
    let (relay, handle) = Relay::new(outbox, mesh.to("audit"));
    let mut background: Vec<Background> = vec![Box::new(move |stop| Box::pin(relay.run(stop)))];
    background.push(sweep(Arc::clone(&store)));
    let retention = Retention {
        store: Arc::clone(&store),
        retentions: Arc::new(MeshRetentions::new(&mesh)),
        clock: now,
    };
    background.push(Box::new(move |stop| Box::pin(retention.run(stop))));
    let revocations = store.revocations();
    let ended = store.revocations();
    background.push(Box::new(move |stop| Box::pin(keep_swept(ended, stop))));
    let (post, carrier) = mailer::post(&config.mail).await;
    if let Some(carrier) = carrier {
        background.push(Box::new(move |stop| Box::pin(carrier.run(stop))));
    }
    let tenancy = Arc::new(MeshTenancy::new(&mesh));
    let clerk = clerk(&config, &mut background);
    let data = AuthData::new(Arc::clone(&store), &mesh, now);
    let service = AuthService::new(&config, store, tenancy, clerk, handle, Passwords::new());
    let service = service.with_mail(post).with_scanning(scanning(&config));
    let service = service.with_breached(breached::list(config.breached.as_deref()));
    for provider in service.providers() {
        background.push(Box::new(move |stop| {
            Box::pin(async move { provider.run(stop).await })
        }));
    }
    let grpc = Grpc::new(Arc::new(service));
    let routes = tonic::service::Routes::new(AuthServiceServer::new(grpc.clone()))
        .add_service(AuthDataServiceServer::new(data))
        .add_service(ClientServiceServer::new(grpc.clone()))
        .add_service(MfaServiceServer::new(grpc.clone()))
        .add_service(OauthServiceServer::new(grpc.clone()))
        .add_service(OidcServiceServer::new(grpc.clone()))
        .add_service(SessionServiceServer::new(grpc.clone()))
        .add_service(PersonServiceServer::new(grpc.clone()))
        .add_service(RecoveryServiceServer::new(grpc))
        .add_service(RevocationServiceServer::new(RevocationRpc::new(revocations)));
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

/// The keys of GitHub's secret scanning, if their address is configured; they are fetched when they are needed.
fn scanning(config: &Config) -> Option<Arc<ScanningKeys>> {
    let url = config.scanning_keys.clone()?;
    Some(Arc::new(ScanningKeys::new(
        url,
        Egress::new(EgressOptions::default()),
    )))
}

/// How long sign-ins are remembered, and the places from which they came.
const HISTORY: TimeDelta = TimeDelta::days(90);
/// How long ended sessions and their tokens are kept, so that what comes late is told from what never was.
const ENDED: TimeDelta = TimeDelta::days(1);
const SWEEP: Duration = Duration::from_secs(60);

#[expect(
    clippy::disallowed_methods,
    reason = "background work and other services' work have no call's time"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Deletes what is of no use any more.
fn sweep(store: Arc<dyn AuthStore>) -> Background {
    Box::new(move |stop| {
        Box::pin(async move {
            while stop
                .run_until_cancelled(tokio::time::sleep(SWEEP))
                .await
                .is_some()
            {
                swept(&*store).await;
            }
        })
    })
}

async fn swept(store: &dyn AuthStore) {
    #[expect(clippy::disallowed_methods, reason = "what has ended is told by the clock")]
    let now = Utc::now();
    let ended = [
        store.sweep_guesses(now).await,
        store.sweep_mail_tokens(now).await,
        store.forget_history(now - HISTORY).await,
        store.sweep_sessions(now - ENDED).await,
    ];
    for error in ended.into_iter().filter_map(Result::err) {
        causeway_telemetry::report(&error, Uuid::new_v4(), "delete what has ended");
    }
}

/// Where the service keeps things.
struct Stores {
    store: Arc<dyn AuthStore>,
    outbox: Arc<dyn OutboxStore>,
    ready: Readiness,
}

fn stores(database: Option<Database>, access_life: TimeDelta) -> Stores {
    match database {
        None => {
            let outbox = MemoryOutbox::default();
            let store = MemoryStore::new(outbox.clone()).with_access_life(access_life);
            Stores {
                store: Arc::new(store),
                outbox: Arc::new(outbox),
                ready: always_ready(),
            }
        }
        Some(database) => {
            let store = PgStore::new(database.clone()).with_access_life(access_life);
            let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
            let ready: Readiness = Arc::new(move || {
                let database = database.clone();
                Box::pin(async move { database.ready().await })
            });
            Stores {
                store: Arc::new(store),
                outbox: Arc::new(outbox),
                ready,
            }
        }
    }
}
