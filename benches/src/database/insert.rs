//! One row in one transaction, by each way in turns.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_context::WorkspaceId;
use causeway_database::{Database, DatabaseError, PoolOptions, WorkspaceTx};
use causeway_testkit::TestDb;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use secrecy::SecretString;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{median, pgbench};

diesel::table! {
    bench.notes (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        body -> Text,
    }
}

const BODY: &str = "the body of a note, as long as a short sentence is";
const CLIENTS: [usize; 3] = [1, 8, 32];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// At the least this share of pgbench's plain inserts.
const BAR: f64 = 0.8;

#[derive(Clone, Copy)]
enum Way {
    /// pgbench, one statement, no policy.
    Plain,
    /// pgbench, the same table with its policy, in the transaction that the policy needs, all in one round trip.
    PgbenchScoped,
    /// `WorkspaceTx::last`.
    Last,
    /// A statement that is waited for, and then the commit.
    Statement,
}

const WAYS: [(Way, &str); 4] = [
    (Way::Plain, "pgbench, plain insert"),
    (Way::PgbenchScoped, "pgbench, scope and policy, one pipeline"),
    (Way::Last, "WorkspaceTx, last statement"),
    (Way::Statement, "WorkspaceTx, statement, commit"),
];

/// Measures all ways and answers a table.
pub(crate) async fn measure(test: &TestDb) -> Result<String> {
    let mut table = format!(
        "single-row inserts, transactions in a second, median of {ROUNDS} rounds of {} s; the ratio is to the plain \
         insert of the same round, the bar is {BAR}\n",
        ROUND.as_secs()
    );
    for durable in [true, false] {
        for clients in CLIENTS {
            eprintln!("inserts: {clients} clients, durable: {durable} ...");
            let rates = rounds(test, clients, durable).await?;
            let commits = if durable { "on disk" } else { "in memory" };
            writeln!(table, "  {clients} clients, commits wait to be {commits}")?;
            for (index, (_, name)) in WAYS.iter().enumerate() {
                let rate = median(rates.iter().map(|round| round[index]));
                let ratio = median(rates.iter().map(|round| round[index] / round[0]));
                writeln!(table, "    {name:<42} {rate:>8.0}  x{ratio:.2}")?;
            }
        }
    }
    Ok(table)
}

/// The rates of every round, by way.
async fn rounds(test: &TestDb, clients: usize, durable: bool) -> Result<Vec<[f64; WAYS.len()]>> {
    let database = connect(test.service_url(), clients).await?;
    commit_durably(test, durable).await;
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let mut of_round = [0.0; WAYS.len()];
        // Whoever comes first has the colder caches.
        for step in 0..WAYS.len() {
            let index = (step + round) % WAYS.len();
            test.admin("TRUNCATE bench.notes, bench.plain; CHECKPOINT").await;
            of_round[index] = rate(test, &database, WAYS[index].0, clients, durable).await?;
        }
        rates.push(of_round);
    }
    Ok(rates)
}

async fn connect(url: &SecretString, clients: usize) -> Result<Database> {
    let options = PoolOptions {
        max_size: clients,
        ..PoolOptions::default()
    };
    Database::connect(url, options).await.context("connect")
}

/// Ours have no PGOPTIONS: the setting is the database's, and new connections take it.
async fn commit_durably(test: &TestDb, durable: bool) {
    let value = if durable { "on" } else { "off" };
    test.admin(&format!(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = {value}', current_database()); END $$"
    ))
    .await;
}

async fn rate(test: &TestDb, database: &Database, way: Way, clients: usize, durable: bool) -> Result<f64> {
    let workspace = WorkspaceId::generate();
    match way {
        Way::Plain => {
            let insert =
                format!("INSERT INTO bench.plain VALUES ('{workspace}', gen_random_uuid(), '{BODY}');");
            pgbench::run(test.service_url(), &insert, clients, ROUND, durable).await
        }
        Way::PgbenchScoped => {
            let insert = format!(
                "\\startpipeline\nBEGIN;\n\
                 SELECT set_config('app.workspace_id', '{workspace}', true), \
                 set_config('statement_timeout', '10000', true), \
                 set_config('idle_in_transaction_session_timeout', '30000', true);\n\
                 INSERT INTO bench.notes VALUES ('{workspace}', gen_random_uuid(), '{BODY}');\n\
                 COMMIT;\n\\endpipeline"
            );
            pgbench::run(test.service_url(), &insert, clients, ROUND, durable).await
        }
        Way::Last | Way::Statement => ours(database, workspace, way, clients).await,
    }
}

async fn ours(database: &Database, workspace: WorkspaceId, way: Way, clients: usize) -> Result<f64> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let database = database.clone();
        tasks.spawn(async move {
            let mut done = 0_usize;
            while started.elapsed() < ROUND {
                insert(&database, workspace, way).await?;
                done += 1;
            }
            Ok::<usize, DatabaseError>(done)
        });
    }
    let mut done = 0;
    while let Some(ended) = tasks.join_next().await {
        done += ended.context("join a client")??;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
}

async fn insert(database: &Database, workspace: WorkspaceId, way: Way) -> Result<(), DatabaseError> {
    let id = Uuid::new_v4();
    let body = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
        let row = (
            notes::workspace_id.eq(workspace.0),
            notes::id.eq(id),
            notes::body.eq(BODY),
        );
        let statement = diesel::insert_into(notes::table).values(row);
        match way {
            Way::Last => tx.last(statement).await?,
            Way::Statement | Way::Plain | Way::PgbenchScoped => statement.execute(tx).await?,
        };
        Ok(())
    };
    database.workspace("bench.insert", workspace, body).await
}
