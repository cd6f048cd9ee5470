//! Reads what the registry names, as of one moment, in pieces that fit memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use causeway_context::WorkspaceId;
use causeway_database::{Database, DatabaseError, Isolation, SystemTx, WorkspaceTx};
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use futures::{FutureExt as _, Stream, StreamExt as _, future, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::erase::belongs;
use crate::{Holding, Part, Rows, TenantTable};

/// Rows that are fetched at a time.
const FETCH: usize = 200;
/// A part is sent when it has so much.
const PART_BYTES: usize = 256 * 1024;

/// An export that broke.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database does not do what was asked.
    #[error("read the rows of the workspace")]
    Database(#[from] DatabaseError),
    /// Nobody takes the parts any more.
    #[error("nobody takes the parts")]
    Abandoned,
    /// The snapshot is that of another database, or has ended.
    #[error("the snapshot cannot be used")]
    Snapshot,
}

impl From<diesel::result::Error> for ExportError {
    fn from(error: diesel::result::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

/// Sends every row of the workspace that an export shows, table by table, as its tenant sees them: below row-level
/// security and as of one moment (EXP-02). That is `snapshot`, or one of its own.
///
/// # Errors
/// [`ExportError::Snapshot`] before the first part; the others at any time, and what was sent is then of no use.
pub async fn export_rows(
    database: &Database,
    holding: &'static Holding,
    workspace: WorkspaceId,
    snapshot: Option<&str>,
    parts: &mpsc::Sender<Part>,
) -> Result<(), ExportError> {
    let database = match snapshot {
        Some(snapshot) => database.at_snapshot(snapshot).ok_or(ExportError::Snapshot)?,
        None => database.isolated(Isolation::RepeatableRead),
    };
    let begun = AtomicBool::new(false);
    let started = &begun;
    let answer = database
        .workspace(
            "holder.export",
            workspace,
            async |tx: &mut WorkspaceTx| -> Result<(), ExportError> {
                // What was sent once must not be sent again.
                if started.swap(true, Ordering::SeqCst) {
                    return Err(ExportError::Abandoned);
                }
                tx.batch_execute(PATIENT).await?;
                for table in holding.tables.iter().filter(|table| table.rows == Rows::Plain) {
                    send_table(tx, holding, table, parts).await?;
                }
                Ok(())
            },
        )
        .await;
    match answer {
        Err(ExportError::Database(_)) if snapshot.is_some() && !begun.into_inner() => {
            Err(ExportError::Snapshot)
        }
        answer => answer,
    }
}

/// Times are UTC, and whoever takes the parts may be slow.
const PATIENT: &str = "SELECT set_config('TimeZone', 'UTC', true), set_config('statement_timeout', '300000', true), \
     set_config('idle_in_transaction_session_timeout', '3600000', true)";

/// A moment of the database that others can look at too. It lasts as long as this value, at most an hour.
pub struct Snapshot {
    name: String,
    release: oneshot::Sender<()>,
    holder: JoinSet<bool>,
}

impl Snapshot {
    /// Its name, for [`export_rows`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets go of it. Whether it has lasted until now, which only the database knows: then whoever shares the database and
    /// used it has seen the same moment (EXP-02).
    pub async fn release(self) -> bool {
        let Self {
            release, mut holder, ..
        } = self;
        drop(release);
        matches!(holder.join_next().await, Some(Ok(true)))
    }
}

/// Holds on to this moment of the database; none if the database cannot.
pub async fn hold_snapshot(database: &Database) -> Option<Snapshot> {
    let (named, name) = oneshot::channel();
    let (release, released) = oneshot::channel::<()>();
    let mut holder = JoinSet::new();
    holder.spawn(hold(
        database.isolated(Isolation::RepeatableRead),
        named,
        released,
    ));
    Some(Snapshot {
        name: name.await.ok()?,
        release,
        holder,
    })
}

/// A snapshot lasts as long as the transaction that exported it. Answers whether that one could still be committed.
async fn hold(database: Database, named: oneshot::Sender<String>, released: oneshot::Receiver<()>) -> bool {
    let ends = Mutex::new(Some((named, released)));
    let body = async |tx: &mut SystemTx| -> Result<(), ExportError> {
        let taken = ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (named, released) = taken.ok_or(ExportError::Abandoned)?;
        tx.batch_execute(PATIENT).await?;
        let name: Name = sql_query("SELECT pg_export_snapshot() AS name")
            .get_result(tx)
            .await?;
        let _ = named.send(name.name);
        // Answers when the value is let go.
        let _ = released.await;
        Ok(())
    };
    // Who waits for the name learns of a failure by getting none.
    database.system("holder.snapshot", body).await.is_ok()
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// By a cursor, as a table may be larger than memory.
async fn send_table(
    tx: &mut WorkspaceTx,
    holding: &Holding,
    table: &TenantTable,
    parts: &mpsc::Sender<Part>,
) -> Result<(), ExportError> {
    let workspace = tx.workspace().0;
    // A cursor takes no parameters; a UUID holds nothing that ends the quotes.
    let mine = belongs(holding, table).replace("$1", &format!("'{workspace}'"));
    // A table with one row for each workspace needs no order.
    let order = match table.key {
        [] => String::new(),
        key => format!("ORDER BY \"{}\"", key.join("\", \"")),
    };
    let omit = table.omit.join(",");
    tx.batch_execute(&format!(
        "DECLARE export NO SCROLL CURSOR FOR SELECT (to_jsonb(shown) - '{{{omit}}}'::text[])::text AS line \
         FROM (SELECT * FROM \"{}\".\"{}\" WHERE {mine} {order}) AS shown",
        holding.schema, table.name
    ))
    .await?;
    let mut part = PartBuilder::new(holding.qualified(table));
    loop {
        let lines: Vec<Line> = sql_query(format!("FETCH {FETCH} FROM export")).load(tx).await?;
        let last = lines.len() < FETCH;
        for line in lines {
            if let Some(full) = part.push(&line.line) {
                parts.send(full).await.map_err(|_| ExportError::Abandoned)?;
            }
        }
        if last {
            break;
        }
    }
    if let Some(rest) = part.finish() {
        parts.send(rest).await.map_err(|_| ExportError::Abandoned)?;
    }
    tx.batch_execute("CLOSE export").await?;
    Ok(())
}

/// Puts the rows of one table into parts.
#[derive(Debug)]
pub struct PartBuilder {
    table: String,
    lines: Vec<u8>,
    rows: u64,
    sent: bool,
}

impl PartBuilder {
    /// The parts of that table, named with its schema.
    pub fn new(table: String) -> Self {
        Self {
            table,
            lines: Vec::new(),
            rows: 0,
            sent: false,
        }
    }

    /// Adds a row; a part when it is full.
    pub fn push(&mut self, line: &str) -> Option<Part> {
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
        self.rows += 1;
        (self.lines.len() >= PART_BYTES).then(|| self.take())
    }

    /// The last part; an empty one for a table without rows.
    pub fn finish(mut self) -> Option<Part> {
        (self.rows > 0 || !self.sent).then(|| self.take())
    }

    fn take(&mut self) -> Part {
        self.sent = true;
        Part {
            table: self.table.clone(),
            lines: Bytes::from(std::mem::take(&mut self.lines)),
            rows: std::mem::take(&mut self.rows),
        }
    }
}

/// Sends the rows of a store that is no database: tables by their names in the schema, in their order.
///
/// # Errors
/// [`ExportError::Abandoned`].
pub async fn send_tables(
    schema: &str,
    tables: Vec<(&'static str, Vec<serde_json::Value>)>,
    parts: &mpsc::Sender<Part>,
) -> Result<(), ExportError> {
    let send = async |part| parts.send(part).await.map_err(|_| ExportError::Abandoned);
    for (table, rows) in tables {
        let mut builder = PartBuilder::new(format!("{schema}.{table}"));
        for row in rows {
            if let Some(full) = builder.push(&row.to_string()) {
                send(full).await?;
            }
        }
        if let Some(rest) = builder.finish() {
            send(rest).await?;
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    rows: i64,
}

/// How many rows of the workspace a table has, as its tenant sees them.
///
/// # Errors
/// As any statement.
pub async fn count_rows(
    tx: &mut WorkspaceTx,
    holding: &Holding,
    table: &TenantTable,
) -> Result<u64, diesel::result::Error> {
    let query = format!(
        "SELECT count(*) AS rows FROM \"{}\".\"{}\" WHERE {}",
        holding.schema,
        table.name,
        belongs(holding, table)
    );
    let workspace = tx.workspace().0;
    let count: Count = sql_query(query)
        .bind::<SqlUuid, _>(workspace)
        .get_result(tx)
        .await?;
    Ok(u64::try_from(count.rows).unwrap_or_default())
}

/// The parts that `sending` puts into a channel, as a stream that drives it: whoever drops the stream ends it.
pub fn parts<E: Send + 'static>(
    sending: impl Future<Output = Result<(), E>> + Send + 'static,
    taken: mpsc::Receiver<Part>,
) -> impl Stream<Item = Result<Part, E>> + Send + 'static {
    let sent = sending
        .into_stream()
        .filter_map(|end| future::ready(end.err().map(Err)));
    let taken = stream::unfold(taken, |mut taken| async move {
        Some((Ok(taken.recv().await?), taken))
    });
    // A failure comes after what was sent before it, as whoever sends waits for room.
    stream::select(taken, sent)
}
