//! Everything here talks to a real server; see `scripts/services.sh`.

#[cfg(test)]
mod check;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod pipeline;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod pooler;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_database::{Database, DatabaseError, PoolOptions, Schema, SystemTx};
use causeway_testkit::TestDb;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use diesel_migrations::embed_migrations;
use uuid::Uuid;

static NOTES: Schema = Schema {
    name: "notes",
    migrations: embed_migrations!("tests/migrations"),
    unscoped: &["counters", "outbox"],
};

/// A database with one connection, so that every transaction gets the one that the last has used.
async fn one_connection(test: &TestDb) -> Database {
    let options = PoolOptions {
        max_size: 1,
        wait: Duration::from_millis(500),
        statement: Duration::from_millis(2_000),
        ..PoolOptions::default()
    };
    Database::connect(test.service_url(), options)
        .await
        .expect("connect as the service")
}

async fn insert_note(
    tx: &mut AsyncPgConnection,
    workspace: WorkspaceId,
    id: Uuid,
) -> Result<(), DatabaseError> {
    sql_query("INSERT INTO notes.notes (workspace_id, id, body) VALUES ($1, $2, 'a')")
        .bind::<diesel::sql_types::Uuid, _>(workspace.0)
        .bind::<diesel::sql_types::Uuid, _>(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// A statement that answers one number, without any condition of its own.
async fn number(tx: &mut AsyncPgConnection, query: &str) -> Result<i64, DatabaseError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    Ok(sql_query(query).get_result::<Row>(tx).await?.number)
}

async fn words(tx: &mut AsyncPgConnection, query: &str) -> Result<Vec<String>, DatabaseError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        word: String,
    }
    Ok(sql_query(query)
        .load::<Row>(tx)
        .await?
        .into_iter()
        .map(|row| row.word)
        .collect())
}

async fn execute(database: &Database, statement: &'static str) -> Result<usize, DatabaseError> {
    database
        .system(
            "test",
            async |tx: &mut SystemTx| -> Result<usize, DatabaseError> {
                Ok(sql_query(statement).execute(tx).await?)
            },
        )
        .await
}

/// Waits, with a bound, until `reached` is true.
async fn eventually<F: Future<Output = bool>>(reached: impl Fn() -> F) {
    for _ in 0..500 {
        if reached().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen in five seconds");
}

/// Both of a pair of transactions are at the same place before either goes on; a repeated one does not wait again.
fn meeting() -> Arc<tokio::sync::Barrier> {
    Arc::new(tokio::sync::Barrier::new(2))
}
