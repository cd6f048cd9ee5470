//! Behind PgBouncer in transaction mode: each transaction gets one of two connections, whoever had it before.

use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_database::{Class, Database, DatabaseError, PoolOptions, SystemTx, WorkspaceTx};
use causeway_testkit::TestDb;
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{NOTES, execute, insert_note, number};

diesel::table! {
    notes.notes (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        body -> Text,
    }
}

/// The pooler knows no prepared statements, whatever its release.
const UNPREPARED: &str = "?pgbouncer=true";
/// It does: from release 1.21, with `max_prepared_statements`.
const PREPARED: &str = "";

/// Eight clients for the two connections of the pooler.
async fn pooled(url: &SecretString, parameters: &str) -> Database {
    let options = PoolOptions {
        max_size: 8,
        wait: Duration::from_secs(30),
        statement: Duration::from_secs(2),
        ..PoolOptions::default()
    };
    let url = format!("{}{parameters}", url.expose_secret()).into();
    Database::connect(&url, options)
        .await
        .expect("connect through the pooler")
}

/// What the pooler of this machine can be asked for.
fn ways() -> Vec<&'static str> {
    let version = std::env::var("CAUSEWAY_TEST_PGBOUNCER_VERSION").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let release: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if release >= (1, 21) {
        return vec![UNPREPARED, PREPARED];
    }
    println!("skipped in part: PgBouncer {version} does not know prepared statements");
    vec![UNPREPARED]
}

/// Writes a note and reads what it sees, by diesel's own statements; answers how many notes of others there were.
async fn write_and_look(database: &Database, workspace: WorkspaceId) -> Result<i64, DatabaseError> {
    let body = async |tx: &mut WorkspaceTx| -> Result<i64, DatabaseError> {
        let id = Uuid::now_v7();
        let row = (
            notes::workspace_id.eq(workspace.0),
            notes::id.eq(id),
            notes::body.eq("a"),
        );
        diesel::insert_into(notes::table).values(row).execute(tx).await?;
        let foreign = notes::table
            .filter(notes::workspace_id.ne(workspace.0))
            .count()
            .get_result(tx)
            .await?;
        let row = (
            notes::workspace_id.eq(workspace.0),
            notes::id.eq(Uuid::now_v7()),
            notes::body.eq("b"),
        );
        tx.last(diesel::insert_into(notes::table).values(row)).await?;
        Ok(foreign)
    };
    database.workspace("test", workspace, body).await
}

async fn seen(database: &Database, workspace: WorkspaceId) -> i64 {
    let count = async |tx: &mut WorkspaceTx| number(tx, "SELECT count(*) AS number FROM notes.notes").await;
    database.workspace("test", workspace, count).await.unwrap()
}

async fn seen_without_workspace(database: &Database) -> Result<i64, DatabaseError> {
    let count = async |tx: &mut SystemTx| number(tx, "SELECT count(*) AS number FROM notes.notes").await;
    database.system("test", count).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workspaces_share_fewer_connections_than_they_have_clients_and_never_meet() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let Some(url) = test.pooled_url() else { return };
    for way in ways() {
        let database = pooled(&url, way).await;
        let workspaces = [WorkspaceId::generate(), WorkspaceId::generate()];
        let writers = (0..200).map(|index| write_and_look(&database, workspaces[index % 2]));
        let readers = (0..50).map(|_| seen_without_workspace(&database));
        let (foreign, unscoped) = tokio::join!(
            futures::future::try_join_all(writers),
            futures::future::try_join_all(readers)
        );
        assert_eq!(foreign.unwrap(), [0; 200], "{way}");
        assert_eq!(unscoped.unwrap(), [0; 50], "{way}");
        for workspace in workspaces {
            assert_eq!(seen(&database, workspace).await, 200, "{way}");
        }
    }
    let servers = "SELECT count(*) AS number FROM pg_stat_activity \
                   WHERE datname = current_database() AND usename = 'causeway_test_service'";
    let database = pooled(&url, UNPREPARED).await;
    let servers = database
        .system("test", async |tx: &mut SystemTx| number(tx, servers).await)
        .await;
    assert!(
        servers.unwrap() <= 2,
        "the pooler has two connections to the server"
    );
}

/// Runs a statement on both connections of the pooler, in no transaction, as a careless program would.
async fn carelessly(url: &SecretString, statement: &str) {
    let statements = format!("{statement}; SELECT pg_sleep(0.05)");
    let both = (0..8).map(|_| async {
        let config: tokio_postgres::Config = url.expose_secret().parse().unwrap();
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::select! {
            answer = client.batch_execute(&statements) => answer.unwrap(),
            ended = connection => panic!("{ended:?}"),
        }
    });
    futures::future::join_all(both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_another_program_left_on_the_session_shows_nothing() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let Some(url) = test.pooled_url() else { return };
    let (a, b) = (WorkspaceId::generate(), WorkspaceId::generate());
    for way in ways() {
        let database = pooled(&url, way).await;
        write_and_look(&database, a).await.unwrap();
        carelessly(&url, &format!("SET app.workspace_id = '{a}'")).await;
        for _ in 0..8 {
            assert_eq!(seen_without_workspace(&database).await.unwrap(), 0, "{way}");
            assert_eq!(seen(&database, b).await, 0, "{way}");
        }
        carelessly(&url, "RESET app.workspace_id").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_another_program_prepared_are_not_in_the_way() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let Some(url) = test.pooled_url() else { return };
    // Names of statements count up within a program, so two programs have the same.
    let names = "DEALLOCATE ALL; DO $$ BEGIN FOR number IN 0..4000 LOOP \
                 EXECUTE format('PREPARE s%s AS SELECT 1', number); END LOOP; END $$";
    carelessly(&url, names).await;
    let database = pooled(&url, UNPREPARED).await;
    let workspace = WorkspaceId::generate();
    let writers = (0..40).map(|_| write_and_look(&database, workspace));
    assert_eq!(futures::future::try_join_all(writers).await.unwrap(), [0; 40]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_errors_and_dropped_transactions_are_as_without_a_pooler() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let Some(url) = test.pooled_url() else { return };
    for way in ways() {
        let (database, workspace, id) = (pooled(&url, way).await, WorkspaceId::generate(), Uuid::now_v7());
        assert!(database.ready().await);
        assert_eq!(
            execute(&database, "SELECT pg_sleep(30)")
                .await
                .unwrap_err()
                .class(),
            Class::Unavailable
        );
        let insert = async |tx: &mut WorkspaceTx| insert_note(tx, workspace, id).await;
        database.workspace("test", workspace, insert).await.unwrap();
        for _ in 0..4 {
            let again = database.workspace("test", workspace, insert).await.unwrap_err();
            assert_eq!(again.class(), Class::Conflict, "{way}");
        }
        for _ in 0..4 {
            let stuck = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
                insert_note(tx, workspace, Uuid::now_v7()).await?;
                tx.batch_execute("SELECT pg_sleep(1)").await?;
                Ok(())
            };
            let dropped = database.workspace("test", workspace, stuck);
            assert!(
                tokio::time::timeout(Duration::from_millis(100), dropped)
                    .await
                    .is_err()
            );
        }
        assert_eq!(seen(&database, workspace).await, 1, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_passes_through_a_pooler() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let Some(url) = test.pooled_url() else { return };
    for way in ways() {
        let database = pooled(&url, way).await;
        assert_eq!(database.check(&[&NOTES]).await.unwrap(), [], "{way}");
    }
}
