//! The store on PostgreSQL. Accounts and sessions are rows without a workspace; a statement on tokens names its
//! workspace, and row-level security holds where one would not.

mod accounts;
mod clients;
mod data;
mod factors;
mod guesses;
mod history;
mod identities;
mod persons;
mod recovery;
mod refresh_tokens;
mod sessions;
mod tokens;

use std::sync::Arc;

use causeway_database::{Class, Database, DatabaseError};
use causeway_outbox::{OutboxEvent, insert_outbox_row};
use chrono::TimeDelta;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_query;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use self::refresh_tokens::Refreshes;
use super::{AccessLife, Cause, StoreError};
use crate::SCHEMA;
use crate::domain::Hash;

/// Everything in the schema `auth`.
#[derive(Clone)]
pub(crate) struct PgStore {
    database: Database,
    refreshes: Arc<Refreshes>,
    life: AccessLife,
}

impl PgStore {
    /// A store on that database, whose schema is migrated.
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            refreshes: Arc::new(Refreshes::new()),
            life: AccessLife::default(),
        }
    }

    /// The same store where access tokens live that long.
    pub(crate) fn with_access_life(self, life: TimeDelta) -> Self {
        Self {
            life: AccessLife(life),
            ..self
        }
    }
}

/// The one place where a database error gets its meaning here.
impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        if refuses_erased(&error) {
            return Self::Erased;
        }
        match error.class() {
            Class::Conflict => Self::Conflict(error.into()),
            Class::Corrupt | Class::NotFound => Self::Corrupt(error.into()),
            Class::Serialization | Class::Unavailable => Self::Unavailable(error.into()),
        }
    }
}

/// Whether `causeway.refuse_erased` said no.
fn refuses_erased(error: &DatabaseError) -> bool {
    matches!(
        error,
        DatabaseError::Query(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, information))
            if information.message() == "the workspace is erased"
    )
}

fn failed(error: DieselError) -> StoreError {
    DatabaseError::from(error).into()
}

fn corrupt(cause: impl Into<Cause>) -> StoreError {
    StoreError::Corrupt(cause.into())
}

fn hash(bytes: Vec<u8>) -> Result<Hash, StoreError> {
    Hash::try_from(bytes).map_err(|_| corrupt("a hash of another length"))
}

/// Has the commit wait for the disk, as it does where rows were written: how long an answer takes must not tell that there
/// was nobody to write anything about. Nothing reads what is written.
async fn keep_nothing(tx: &mut AsyncPgConnection) -> Result<(), StoreError> {
    sql_query("SELECT pg_logical_emit_message(true, 'causeway', '')")
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn keep(tx: &mut AsyncPgConnection, fact: &OutboxEvent) -> Result<(), StoreError> {
    insert_outbox_row(tx, SCHEMA.name, fact).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use causeway_outbox::{OutboxStore as _, PgOutbox};
    use causeway_testkit::{Rows, Statements, TestDb};
    use diesel_async::RunQueryDsl as _;

    use super::PgStore;
    use crate::SCHEMA;
    use crate::store::conformance::{self, Facts};

    struct Guard {
        outbox: PgOutbox,
        db: TestDb,
    }

    impl Facts for Guard {
        async fn actions(&self) -> Vec<String> {
            let facts = self.outbox.unsent(100).await.expect("the database answers");
            facts.into_iter().map(|fact| fact.action).collect()
        }
    }

    async fn fresh() -> Option<(PgStore, Guard)> {
        let db = TestDb::new(&[&SCHEMA]).await?;
        let database = db.service().await;
        let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
        Some((PgStore::new(database), Guard { outbox, db }))
    }

    crate::store_conformance!(fresh);

    #[tokio::test(flavor = "multi_thread")]
    async fn the_schema_keeps_tenants_apart() {
        let Some((store, guard)) = fresh().await else {
            return;
        };
        assert_eq!(
            store
                .database
                .check(&[&SCHEMA])
                .await
                .expect("the database answers"),
            []
        );
        drop(guard.db);
    }

    /// RLS-13: below the policies an index that begins with the workspace answers everything that the store asks.
    #[tokio::test(flavor = "multi_thread")]
    async fn no_statement_reads_the_whole_of_a_tenant_table() {
        let Some((_, guard)) = fresh().await else {
            return;
        };
        // From here on: the first database of a build is migrated before it is copied.
        let statements = Statements::record();
        macro_rules! run {
            ($($case:ident),+ $(,)?) => { $(
                if let Some((store, facts)) = fresh().await {
                    conformance::$case(&store, &facts).await;
                }
            )+ };
        }
        run!(
            twins_in_two_workspaces_see_nothing_of_each_other,
            tokens_are_listed_newest_first_and_by_page,
            a_token_is_revoked_once,
            the_last_use_never_goes_back,
            clients_are_listed_newest_first_without_those_that_ended,
            a_foreign_workspace_neither_sees_nor_changes_a_client,
            open_sessions_are_listed_newest_first_and_by_page,
            a_code_is_used_once_whoever_asks_at_once,
        );
        let mut sent = statements.sent();
        // No table of a workspace, and the types of its arrays are not in the text.
        sent.retain(|statement| !statement.contains(".revocations "));
        assert!(sent.len() > 20, "{}", sent.len());
        let slow = guard.db.slow_plans(&sent, Rows::Few).await;
        assert!(slow.is_empty(), "{slow:#?}");
    }

    /// A transaction without a number of its own writes nothing to disk, and its commit waits for nothing.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_transaction_that_keeps_nothing_is_written_to_disk_as_another() {
        let Some((store, _guard)) = fresh().await else {
            return;
        };
        #[derive(diesel::QueryableByName)]
        struct Numbered {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            numbered: bool,
        }
        let numbered = store.database.system(
            "auth.test",
            async |tx: &mut causeway_database::SystemTx| -> Result<bool, super::StoreError> {
                super::keep_nothing(tx).await?;
                let asked = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS numbered";
                let found: Numbered = diesel::sql_query(asked)
                    .get_result(tx)
                    .await
                    .map_err(super::failed)?;
                Ok(found.numbered)
            },
        );
        assert!(numbered.await.expect("the database answers"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_migrations_go_back_and_forth() {
        let Some(db) = TestDb::new(&[&SCHEMA]).await else {
            return;
        };
        causeway_database::revert(db.owner_url(), &[&SCHEMA])
            .await
            .expect("reverted");
        causeway_database::migrate(db.owner_url(), db.service_url(), &[&SCHEMA])
            .await
            .expect("migrated again");
    }
}
