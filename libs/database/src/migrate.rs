//! Migrations: each service has a schema of its own, and all are brought up together.

use std::error::Error as StdError;
use std::time::Duration;

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _};
use secrecy::SecretString;

use crate::DatabaseError;
use crate::target::Target;

/// The schema of a service: a `static` of its crate.
pub struct Schema {
    /// Its name: lower-case letters, digits and underscores.
    pub name: &'static str,
    /// Its migrations, in `migrations/` of the crate: `embed_migrations!()`.
    pub migrations: EmbeddedMigrations,
    /// The tables that belong to no workspace. All others have `workspace_id` and the policy.
    pub unscoped: &'static [&'static str],
}

impl Schema {
    /// The versions that the program carries.
    pub(crate) fn versions(&self) -> Result<Vec<String>, DatabaseError> {
        let migrations: Vec<Box<dyn Migration<Pg>>> = self
            .migrations
            .migrations()
            .map_err(|source| self.failed(source))?;
        Ok(migrations
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect())
    }

    fn failed(&self, source: Box<dyn StdError + Send + Sync>) -> DatabaseError {
        DatabaseError::Migrate {
            schema: self.name,
            source,
        }
    }
}

/// Diesel takes its source by value.
struct Source(&'static Schema);

impl MigrationSource<Pg> for Source {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<Pg>>>> {
        self.0.migrations.migrations()
    }
}

/// Any constant that nobody else locks.
const LOCK: i64 = 7_206_914_002;

/// How long a process waits for another that is migrating.
const PATIENCE: Duration = Duration::from_secs(300);

/// Brings `schemas` to their newest form and gives the role of `service` its rights. `owner` is the URL of the role
/// that owns the tables; it must reach the server itself, as a pooler would lose the lock. Any number of processes may
/// do this at the same time. Answers what was applied, as `schema/version`.
///
/// When both URLs name one role nothing is granted, and [`Database::check`](crate::Database::check) will complain.
///
/// # Errors
/// No connection, or a migration that failed; what was applied before it stays.
pub async fn migrate(
    owner: &SecretString,
    service: &SecretString,
    schemas: &[&'static Schema],
) -> Result<Vec<String>, DatabaseError> {
    let role = current_role(&mut connect(service).await?).await?;
    let mut connection = locked(owner).await?;
    connection.batch_execute(include_str!("base.sql")).await?;
    let grants = current_role(&mut connection).await? != role;
    let mut applied = Vec::new();
    for schema in schemas {
        enter(&mut connection, schema).await?;
        let (back, versions) = run(connection, schema, Direction::Up).await?;
        connection = back;
        applied.extend(
            versions
                .into_iter()
                .map(|version| format!("{}/{version}", schema.name)),
        );
        if grants {
            grant(&mut connection, schema, &role).await?;
        }
    }
    Ok(applied)
}

/// Takes back every migration of `schemas`, with all data. For tests of `down.sql`.
///
/// # Errors
/// No connection, or a migration that failed.
pub async fn revert(owner: &SecretString, schemas: &[&'static Schema]) -> Result<(), DatabaseError> {
    let mut connection = locked(owner).await?;
    for schema in schemas {
        enter(&mut connection, schema).await?;
        (connection, _) = run(connection, schema, Direction::Down).await?;
    }
    Ok(())
}

/// Gives the role of `url` the same rights as the services have: the role of maintenance, which is known apart in the
/// server's log. Nothing is granted when it is the owner.
///
/// # Errors
/// No connection, or schemas that were not migrated.
pub async fn grant_role(
    owner: &SecretString,
    url: &SecretString,
    schemas: &[&'static Schema],
) -> Result<(), DatabaseError> {
    let role = current_role(&mut connect(url).await?).await?;
    let mut connection = locked(owner).await?;
    if current_role(&mut connection).await? != role {
        for schema in schemas {
            grant(&mut connection, schema, &role).await?;
        }
    }
    Ok(())
}

/// Puts every table of `schemas` that has a `workspace_id` and no policy behind the canonical one, and switches
/// row-level security on where it is off (B-TEN-3). A policy that is there is left as it is, for
/// [`Database::check`](crate::Database::check) to judge. Answers the tables that were changed.
///
/// # Errors
/// No connection, or schemas that were not migrated.
pub async fn enable_policies(
    owner: &SecretString,
    schemas: &[&'static Schema],
) -> Result<Vec<String>, DatabaseError> {
    #[derive(QueryableByName)]
    struct Table {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let mut connection = locked(owner).await?;
    let mut changed = Vec::new();
    for schema in schemas {
        let tables = sql_query("SELECT causeway.enable_missing_policies($1) AS name")
            .bind::<Text, _>(schema.name)
            .load::<Table>(&mut connection)
            .await?;
        changed.extend(tables.into_iter().map(|table| table.name));
    }
    Ok(changed)
}

async fn connect(url: &SecretString) -> Result<AsyncPgConnection, DatabaseError> {
    Target::parse(url, "causeway-migrate", Duration::from_secs(5))?
        .connect()
        .await
}

/// The lock ends with the connection. DDL that waits for a long transaction blocks all that come after it, so it
/// gives up early; the next start tries again.
async fn locked(owner: &SecretString) -> Result<AsyncPgConnection, DatabaseError> {
    let mut connection = connect(owner).await?;
    let patience = PATIENCE.as_millis();
    connection
        .batch_execute(&format!(
            "SET client_min_messages = warning; SET lock_timeout = {patience}; \
             SELECT pg_advisory_lock({LOCK}); SET lock_timeout = '10s'"
        ))
        .await?;
    Ok(connection)
}

async fn current_role(connection: &mut AsyncPgConnection) -> Result<String, DatabaseError> {
    #[derive(QueryableByName)]
    struct Role {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let role: Role = sql_query("SELECT current_user::text AS name")
        .get_result(connection)
        .await?;
    Ok(role.name)
}

/// Diesel finds its own table, and migrations their names, by the search path.
async fn enter(connection: &mut AsyncPgConnection, schema: &Schema) -> Result<(), DatabaseError> {
    let name = schema.name;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(schema.failed("the name of the schema is not a plain word".into()));
    }
    connection
        .batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS \"{name}\"; SET search_path TO \"{name}\""
        ))
        .await?;
    Ok(())
}

async fn grant(connection: &mut AsyncPgConnection, schema: &Schema, role: &str) -> Result<(), DatabaseError> {
    sql_query("SELECT causeway.grant_service($1, $2)")
        .bind::<Text, _>(schema.name)
        .bind::<Text, _>(role)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Diesel's migrations are not async: they run on a thread that may block, on this very connection, as it holds the
/// lock.
async fn run(
    connection: AsyncPgConnection,
    schema: &'static Schema,
    direction: Direction,
) -> Result<(AsyncPgConnection, Vec<String>), DatabaseError> {
    let task = tokio::task::spawn_blocking(move || {
        let mut connection = AsyncConnectionWrapper::<AsyncPgConnection>::from(connection);
        let versions = match direction {
            Direction::Up => connection.run_pending_migrations(Source(schema)),
            Direction::Down => connection.revert_all_migrations(Source(schema)),
        }?;
        let versions = versions.iter().map(ToString::to_string).collect();
        Ok((connection.into_inner(), versions))
    });
    match task.await {
        Ok(answer) => answer.map_err(|source| schema.failed(source)),
        Err(error) => Err(schema.failed(error.into())),
    }
}
