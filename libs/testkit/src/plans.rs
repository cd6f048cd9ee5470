//! RLS-13: the statements of a store, and how the server would run them below the policies.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::{InstrumentationEvent, set_default_instrumentation};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

use crate::TestDb;

/// Every statement that this process sends to a database.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl Statements {
    /// Records from now on, on connections that are opened from now on: to be called before [`TestDb::service`]. With
    /// `cargo nextest` each test is a process of its own and records nothing but itself.
    ///
    /// # Panics
    /// When diesel takes no listener.
    pub fn record() -> Self {
        let statements = Self::default();
        let heard = statements.clone();
        INTO.lock().unwrap_or_else(PoisonError::into_inner).replace(heard);
        set_default_instrumentation(|| Some(Box::new(note))).expect("diesel takes a listener");
        statements
    }

    /// What was sent so far: each text once, without its values.
    pub fn sent(&self) -> Vec<String> {
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().cloned().collect()
    }
}

/// Diesel takes a plain function.
static INTO: Mutex<Option<Statements>> = Mutex::new(None);

fn note(event: InstrumentationEvent<'_>) {
    // Only this one shows the text without the values.
    if let InstrumentationEvent::FinishQuery { query, .. } = event
        && let Some(statements) = &*INTO.lock().unwrap_or_else(PoisonError::into_inner)
    {
        let mut sent = statements.0.lock().unwrap_or_else(PoisonError::into_inner);
        sent.insert(query.to_string());
    }
}

/// On what the planner decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The tables hold what is usual, and were analysed.
    Usual,
    /// They are nearly empty, where the planner reads all of a table whatever indexes it has: it is told not to, so
    /// that it does so only where no index helps.
    Few,
}

impl TestDb {
    /// What is wrong with the plans of `statements`, seen as the role of the services and inside a workspace: a table
    /// of a workspace is read by an index whose condition is on `workspace_id`, and never as a whole (RLS-13). Plans are
    /// those for any values. Statements that read no such table are fine.
    ///
    /// ```ignore
    /// let statements = Statements::record();
    /// let store = PgNoteStore::new(test.service().await);
    /// // ... what is to be fast ...
    /// assert_eq!(test.slow_plans(&statements.sent(), Rows::Few).await, [""; 0]);
    /// ```
    ///
    /// # Panics
    /// When the server has gone.
    pub async fn slow_plans(&self, statements: &[String], rows: Rows) -> Vec<String> {
        let client = connect(self.service_url()).await;
        let tenant = tenant_tables(&client).await;
        let seqscan = if rows == Rows::Few { "off" } else { "on" };
        let scope = format!(
            "BEGIN; SELECT set_config('app.workspace_id', '{}', true); \
             SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = {seqscan}",
            Uuid::now_v7()
        );
        client.batch_execute(&scope).await.expect("begin");
        let mut slow = Vec::new();
        for statement in statements.iter().filter(|statement| reads(statement)) {
            match plan(&client, statement).await {
                Ok(plan) => {
                    let mut found = Vec::new();
                    judge(&plan, &tenant, &mut found);
                    slow.extend(found.into_iter().map(|what| format!("{what}: {statement}")));
                }
                Err(error) => slow.push(format!("cannot be planned, {error}: {statement}")),
            }
        }
        slow
    }
}

async fn connect(url: &SecretString) -> Client {
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls)
        .await
        .expect("connect to the test database");
    #[expect(clippy::disallowed_methods, reason = "ends with its client")]
    tokio::spawn(connection);
    client
}

/// Whether a statement can have a plan.
fn reads(statement: &str) -> bool {
    let word = statement.split_whitespace().next().unwrap_or_default();
    let batch = statement.trim_end_matches(';').contains(';');
    !batch
        && ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
            .iter()
            .any(|verb| word.eq_ignore_ascii_case(verb))
}

/// As `schema.table`.
async fn tenant_tables(client: &Client) -> HashSet<String> {
    let tables = "SELECT n.nspname || '.' || c.relname FROM pg_attribute a \
                  JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE a.attname = 'workspace_id' AND NOT a.attisdropped AND c.relkind IN ('r', 'p')";
    texts(client, tables)
        .await
        .expect("list tables")
        .into_iter()
        .collect()
}

async fn plan(client: &Client, statement: &str) -> Result<Value, String> {
    client
        .batch_execute("SAVEPOINT plan")
        .await
        .expect("in a transaction");
    let answer = explain(client, statement).await;
    let ended = "ROLLBACK TO plan; DEALLOCATE ALL";
    client.batch_execute(ended).await.expect("in a transaction");
    answer
}

/// Values do not matter to a plan for any values: nothing is run.
async fn explain(client: &Client, statement: &str) -> Result<Value, String> {
    let told = |error: tokio_postgres::Error| match error.as_db_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    };
    client
        .batch_execute(&format!("PREPARE plan AS {statement}"))
        .await
        .map_err(told)?;
    let count = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'plan'";
    let count = texts(client, count).await.map_err(told)?.concat();
    let nulls = vec!["NULL"; count.parse().unwrap_or(0)].join(", ");
    let values = if nulls.is_empty() {
        nulls
    } else {
        format!("({nulls})")
    };
    let lines = texts(
        client,
        &format!("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE plan{values}"),
    )
    .await
    .map_err(told)?;
    serde_json::from_str(&lines.concat()).map_err(|error| error.to_string())
}

/// The first column of every row.
async fn texts(client: &Client, query: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let messages = client.simple_query(query).await?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect())
}

/// Looks at a node of a plan and at all below it.
fn judge(plan: &Value, tenant: &HashSet<String>, slow: &mut Vec<String>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| judge(part, tenant, slow)),
        Value::Object(node) => {
            let text = |name: &str| node.get(name).and_then(Value::as_str).unwrap_or_default();
            let table = format!("{}.{}", text("Schema"), text("Relation Name"));
            if tenant.contains(&table) {
                // A bitmap scan has no condition of its own but that of its indexes.
                let condition = match text("Node Type") {
                    "Seq Scan" | "Sample Scan" => {
                        slow.push(format!("all of {table} is read"));
                        None
                    }
                    "Bitmap Heap Scan" => Some(text("Recheck Cond")),
                    "Index Scan" | "Index Only Scan" => Some(text("Index Cond")),
                    _ => None,
                };
                if condition.is_some_and(|condition| !condition.contains("workspace_id")) {
                    slow.push(format!("{table} is not read by workspace_id"));
                }
            }
            node.values().for_each(|part| judge(part, tenant, slow));
        }
        _ => {}
    }
}
