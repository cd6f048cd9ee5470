//! The database of a process: migrated as the owner of the tables, used as the service's own role, checked in between.

use causeway_database::{Database, DatabaseError, PoolOptions, Schema};
use causeway_settings::{Settings, Tier};
use secrecy::SecretString;

use crate::failure::Failure;

/// Where the database is, for its owner and for the services.
pub struct Urls {
    owner: SecretString,
    service: SecretString,
    /// Whether the owner was named apart.
    has_owner: bool,
}

impl Urls {
    /// The URLs, if there is a database.
    pub fn from_settings(settings: &Settings) -> Option<Self> {
        let service = settings.secret("DATABASE_URL")?;
        let owner = settings.secret("DATABASE_OWNER_URL");
        let has_owner = owner.is_some();
        Some(Self {
            owner: owner.unwrap_or_else(|| service.clone()),
            service,
            has_owner,
        })
    }
}

/// The schemas of every service that has tables.
pub fn schemas() -> Vec<&'static Schema> {
    vec![&causeway_tenancy::SCHEMA, &causeway_auth::SCHEMA]
}

/// Brings every schema to its newest form.
///
/// # Errors
/// No connection, or a migration that fails.
pub async fn migrate(urls: &Urls) -> Result<Vec<String>, DatabaseError> {
    causeway_database::migrate(&urls.owner, &urls.service, &schemas()).await
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

/// Migrates, connects and checks. Production does not start on a finding, and migrates only where the owner of the
/// tables is named: its services cannot and need not. Elsewhere a finding is a warning.
pub(super) async fn open(settings: &Settings) -> Result<Option<Database>, Failure> {
    let Some(urls) = Urls::from_settings(settings) else {
        return Ok(None);
    };
    let unusable = |error: DatabaseError| anyhow::Error::new(error).context("open the database");
    if urls.has_owner || settings.tier() != Tier::Production {
        let applied = migrate(&urls).await.map_err(unusable)?;
        tracing::info!(applied = applied.len(), "the database is migrated");
    }
    let database = connect(&urls, settings).await.map_err(unusable)?;
    let findings = database.check(&schemas()).await.map_err(unusable)?;
    for finding in &findings {
        tracing::warn!(%finding, "the database does not keep tenants apart by itself");
    }
    if settings.tier() == Tier::Production && !findings.is_empty() {
        let message = format!(
            "production needs a role that row-level security binds: {}",
            findings[0]
        );
        return Err(Failure::setting("DATABASE_URL", message));
    }
    Ok(Some(database))
}
