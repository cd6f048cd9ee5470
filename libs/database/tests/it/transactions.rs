//! What happens to a transaction and its connection when something goes wrong.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_database::{Class, Database, DatabaseError, Isolation, PoolOptions, SystemTx, WorkspaceTx};
use causeway_testkit::TestDb;
use diesel::sql_query;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::{NOTES, eventually, execute, insert_note, meeting, number, one_connection, words};

const PID: &str = "SELECT pg_backend_pid()::bigint AS number";
const NOTES_SEEN: &str = "SELECT count(*) AS number FROM notes.notes";

async fn pid(database: &Database) -> i64 {
    database
        .system("test", async |tx: &mut SystemTx| number(tx, PID).await)
        .await
        .unwrap()
}

async fn notes_in(database: &Database, workspace: WorkspaceId) -> i64 {
    let count = async |tx: &mut WorkspaceTx| number(tx, NOTES_SEEN).await;
    database.workspace("test", workspace, count).await.unwrap()
}

#[tokio::test]
async fn a_dropped_transaction_leaves_neither_locks_nor_a_scope_nor_its_connection() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    execute(&database, "INSERT INTO notes.counters VALUES ('a', 0)")
        .await
        .unwrap();
    let before = pid(&database).await;
    let workspace = WorkspaceId::generate();
    let (reached, reach) = tokio::sync::watch::channel(false);
    let stuck = database.workspace(
        "test",
        workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            insert_note(tx, workspace, Uuid::now_v7()).await?;
            sql_query("UPDATE notes.counters SET value = 1")
                .execute(tx)
                .await?;
            reached.send_replace(true);
            std::future::pending().await
        },
    );
    let mut inside = reach.clone();
    tokio::select! {
        _ = stuck => panic!("cannot end"),
        _ = inside.wait_for(|reached| *reached) => {}
    }
    execute(&database, "UPDATE notes.counters SET value = 2 WHERE value = 0")
        .await
        .unwrap();
    assert_ne!(pid(&database).await, before, "another connection");
    assert_eq!(notes_in(&database, workspace).await, 0, "rolled back");
    let idle = "SELECT count(*) AS number FROM pg_stat_activity \
                WHERE state LIKE 'idle in transaction%' AND datname = current_database()";
    let open = async || {
        database
            .system("test", async |tx: &mut SystemTx| number(tx, idle).await)
            .await
            .unwrap()
    };
    eventually(async || open().await == 0).await;
}

#[tokio::test]
async fn a_transaction_dropped_while_it_begins_gives_nothing_back() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let workspace = WorkspaceId::generate();
    for delay in (0..600).step_by(20) {
        let transaction = database.workspace("test", workspace, async |tx: &mut WorkspaceTx| {
            number(tx, NOTES_SEEN).await
        });
        let _ = tokio::time::timeout(Duration::from_micros(delay), transaction).await;
        let scope = "SELECT length(current_setting('app.workspace_id', true))::bigint AS number";
        let left = database
            .system("test", async |tx: &mut SystemTx| number(tx, scope).await)
            .await
            .unwrap();
        assert_eq!(left, 0);
    }
}

#[tokio::test]
async fn an_error_takes_everything_back_and_keeps_the_connection() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let (workspace, before) = (WorkspaceId::generate(), pid(&database).await);
    let failed = database.workspace(
        "test",
        workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            insert_note(tx, workspace, Uuid::now_v7()).await?;
            Err(diesel::result::Error::NotFound.into())
        },
    );
    assert_eq!(failed.await.unwrap_err().class(), Class::NotFound);
    assert_eq!(notes_in(&database, workspace).await, 0);
    assert_eq!(pid(&database).await, before);
}

#[tokio::test]
async fn an_error_that_the_body_swallows_is_not_taken_for_a_commit() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let workspace = WorkspaceId::generate();
    let swallowed = database.workspace(
        "test",
        workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            insert_note(tx, workspace, Uuid::now_v7()).await?;
            let _ = sql_query("SELECT 1 / 0").execute(tx).await;
            Ok(())
        },
    );
    assert!(swallowed.await.is_err());
    assert_eq!(notes_in(&database, workspace).await, 0);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "inside a transaction it is a savepoint")]
async fn a_savepoint_keeps_the_rest() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let (workspace, id) = (WorkspaceId::generate(), Uuid::now_v7());
    let body = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
        insert_note(tx, workspace, id).await?;
        let again = tx
            .transaction(async |inner: &mut WorkspaceTx| insert_note(inner, workspace, id).await)
            .await;
        assert_eq!(again.unwrap_err().class(), Class::Conflict);
        insert_note(tx, workspace, Uuid::now_v7()).await
    };
    database.workspace("test", workspace, body).await.unwrap();
    assert_eq!(notes_in(&database, workspace).await, 2);
}

#[tokio::test]
async fn a_conflict_names_its_constraint() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = test.service().await;
    let (workspace, id) = (WorkspaceId::generate(), Uuid::now_v7());
    let insert = async |tx: &mut WorkspaceTx| insert_note(tx, workspace, id).await;
    database.workspace("test", workspace, insert).await.unwrap();
    let error = database.workspace("test", workspace, insert).await.unwrap_err();
    assert_eq!(
        (error.class(), error.constraint()),
        (Class::Conflict, Some("notes_pkey"))
    );
}

/// Reads the counter, meets the other transaction, writes one more.
async fn count_up(tx: &mut SystemTx, runs: &AtomicU32, met: &Barrier) -> Result<(), DatabaseError> {
    let value = number(tx, "SELECT value AS number FROM notes.counters").await?;
    if runs.fetch_add(1, Ordering::SeqCst) < 2 {
        met.wait().await;
    }
    sql_query("UPDATE notes.counters SET value = $1")
        .bind::<diesel::sql_types::BigInt, _>(value + 1)
        .execute(tx)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_serialization_failure_is_repeated() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = test.service().await.isolated(Isolation::Serializable);
    execute(&database, "INSERT INTO notes.counters VALUES ('a', 0)")
        .await
        .unwrap();
    let (runs, met) = (AtomicU32::new(0), meeting());
    let body = async |tx: &mut SystemTx| count_up(tx, &runs, &met).await;
    let (one, two) = tokio::join!(database.system("one", body), database.system("two", body));
    one.unwrap();
    two.unwrap();
    let read = async |tx: &mut SystemTx| number(tx, "SELECT value AS number FROM notes.counters").await;
    assert_eq!(database.system("test", read).await.unwrap(), 2);
    assert!(runs.fetch_add(0, Ordering::SeqCst) > 2);
}

#[tokio::test]
async fn repeating_has_an_end() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let (database, runs) = (test.service().await, AtomicU32::new(0));
    let never = database.system("test", async |_: &mut SystemTx| -> Result<(), DatabaseError> {
        runs.fetch_add(1, Ordering::SeqCst);
        let kind = diesel::result::DatabaseErrorKind::SerializationFailure;
        Err(diesel::result::Error::DatabaseError(kind, Box::new(String::new())).into())
    });
    assert_eq!(never.await.unwrap_err().class(), Class::Serialization);
    assert_eq!(runs.fetch_add(0, Ordering::SeqCst), 4);
}

async fn lock_both(
    tx: &mut SystemTx,
    names: [&str; 2],
    runs: &AtomicU32,
    met: &Barrier,
) -> Result<(), DatabaseError> {
    for (index, name) in names.iter().enumerate() {
        sql_query("UPDATE notes.counters SET value = value + 1 WHERE name = $1")
            .bind::<diesel::sql_types::Text, _>(*name)
            .execute(tx)
            .await?;
        if index == 0 && runs.fetch_add(1, Ordering::SeqCst) < 2 {
            met.wait().await;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_deadlock_is_repeated() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = test.service().await;
    execute(&database, "INSERT INTO notes.counters VALUES ('a', 0), ('b', 0)")
        .await
        .unwrap();
    let (runs, met) = (AtomicU32::new(0), meeting());
    let (one, two) = tokio::join!(
        database.system("one", async |tx: &mut SystemTx| lock_both(
            tx,
            ["a", "b"],
            &runs,
            &met
        )
        .await),
        database.system("two", async |tx: &mut SystemTx| lock_both(
            tx,
            ["b", "a"],
            &runs,
            &met
        )
        .await),
    );
    one.unwrap();
    two.unwrap();
    let read =
        async |tx: &mut SystemTx| number(tx, "SELECT sum(value)::bigint AS number FROM notes.counters").await;
    assert_eq!(database.system("test", read).await.unwrap(), 4);
}

#[tokio::test]
async fn a_slow_statement_is_ended_by_the_server() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let options = PoolOptions {
        statement: Duration::from_millis(100),
        ..PoolOptions::default()
    };
    let database = Database::connect(test.service_url(), options).await.unwrap();
    assert_eq!(
        execute(&database, "SELECT pg_sleep(30)")
            .await
            .unwrap_err()
            .class(),
        Class::Unavailable
    );
}

#[tokio::test]
async fn waiting_for_a_connection_has_an_end() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let nested = database.system("test", async |_: &mut SystemTx| -> Result<(), DatabaseError> {
        let error = execute(&database, "SELECT 1").await.unwrap_err();
        assert!(matches!(error, DatabaseError::Pool(_)), "{error}");
        Ok(())
    });
    tokio::time::timeout(Duration::from_secs(5), nested)
        .await
        .expect("bounded")
        .unwrap();
}

#[tokio::test]
async fn the_pool_outlives_a_restart_of_the_server() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    for _ in 0..5 {
        let before = pid(&database).await;
        test.admin(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        assert_ne!(pid(&database).await, before);
    }
    assert!(database.ready().await);
}

#[tokio::test]
async fn the_server_lists_connections_by_application() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let options = PoolOptions {
        application_name: "causeway-notes".to_owned(),
        ..PoolOptions::default()
    };
    let database = Database::connect(test.service_url(), options).await.unwrap();
    let name = "SELECT current_setting('application_name') AS word";
    let names = database
        .system("test", async |tx: &mut SystemTx| words(tx, name).await)
        .await
        .unwrap();
    assert_eq!(names, ["causeway-notes"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgresql://u@{}/x", listener.local_addr().unwrap()).into();
    let (connect, start) = (Duration::from_millis(100), Duration::from_millis(300));
    let options = PoolOptions {
        connect,
        start,
        ..PoolOptions::default()
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), Database::connect(&url, options));
    assert!(matches!(
        answer.await.expect("bounded"),
        Err(DatabaseError::Silent)
    ));
}

#[tokio::test]
async fn a_refused_password_is_not_tried_again() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let url = test.url_of("nobody_of_that_name", "x");
    let started = tokio::time::Instant::now();
    let answer = Database::connect(&url, PoolOptions::default()).await;
    assert!(matches!(answer, Err(DatabaseError::Connect(_))));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "15 seconds are for a server that starts"
    );
}
