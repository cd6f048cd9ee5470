//! PostgreSQL: pool, transactions inside one workspace, migrations, error classes and boot checks.
//!
//! # A service with tables
//!
//! **The schema** is a `static` of the service's crate. `migrations/` holds one folder per step, with `up.sql` and
//! `down.sql`; names in them are without the schema.
//!
//! ```ignore
//! pub static SCHEMA: Schema = Schema {
//!     name: "notes",
//!     migrations: embed_migrations!("migrations"),
//!     unscoped: &["outbox"],
//! };
//! ```
//!
//! ```sql
//! -- migrations/2026-01-01-000001_notes/up.sql
//! CREATE TABLE notes (
//!     workspace_id uuid NOT NULL,
//!     id uuid NOT NULL,
//!     body text NOT NULL,
//!     PRIMARY KEY (workspace_id, id)           -- workspace_id first, in unique and foreign keys too
//! );
//! SELECT causeway.enable_workspace_policy('notes');
//! SELECT causeway.create_outbox();
//! ```
//!
//! - `causeway.enable_workspace_policy(table)` gives the canonical policy. Every table with a `workspace_id` has it.
//! - `causeway.append_only(table)`: the service may add and read rows, not change or delete them.
//! - `causeway.create_outbox()`: the table of `causeway-outbox`.
//! - A table that belongs to no workspace is listed in `unscoped`; its column, if it needs one, is named `workspace`.
//! - Indexed columns are uuid, int, bigint, text, timestamptz, date, bool or bytea: below a policy no index is used for
//!   enums, numerics, `LIKE` and other operators that are not leakproof.
//! - The policy binds the owner as well, so a migration that moves data sets `app.workspace_id` for each workspace.
//!
//! **The store** asks for a transaction and is a diesel connection inside it. Three habits: import
//! `diesel_async::RunQueryDsl` by its name, so that it hides the one of the prelude; write out the types of the
//! closure; and keep the cause of an error as `#[source]`, since that is where a deadlock is seen and the transaction
//! repeated. The closure borrows what it uses, as it may run several times.
//!
//! ```
//! use causeway_context::WorkspaceId;
//! use causeway_database::{Class, Database, DatabaseError, WorkspaceTx};
//! use diesel::prelude::*;
//! use diesel_async::RunQueryDsl;
//! use uuid::Uuid;
//!
//! diesel::table! {
//!     notes.notes (workspace_id, id) { workspace_id -> Uuid, id -> Uuid, body -> Text }
//! }
//!
//! #[derive(Debug, thiserror::Error)]
//! pub enum StoreError {
//!     #[error("it exists already")]
//!     Conflict,
//!     #[error("the store does not answer")]
//!     Unavailable(#[source] DatabaseError),
//! }
//!
//! impl From<DatabaseError> for StoreError {
//!     fn from(error: DatabaseError) -> Self {
//!         match error.class() {
//!             Class::Conflict => Self::Conflict,
//!             Class::NotFound | Class::Serialization | Class::Unavailable | Class::Corrupt => Self::Unavailable(error),
//!         }
//!     }
//! }
//!
//! impl From<diesel::result::Error> for StoreError {
//!     fn from(error: diesel::result::Error) -> Self {
//!         DatabaseError::from(error).into()
//!     }
//! }
//!
//! pub struct PgNoteStore {
//!     database: Database,
//! }
//!
//! impl PgNoteStore {
//!     pub async fn insert(&self, workspace: WorkspaceId, id: Uuid, body: &str) -> Result<(), StoreError> {
//!         self.database
//!             .workspace("notes.insert", workspace, async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
//!                 diesel::insert_into(notes::table)
//!                     .values((notes::workspace_id.eq(workspace.0), notes::id.eq(id), notes::body.eq(body)))
//!                     .execute(tx)
//!                     .await?;
//!                 // The outbox row comes last: causeway_outbox::insert_outbox_row(tx, SCHEMA.name, &event).await?
//!                 Ok(())
//!             })
//!             .await
//!     }
//! }
//! ```
//!
//! **The program** migrates as the owner, connects as the service, and refuses to start on a finding:
//!
//! ```
//! # use causeway_database::{Database, DatabaseError, Finding, PoolOptions, Schema, migrate};
//! # use secrecy::SecretString;
//! async fn open(
//!     owner: &SecretString,
//!     service: &SecretString,
//!     schemas: &[&'static Schema],
//! ) -> Result<(Database, Vec<Finding>), DatabaseError> {
//!     migrate(owner, service, schemas).await?;
//!     let database = Database::connect(service, PoolOptions::default()).await?;
//!     let findings = database.check(schemas).await?;
//!     Ok((database, findings))
//! }
//! ```
//!
//! **Tests** take `causeway_testkit::TestDb`: a database per test, with both roles.

mod check;
mod connection;
mod error;
mod lease;
mod migrate;
mod pool;
mod statements;
mod target;
mod transaction;

pub use check::Finding;
pub use error::{Class, DatabaseError, classify, constraint};
pub use migrate::{Schema, enable_policies, grant_role, migrate, revert};
pub use pool::{Database, Isolation, PoolOptions};
pub use transaction::{Body, SystemTx, WorkspaceTx};
