//! The database of a process: migrated as the owner of the tables, used as the service's own role, checked in between.

use anyhow::Context as _;
use causeway_database::{Database, DatabaseError, Finding, PoolOptions, Schema};
use causeway_settings::{Settings, Tier};
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::restored;
use crate::failure::Failure;

/// Where the database is, for its owner, for the services and for maintenance.
pub struct Urls {
    owner: SecretString,
    service: SecretString,
    /// Maintenance, where it has a role of its own.
    worker: Option<SecretString>,
    /// Whether the owner was named apart.
    has_owner: bool,
}

impl Urls {
    /// The URLs, if there is a database.
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        let service = settings.secret("DATABASE_URL")?;
        let apart = |name| settings.secret(name).filter(|_| settings.is_set(name));
        let owner = apart("DATABASE_OWNER_URL");
        Some(Self {
            has_owner: owner.is_some(),
            owner: owner.unwrap_or_else(|| service.clone()),
            worker: apart("DATABASE_WORKER_URL"),
            service,
        })
    }
}

/// The schemas of every service that has tables.
pub fn schemas() -> Vec<&'static Schema> {
    vec![
        &causeway_tenancy::KEYSTORE,
        &causeway_tenancy::LEDGER,
        &causeway_tenancy::SCHEMA,
        &causeway_auth::SCHEMA,
    ]
}

/// What was done to bring the database up to date.
pub struct Migrated {
    /// The migrations that were applied, as `schema/version`.
    pub applied: Vec<String>,
    /// The tables that a migration had left without row-level security.
    pub enabled: Vec<String>,
}

/// Brings every schema to its newest form and gives the roles their rights. Tables that a migration left without
/// row-level security get it, unless `RLS_AUTO_ENABLE` is off; never in the tier `test` (B-TEN-3, B-CFG-6).
///
/// # Errors
/// No connection, or a migration that fails.
pub async fn migrate(urls: &Urls, settings: &Settings) -> Result<Migrated, DatabaseError> {
    let schemas = schemas();
    let applied = causeway_database::migrate(&urls.owner, &urls.service, &schemas).await?;
    if let Some(worker) = &urls.worker {
        causeway_database::grant_role(&urls.owner, worker, &schemas).await?;
    }
    let enabled = match auto_enables(settings) {
        true => causeway_database::enable_policies(&urls.owner, &schemas).await?,
        false => Vec::new(),
    };
    Ok(Migrated { applied, enabled })
}

fn auto_enables(settings: &Settings) -> bool {
    settings.tier() != Tier::Test && settings.flag("RLS_AUTO_ENABLE").unwrap_or(true)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time at which a process starts or a command runs"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Erases again what a restored database brought back, as the ledger says.
///
/// # Errors
/// No answer from the database.
pub async fn replay(database: &Database) -> anyhow::Result<usize> {
    restored::replay(database, now()).await
}

/// Opens the pool of the services.
///
/// # Errors
/// No connection.
pub async fn connect(urls: &Urls, settings: &Settings) -> Result<Database, DatabaseError> {
    let size = settings
        .integer("PG_POOL_MAX")
        .and_then(|size| usize::try_from(size).ok());
    let defaults = PoolOptions::default();
    Database::connect(
        &urls.service,
        PoolOptions {
            max_size: size.unwrap_or(defaults.max_size),
            ..defaults
        },
    )
    .await
}

/// Opens a small pool for maintenance: commands and background work that go through all workspaces. Its role has the
/// rights of the services and a name of its own in the server's log.
///
/// # Errors
/// No connection.
pub async fn connect_worker(urls: &Urls) -> Result<Database, DatabaseError> {
    let options = PoolOptions {
        max_size: 4,
        application_name: "causeway-worker".to_owned(),
        ..PoolOptions::default()
    };
    Database::connect(urls.worker.as_ref().unwrap_or(&urls.service), options).await
}

/// What is wrong with the database, seen as the services and as maintenance.
///
/// # Errors
/// No connection, or no answer.
pub async fn check(urls: &Urls, services: &Database) -> anyhow::Result<Vec<Finding>> {
    let schemas = schemas();
    let mut findings = services.check(&schemas).await?;
    if urls.worker.is_some() {
        findings.extend(connect_worker(urls).await?.check(&schemas).await?);
        findings.sort();
        findings.dedup();
    }
    // Tables that are not there yet hold nothing that was erased.
    if findings.iter().all(|finding| finding.rule != "MIGRATION") {
        findings.extend(restored::check(services).await?);
    }
    Ok(findings)
}

/// Migrates, connects and checks. Production does not start on a finding, and migrates only where the owner of the
/// tables is named: its services cannot and need not. Elsewhere a finding is a warning.
pub(super) async fn open(settings: &Settings) -> Result<Option<Database>, Failure> {
    let Some(urls) = Urls::from_settings(settings) else {
        return Ok(None);
    };
    let unusable = |error: DatabaseError| anyhow::Error::new(error).context("open the database");
    if urls.has_owner || settings.tier() != Tier::Production {
        let migrated = migrate(&urls, settings).await.map_err(unusable)?;
        tracing::info!(applied = migrated.applied.len(), "the database is migrated");
        for table in &migrated.enabled {
            tracing::warn!(table, "row-level security was missing and is enabled now");
        }
    }
    let database = connect(&urls, settings).await.map_err(unusable)?;
    if settings.tier() != Tier::Production {
        let replayed = restored::replay(&database, now()).await;
        tracing::info!(
            tombstones = replayed.context("replay erasures")?,
            "what was erased is erased"
        );
    }
    let findings = check(&urls, &database).await.context("check the database")?;
    for finding in &findings {
        tracing::warn!(%finding, "the database does not keep tenants apart by itself");
    }
    if settings.tier() == Tier::Production && !findings.is_empty() {
        let message = format!(
            "production needs a database that keeps tenants apart by itself; the first of {} findings is: {}",
            findings.len(),
            findings[0]
        );
        return Err(Failure::setting("DATABASE_URL", message));
    }
    Ok(Some(database))
}
