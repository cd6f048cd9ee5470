//! Queries of one workspace among a thousand: below the policy, and as a superuser with an explicit WHERE.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::{BufMut as _, BytesMut};
use causeway_testkit::TestDb;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use crate::median;

const WORKSPACES: u128 = 1_000;
const ROWS_EACH: u128 = 200;
const ROUNDS: usize = 15;
/// At the most this multiple of the time of the explicit WHERE.
const BAR: f64 = 1.3;

/// Name; below the policy; with the explicit predicate.
const QUERIES: [(&str, &str, &str); 3] = [
    (
        "count",
        "SELECT count(*) FROM bench.entries",
        "SELECT count(*) FROM bench.entries WHERE workspace_id = $1",
    ),
    (
        "point",
        "SELECT body FROM bench.entries WHERE id = $1",
        "SELECT body FROM bench.entries WHERE workspace_id = $1 AND id = $2",
    ),
    (
        "page of 50",
        "SELECT id, created_at, body FROM bench.entries ORDER BY created_at, id LIMIT 50",
        "SELECT id, created_at, body FROM bench.entries WHERE workspace_id = $1 ORDER BY created_at, id LIMIT 50",
    ),
];

/// An id as a parameter.
#[derive(Debug)]
struct Id(Uuid);

impl ToSql for Id {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

fn workspace(number: u128) -> Id {
    Id(Uuid::from_u128((1 << 96) + number))
}

fn row(workspace: u128, number: u128) -> Id {
    Id(Uuid::from_u128((workspace << 64) + number))
}

/// Measures the queries and answers a table.
pub(crate) async fn measure(test: &TestDb) -> Result<String> {
    eprintln!("policies: filling {} rows ...", WORKSPACES * ROWS_EACH);
    test.admin(&format!(
        "INSERT INTO bench.entries \
         SELECT ('00000001-0000-0000-0000-' || lpad(to_hex(w), 12, '0'))::uuid, \
                (lpad(to_hex(w), 16, '0') || lpad(to_hex(n), 16, '0'))::uuid, \
                timestamptz '2026-01-01' + ((n * 7919) % 100003) * interval '1 second', repeat('a', 100) \
         FROM generate_series(0, {}) w, generate_series(0, {}) n",
        WORKSPACES - 1,
        ROWS_EACH - 1
    ))
    .await;
    test.admin("VACUUM ANALYZE bench.entries").await;

    let (service, superuser) = (
        client(test.service_url()).await?,
        client(&test.admin_url()).await?,
    );
    let mut table = format!(
        "queries of one workspace of {WORKSPACES}, {} rows in all, microseconds, median of {ROUNDS} queries in each \
         tenth workspace; the bar is {BAR}\n    {:<12} {:>10} {:>10} {:>7}\n",
        WORKSPACES * ROWS_EACH,
        "",
        "policy",
        "WHERE",
        "ratio"
    );
    for (name, below, explicit) in QUERIES {
        eprintln!("policies: {name} ...");
        let below = service.prepare(below).await.context("prepare")?;
        let explicit = superuser.prepare(explicit).await.context("prepare")?;
        let (mut policies, mut wheres) = (Vec::new(), Vec::new());
        // One after the other for each workspace, so that what disturbs the machine disturbs both. The first round warms.
        for round in 0..=ROUNDS {
            for number in (0..WORKSPACES).step_by(10) {
                let policy = time(&service, &below, name, number, false).await?;
                let explicit = time(&superuser, &explicit, name, number, true).await?;
                if round > 0 {
                    policies.push(policy);
                    wheres.push(explicit);
                }
            }
        }
        let (policy, explicit) = (median(policies), median(wheres));
        let ratio = policy / explicit;
        writeln!(
            table,
            "    {name:<12} {policy:>10.1} {explicit:>10.1} x{ratio:>6.2}"
        )?;
    }
    Ok(table)
}

async fn client(url: &SecretString) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls)
        .await
        .context("connect")?;
    #[expect(clippy::disallowed_methods, reason = "ends with its client")]
    tokio::spawn(connection);
    Ok(client)
}

/// The time of one query, in microseconds. Both sides set a scope, in the same way and not timed; only one is bound by
/// it.
async fn time(
    client: &Client,
    statement: &Statement,
    name: &str,
    number: u128,
    explicit: bool,
) -> Result<f64> {
    let (workspace, row) = (workspace(number), row(number, number % ROWS_EACH));
    let begin = format!(
        "BEGIN; SELECT set_config('app.workspace_id', '{}', true)",
        workspace.0
    );
    client.batch_execute(&begin).await?;
    let started = Instant::now();
    let rows = match (name, explicit) {
        ("point", true) => client.query(statement, &[&workspace, &row]).await?,
        ("point", false) => client.query(statement, &[&row]).await?,
        (_, true) => client.query(statement, &[&workspace]).await?,
        (_, false) => client.query(statement, &[]).await?,
    };
    let took = started.elapsed();
    anyhow::ensure!(!rows.is_empty(), "{name} found nothing");
    client.batch_execute("COMMIT").await?;
    Ok(took.as_secs_f64() * 1e6)
}
