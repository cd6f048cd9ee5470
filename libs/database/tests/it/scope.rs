//! Row-level security, through the pool.

use causeway_context::WorkspaceId;
use causeway_database::{Class, Database, DatabaseError, SystemTx, WorkspaceTx};
use causeway_testkit::TestDb;
use diesel_async::SimpleAsyncConnection as _;
use uuid::Uuid;

use crate::{NOTES, execute, insert_note, number, one_connection};

async fn note_in(database: &Database, workspace: WorkspaceId) -> Uuid {
    let id = Uuid::now_v7();
    database
        .workspace("test", workspace, async |tx: &mut WorkspaceTx| {
            insert_note(tx, workspace, id).await
        })
        .await
        .unwrap();
    id
}

async fn seen_from(database: &Database, workspace: WorkspaceId) -> i64 {
    let count = async |tx: &mut WorkspaceTx| number(tx, "SELECT count(*) AS number FROM notes.notes").await;
    database.workspace("test", workspace, count).await.unwrap()
}

async fn seen_without_workspace(database: &Database) -> i64 {
    let count = async |tx: &mut SystemTx| number(tx, "SELECT count(*) AS number FROM notes.notes").await;
    database.system("test", count).await.unwrap()
}

#[tokio::test]
async fn a_workspace_sees_its_own_rows_only() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let (a, b) = (WorkspaceId::generate(), WorkspaceId::generate());
    note_in(&database, a).await;
    note_in(&database, a).await;
    note_in(&database, b).await;
    assert_eq!(seen_from(&database, a).await, 2);
    assert_eq!(seen_from(&database, b).await, 1);
    assert_eq!(seen_from(&database, WorkspaceId::generate()).await, 0);
}

#[tokio::test]
async fn without_a_workspace_no_row_is_seen_on_a_fresh_and_on_a_used_connection() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let workspace = WorkspaceId::generate();
    note_in(&test.service().await, workspace).await;
    let database = one_connection(&test).await;
    assert_eq!(seen_without_workspace(&database).await, 0);
    assert_eq!(seen_from(&database, workspace).await, 1);
    assert_eq!(seen_without_workspace(&database).await, 0);
}

#[tokio::test]
async fn no_statement_outside_a_transaction_inherits_a_scope() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let workspace = WorkspaceId::generate();
    note_in(&database, workspace).await;
    let scope = "SELECT length(coalesce(current_setting('app.workspace_id', true), ''))::bigint AS number";
    let seen = std::sync::Mutex::new(Vec::new());
    let inside = database.workspace(
        "test",
        workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            let inside = number(tx, scope).await?;
            tx.batch_execute("COMMIT").await?;
            let outside = number(tx, scope).await?;
            tx.batch_execute("BEGIN").await?;
            seen.lock().unwrap().push((inside, outside));
            Ok(())
        },
    );
    assert!(
        inside.await.is_err(),
        "a transaction that lost its scope is not committed"
    );
    assert_eq!(
        *seen.lock().unwrap(),
        [(36, 0)],
        "the scope ended with the transaction"
    );
}

#[tokio::test]
async fn a_row_cannot_be_written_into_another_workspace() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = test.service().await;
    let (a, b) = (WorkspaceId::generate(), WorkspaceId::generate());
    note_in(&database, b).await;
    let into_b = async |tx: &mut WorkspaceTx| insert_note(tx, b, Uuid::now_v7()).await;
    assert_eq!(
        database.workspace("test", a, into_b).await.unwrap_err().class(),
        Class::Corrupt
    );
    let change_b = async |tx: &mut WorkspaceTx| {
        let all = "WITH gone AS (DELETE FROM notes.notes RETURNING 1) SELECT count(*) AS number FROM gone";
        number(tx, all).await
    };
    assert_eq!(database.workspace("test", a, change_b).await.unwrap(), 0);
    assert_eq!(seen_from(&database, b).await, 1);
}

#[tokio::test]
async fn the_service_cannot_lift_its_limits() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = test.service().await;
    let workspace = WorkspaceId::generate();
    note_in(&database, workspace).await;
    for statement in [
        "TRUNCATE notes.notes CASCADE",
        "ALTER TABLE notes.notes DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE notes.notes NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY workspace ON notes.notes",
        "SET ROLE causeway_test_owner",
        "CREATE TABLE notes.more (id int)",
        "SELECT causeway.enable_workspace_policy('notes.counters')",
        "DELETE FROM notes.__diesel_schema_migrations",
        "UPDATE notes.lines SET number = 2",
        "DELETE FROM notes.lines",
    ] {
        assert!(execute(&database, statement).await.is_err(), "{statement}");
    }
    let unfiltered = database.system("test", async |tx: &mut SystemTx| {
        tx.batch_execute("SET LOCAL row_security = off").await?;
        number(tx, "SELECT count(*) AS number FROM notes.notes").await
    });
    assert!(unfiltered.await.is_err(), "fails and does not leak");
}
