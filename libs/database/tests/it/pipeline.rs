//! What is sent without waiting for the answer before it, and that nothing is lost by that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_database::{Class, Database, DatabaseError, PoolOptions, WorkspaceTx};
use causeway_testkit::TestDb;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{NOTES, number, one_connection};

diesel::table! {
    notes.notes (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        body -> Text,
    }
}

const NOTES_SEEN: &str = "SELECT count(*) AS number FROM notes.notes";

async fn insert_last(database: &Database, workspace: WorkspaceId, id: Uuid) -> Result<usize, DatabaseError> {
    let body = async |tx: &mut WorkspaceTx| -> Result<usize, DatabaseError> {
        let row = (
            notes::workspace_id.eq(workspace.0),
            notes::id.eq(id),
            notes::body.eq("a"),
        );
        Ok(tx.last(diesel::insert_into(notes::table).values(row)).await?)
    };
    database.workspace("test", workspace, body).await
}

async fn insert_and_wait(database: &Database, workspace: WorkspaceId) -> Result<usize, DatabaseError> {
    let body = async |tx: &mut WorkspaceTx| -> Result<usize, DatabaseError> {
        let row = (
            notes::workspace_id.eq(workspace.0),
            notes::id.eq(Uuid::now_v7()),
            notes::body.eq("a"),
        );
        Ok(diesel::insert_into(notes::table).values(row).execute(tx).await?)
    };
    database.workspace("test", workspace, body).await
}

async fn notes_in(database: &Database, workspace: WorkspaceId) -> i64 {
    let count = async |tx: &mut WorkspaceTx| number(tx, NOTES_SEEN).await;
    database.workspace("test", workspace, count).await.unwrap()
}

/// How a bind message begins: each run of a prepared statement has one. Three bytes of its length are always zero.
const BIND: &[u8] = b"B\0\0\0";

/// Stands between a client and the server. While it holds, the client hears nothing until it has sent that many binds.
struct Between {
    address: SocketAddr,
    holds: Arc<AtomicBool>,
}

impl Between {
    async fn start(server: &SecretString, binds: usize) -> Self {
        let server = server.expose_secret();
        let server = server[server.rfind('@').unwrap() + 1..]
            .split('/')
            .next()
            .unwrap();
        let (server, holds) = (server.to_owned(), Arc::new(AtomicBool::new(false)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::clone(&holds);
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&held), binds));
            }
        });
        Self { address, holds }
    }

    /// The same URL, by this way.
    fn url(&self, url: &SecretString) -> SecretString {
        let url = url.expose_secret();
        let (head, tail) = url.rsplit_once('@').unwrap();
        let path = &tail[tail.find('/').unwrap()..];
        format!("{head}@{}{path}", self.address).into()
    }
}

async fn pass(client: TcpStream, server: TcpStream, holds: Arc<AtomicBool>, binds: usize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let heard = Notify::new();
    let up = async {
        let (mut buffer, mut seen) = ([0; 8192], Vec::new());
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if holds.fetch_or(false, Ordering::SeqCst) {
                seen.extend_from_slice(&buffer[..length]);
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
            if seen.windows(BIND.len()).filter(|window| *window == BIND).count() >= binds {
                seen.clear();
                holds.fetch_and(false, Ordering::SeqCst);
                heard.notify_one();
            }
        }
    };
    let down = async {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            while holds.fetch_or(false, Ordering::SeqCst) {
                heard.notified().await;
            }
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { () = up => {}, () = down => {} }
}

/// A database with one connection by way of `between`, which has run both inserts once.
async fn warm(test: &TestDb, between: &Between, workspace: WorkspaceId) -> Database {
    let options = PoolOptions {
        max_size: 1,
        ..PoolOptions::default()
    };
    let database = Database::connect(&between.url(test.service_url()), options)
        .await
        .unwrap();
    insert_and_wait(&database, workspace).await.unwrap();
    insert_last(&database, workspace, Uuid::now_v7()).await.unwrap();
    database
}

#[tokio::test]
async fn a_transaction_of_one_known_insert_takes_one_round_trip() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    // The begin, the scope, the insert, the commit.
    let between = Between::start(test.service_url(), 4).await;
    let workspace = WorkspaceId::generate();
    let database = warm(&test, &between, workspace).await;
    between.holds.store(true, Ordering::SeqCst);
    let inserted = tokio::time::timeout(
        Duration::from_secs(10),
        insert_last(&database, workspace, Uuid::now_v7()),
    );
    assert_eq!(
        inserted.await.expect("nothing is waited for").unwrap(),
        1,
        "the commit was sent before any answer"
    );
    assert!(
        !between.holds.fetch_or(false, Ordering::SeqCst),
        "answers were held back"
    );
    assert_eq!(notes_in(&database, workspace).await, 3);
}

#[tokio::test]
async fn the_first_statement_does_not_wait_for_the_begin() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    // The begin, the scope, the insert; the answer to this one is waited for.
    let between = Between::start(test.service_url(), 3).await;
    let workspace = WorkspaceId::generate();
    let database = warm(&test, &between, workspace).await;
    between.holds.store(true, Ordering::SeqCst);
    let inserted = tokio::time::timeout(Duration::from_secs(10), insert_and_wait(&database, workspace));
    assert_eq!(inserted.await.expect("the begin is not waited for").unwrap(), 1);
    assert!(
        !between.holds.fetch_or(false, Ordering::SeqCst),
        "answers were held back"
    );
}

#[tokio::test]
async fn a_last_statement_that_fails_takes_everything_back_and_keeps_the_connection() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let (workspace, id) = (WorkspaceId::generate(), Uuid::now_v7());
    insert_last(&database, workspace, id).await.unwrap();
    for _ in 0..3 {
        let error = insert_last(&database, workspace, id).await.unwrap_err();
        assert_eq!(
            (error.class(), error.constraint()),
            (Class::Conflict, Some("notes_pkey"))
        );
    }
    let first_and_last = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
        crate::insert_note(tx, workspace, Uuid::now_v7()).await?;
        let row = (
            notes::workspace_id.eq(workspace.0),
            notes::id.eq(id),
            notes::body.eq("a"),
        );
        tx.last(diesel::insert_into(notes::table).values(row)).await?;
        Ok(())
    };
    assert!(
        database
            .workspace("test", workspace, first_and_last)
            .await
            .is_err()
    );
    assert_eq!(notes_in(&database, workspace).await, 1);
}

#[tokio::test]
async fn what_comes_before_the_last_statement_is_committed_with_it() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let workspace = WorkspaceId::generate();
    for round in 1..=3 {
        let both = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            crate::insert_note(tx, workspace, Uuid::now_v7()).await?;
            let row = (
                notes::workspace_id.eq(workspace.0),
                notes::id.eq(Uuid::now_v7()),
                notes::body.eq("a"),
            );
            tx.last(diesel::insert_into(notes::table).values(row)).await?;
            Ok(())
        };
        database.workspace("test", workspace, both).await.unwrap();
        assert_eq!(notes_in(&database, workspace).await, 2 * round);
    }
}

#[tokio::test]
async fn a_last_statement_into_another_workspace_is_refused() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let (a, b) = (WorkspaceId::generate(), WorkspaceId::generate());
    insert_last(&database, a, Uuid::now_v7()).await.unwrap();
    let into_b = async |tx: &mut WorkspaceTx| -> Result<usize, DatabaseError> {
        let row = (
            notes::workspace_id.eq(b.0),
            notes::id.eq(Uuid::now_v7()),
            notes::body.eq("a"),
        );
        Ok(tx.last(diesel::insert_into(notes::table).values(row)).await?)
    };
    let error = database.workspace("test", a, into_b).await.unwrap_err();
    assert_eq!(error.class(), Class::Corrupt);
    assert_eq!(notes_in(&database, b).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_of_two_workspaces_do_not_mix() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = test.service().await;
    let workspaces = [WorkspaceId::generate(), WorkspaceId::generate()];
    let writers = (0..400).map(|index| insert_last(&database, workspaces[index % 2], Uuid::now_v7()));
    futures::future::try_join_all(writers).await.unwrap();
    for workspace in workspaces {
        assert_eq!(notes_in(&database, workspace).await, 200);
    }
}

#[tokio::test]
async fn a_connection_that_was_lost_before_the_commit_is_made_good() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let database = one_connection(&test).await;
    let workspace = WorkspaceId::generate();
    let runs = std::sync::atomic::AtomicU32::new(0);
    let body = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
        crate::insert_note(tx, workspace, Uuid::now_v7()).await?;
        if runs.fetch_add(1, Ordering::SeqCst) == 0 {
            test.admin(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        }
        crate::insert_note(tx, workspace, Uuid::now_v7()).await
    };
    database.workspace("test", workspace, body).await.unwrap();
    assert_eq!(runs.fetch_add(0, Ordering::SeqCst), 2);
    assert_eq!(
        notes_in(&database, workspace).await,
        2,
        "the first half of the first run is gone"
    );
}
