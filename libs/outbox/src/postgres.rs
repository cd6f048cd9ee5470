//! The outbox of a PostgreSQL store: the table that `causeway.create_outbox()` makes in the service's schema.

use async_trait::async_trait;
use causeway_database::{Database, DatabaseError, SystemTx, WorkspaceTx};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Json, Text, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use serde_json::Value;
use uuid::Uuid;

use crate::{OutboxError, OutboxEvent, OutboxStore};

/// Adds a fact within the transaction `tx` of the service whose schema is `schema`.
///
/// Call it last in the transaction. Two changes of one thing wait for each other at its row, so facts that are added
/// after the change are numbered in the order of the changes.
///
/// # Errors
/// As any statement; the transaction is then lost.
pub async fn insert_outbox_row(
    tx: &mut AsyncPgConnection,
    schema: &'static str,
    event: &OutboxEvent,
) -> Result<(), diesel::result::Error> {
    Insert::of(schema, event)?.execute(tx).await?;
    Ok(())
}

/// Adds several events to the outbox of `schema`, in their order, in one statement.
///
/// # Errors
/// As any statement; the transaction is then lost.
pub async fn insert_outbox_rows(
    tx: &mut AsyncPgConnection,
    schema: &'static str,
    events: &[OutboxEvent],
) -> Result<(), diesel::result::Error> {
    if events.is_empty() {
        return Ok(());
    }
    InsertAll::of(schema, events)?.execute(tx).await?;
    Ok(())
}

/// As [`insert_outbox_row`], and commits in the same round trip: see [`WorkspaceTx::last`].
///
/// # Errors
/// As any statement and the commit; the transaction is then lost.
pub async fn commit_with_outbox_row(
    tx: &mut WorkspaceTx,
    schema: &'static str,
    event: &OutboxEvent,
) -> Result<(), diesel::result::Error> {
    tx.last(Insert::of(schema, event)?).await?;
    Ok(())
}

/// Written by hand, as the schema is a value here; unlike `sql_query` it keeps its prepared statement.
struct Insert {
    schema: &'static str,
    id: Uuid,
    workspace: Uuid,
    document: Value,
}

impl Insert {
    fn of(schema: &'static str, event: &OutboxEvent) -> QueryResult<Self> {
        let document = serde_json::to_value(event)
            .map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
        Ok(Self {
            schema,
            id: event.id,
            workspace: event.workspace.0,
            document,
        })
    }
}

impl QueryId for Insert {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for Insert {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO ");
        out.push_identifier(self.schema)?;
        out.push_sql(".outbox (id, workspace, event) VALUES (");
        out.push_bind_param::<SqlUuid, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.workspace)?;
        out.push_sql(", ");
        out.push_bind_param::<Json, _>(&self.document)?;
        out.push_sql(")");
        Ok(())
    }
}

/// [`Insert`], of several.
struct InsertAll {
    schema: &'static str,
    ids: Vec<Uuid>,
    workspaces: Vec<Uuid>,
    documents: Vec<Value>,
}

impl InsertAll {
    fn of(schema: &'static str, events: &[OutboxEvent]) -> QueryResult<Self> {
        let documents = events.iter().map(serde_json::to_value).collect::<Result<_, _>>();
        Ok(Self {
            schema,
            ids: events.iter().map(|event| event.id).collect(),
            workspaces: events.iter().map(|event| event.workspace.0).collect(),
            documents: documents.map_err(|error| diesel::result::Error::SerializationError(error.into()))?,
        })
    }
}

impl QueryId for InsertAll {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for InsertAll {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO ");
        out.push_identifier(self.schema)?;
        out.push_sql(".outbox (id, workspace, event) SELECT id, workspace, event FROM unnest(");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.workspaces)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Json>, _>(&self.documents)?;
        out.push_sql(") WITH ORDINALITY AS added (id, workspace, event, place) ORDER BY place");
        Ok(())
    }
}

/// The outbox of the service whose schema it is given, for the relay.
///
/// Sent rows are deleted, and no place in the sequence is remembered: a transaction that commits late is found, though
/// later ones were sent before it. Two relays may send the same rows, which the log deduplicates.
#[derive(Clone)]
pub struct PgOutbox {
    database: Database,
    schema: &'static str,
}

impl PgOutbox {
    /// The outbox in `schema`.
    pub fn new(database: Database, schema: &'static str) -> Self {
        Self { database, schema }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Json)]
    event: Value,
}

impl PgOutbox {
    async fn rows(&self, limit: usize) -> Result<Vec<Row>, OutboxError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = format!(
            "SELECT id, event FROM \"{}\".outbox WHERE parked_at IS NULL ORDER BY position LIMIT $1",
            self.schema
        );
        let read = async |tx: &mut SystemTx| -> Result<Vec<Row>, DatabaseError> {
            Ok(sql_query(&query).bind::<BigInt, _>(limit).load(tx).await?)
        };
        let rows = self.database.system("outbox.unsent", read).await;
        rows.map_err(|error| OutboxError(error.into()))
    }
}

#[async_trait]
impl OutboxStore for PgOutbox {
    /// A row that is not a fact, written by another release perhaps, is parked: it must not hide those behind it.
    async fn unsent(&self, limit: usize) -> Result<Vec<OutboxEvent>, OutboxError> {
        loop {
            let (mut events, mut parked) = (Vec::new(), false);
            for row in self.rows(limit).await? {
                match serde_json::from_value(row.event) {
                    Ok(event) => events.push(event),
                    Err(_) => {
                        tracing::error!(fact = %row.id, schema = self.schema, "a row that is not a fact is parked");
                        self.park(row.id, "NOT_A_FACT: the row cannot be read").await?;
                        crate::metrics::parked();
                        parked = true;
                    }
                }
            }
            if !parked || !events.is_empty() {
                return Ok(events);
            }
        }
    }

    async fn mark_sent(&self, ids: &[Uuid]) -> Result<(), OutboxError> {
        let query = format!("DELETE FROM \"{}\".outbox WHERE id = ANY ($1)", self.schema);
        let delete = async |tx: &mut SystemTx| -> Result<usize, DatabaseError> {
            Ok(sql_query(&query)
                .bind::<Array<SqlUuid>, _>(ids)
                .execute(tx)
                .await?)
        };
        self.database
            .system("outbox.mark_sent", delete)
            .await
            .map_err(|error| OutboxError(error.into()))?;
        Ok(())
    }

    /// `UPDATE <schema>.outbox SET parked_at = NULL WHERE id = ..` has it sent again.
    async fn park(&self, id: Uuid, because: &str) -> Result<(), OutboxError> {
        let query = format!(
            "UPDATE \"{}\".outbox SET parked_at = now(), parked_because = $2 WHERE id = $1",
            self.schema
        );
        let update = async |tx: &mut SystemTx| -> Result<usize, DatabaseError> {
            Ok(sql_query(&query)
                .bind::<SqlUuid, _>(id)
                .bind::<Text, _>(because)
                .execute(tx)
                .await?)
        };
        self.database
            .system("outbox.park", update)
            .await
            .map_err(|error| OutboxError(error.into()))?;
        Ok(())
    }

    async fn keeps(&self, id: Uuid) -> Result<bool, OutboxError> {
        let query = format!("SELECT id FROM \"{}\".outbox WHERE id = $1", self.schema);
        let find = async |tx: &mut SystemTx| -> Result<usize, DatabaseError> {
            Ok(sql_query(&query).bind::<SqlUuid, _>(id).execute(tx).await?)
        };
        let found = self.database.system("outbox.keeps", find).await;
        found
            .map(|rows| rows > 0)
            .map_err(|error| OutboxError(error.into()))
    }
}
