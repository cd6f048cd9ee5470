//! Revocations as rows of the service's own schema, which `causeway.create_revocations()` makes.
//!
//! A row's number is taken before its transaction commits, so a reader that remembers the highest number it has seen
//! misses a row that commits late. Each row therefore carries the number of its transaction, and a reader goes on from
//! the oldest transaction that was open when it looked: whatever is below had ended, and was seen.

use async_trait::async_trait;
use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use causeway_database::{Database, DatabaseError, SystemTx};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use uuid::Uuid;

use crate::{Ended, Page, Revocation, RevocationError, Revocations};

/// How many rows one answer holds.
const PAGE: usize = 5_000;

impl Ended {
    const fn word(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::User(_) => "user",
            Self::Member(..) => "member",
            Self::Client(_) => "client",
            Self::Token(_) => "token",
            Self::Workspace(_) => "workspace",
            Self::Role(_) => "role",
        }
    }

    const fn subject(&self) -> Uuid {
        match self {
            Self::Session(SessionId(id)) | Self::User(UserId(id)) | Self::Member(_, UserId(id)) => *id,
            Self::Client(id)
            | Self::Role(id)
            | Self::Token(TokenId(id))
            | Self::Workspace(WorkspaceId(id)) => *id,
        }
    }

    const fn workspace(&self) -> Option<Uuid> {
        match self {
            Self::Member(WorkspaceId(id), _) => Some(*id),
            Self::Session(_)
            | Self::User(_)
            | Self::Client(_)
            | Self::Token(_)
            | Self::Workspace(_)
            | Self::Role(_) => None,
        }
    }

    fn read(word: &str, subject: Uuid, workspace: Option<Uuid>) -> Option<Self> {
        Some(match word {
            "session" => Self::Session(SessionId(subject)),
            "user" => Self::User(UserId(subject)),
            "member" => Self::Member(WorkspaceId(workspace?), UserId(subject)),
            "client" => Self::Client(subject),
            "token" => Self::Token(TokenId(subject)),
            "workspace" => Self::Workspace(WorkspaceId(subject)),
            "role" => Self::Role(subject),
            _ => return None,
        })
    }
}

/// Adds revocations within the transaction `tx` of the service whose schema is `schema`. One statement, however many.
///
/// # Errors
/// As any statement; the transaction is then lost.
pub async fn insert_revocations(
    tx: &mut AsyncPgConnection,
    schema: &'static str,
    revocations: &[Revocation],
) -> Result<(), diesel::result::Error> {
    if revocations.is_empty() {
        return Ok(());
    }
    let (mut words, mut subjects, mut workspaces) = (Vec::new(), Vec::new(), Vec::new());
    let (mut after, mut ends) = (Vec::new(), Vec::new());
    for revocation in revocations {
        words.push(revocation.ended.word());
        subjects.push(revocation.ended.subject());
        workspaces.push(revocation.ended.workspace());
        after.push(revocation.valid_after);
        ends.push(revocation.expires_at);
    }
    let query = format!(
        "INSERT INTO \"{schema}\".revocations (kind, subject, workspace, valid_after, expires_at) \
         SELECT * FROM unnest($1, $2, $3, $4, $5)"
    );
    sql_query(query)
        .bind::<Array<Text>, _>(words)
        .bind::<Array<SqlUuid>, _>(subjects)
        .bind::<Array<Nullable<SqlUuid>>, _>(workspaces)
        .bind::<Array<Nullable<Timestamptz>>, _>(after)
        .bind::<Array<Timestamptz>, _>(ends)
        .execute(tx)
        .await?;
    Ok(())
}

/// The revocations in the schema that it is given.
#[derive(Clone)]
pub struct PgRevocations {
    database: Database,
    schema: &'static str,
}

#[derive(QueryableByName)]
struct Snapshot {
    #[diesel(sql_type = Text)]
    oldest: String,
    #[diesel(sql_type = Text)]
    next: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Text)]
    written_by: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = SqlUuid)]
    subject: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    workspace: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_after: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
}

impl Row {
    /// A row of a newer release may tell of something that this one does not know.
    fn read(&self) -> Option<Revocation> {
        Some(Revocation {
            ended: Ended::read(&self.kind, self.subject, self.workspace)?,
            valid_after: self.valid_after,
            expires_at: self.expires_at,
        })
    }
}

/// A transaction's number, and a row's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Place {
    transaction: u64,
    position: i64,
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let (transaction, position) = text.split_once('.')?;
        Some(Self {
            transaction: transaction.parse().ok()?,
            position: position.parse().ok()?,
        })
    }

    fn word(self) -> String {
        format!("{}.{}", self.transaction, self.position)
    }
}

impl PgRevocations {
    /// The revocations in `schema`.
    pub fn new(database: Database, schema: &'static str) -> Self {
        Self { database, schema }
    }

    /// The snapshot is taken before the rows are read: what was open then may have ended since, never the other way
    /// round.
    async fn read(
        &self,
        place: Place,
        now: DateTime<Utc>,
        page: usize,
    ) -> Result<(Snapshot, Vec<Row>), DatabaseError> {
        let query = format!(
            "SELECT position, written_by::text, kind, subject, workspace, valid_after, expires_at \
             FROM \"{}\".revocations \
             WHERE (written_by, position) > ($1::xid8, $2) AND expires_at > $3 \
             ORDER BY written_by, position LIMIT $4",
            self.schema
        );
        let query = &query;
        self.database
            .system(
                "revocations.after",
                async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                    let snapshot: Snapshot = sql_query(
                        "SELECT pg_snapshot_xmin(now)::text AS oldest, pg_snapshot_xmax(now)::text AS next \
                         FROM pg_current_snapshot() AS now",
                    )
                    .get_result(tx)
                    .await?;
                    // Restored into another server, whose transactions are numbered anew: begin at the beginning.
                    let beyond = place.transaction > snapshot.next.parse().unwrap_or(u64::MAX);
                    let place = if beyond { Place::default() } else { place };
                    let rows = sql_query(query)
                        .bind::<Text, _>(place.transaction.to_string())
                        .bind::<BigInt, _>(place.position)
                        .bind::<Timestamptz, _>(now)
                        .bind::<BigInt, _>(i64::try_from(page).unwrap_or(i64::MAX))
                        .load(tx)
                        .await?;
                    Ok((snapshot, rows))
                },
            )
            .await
    }

    async fn page(&self, place: &str, now: DateTime<Utc>, page: usize) -> Result<Page, DatabaseError> {
        let place = Place::read(place).unwrap_or_default();
        let (snapshot, rows) = self.read(place, now, page).await?;
        let next = rows.last().filter(|_| rows.len() == page).map(|last| {
            let transaction = last.written_by.parse().unwrap_or_default();
            let position = last.position;
            Place {
                transaction,
                position,
            }
            .word()
        });
        let oldest = Place {
            transaction: snapshot.oldest.parse().unwrap_or_default(),
            position: 0,
        };
        Ok(Page {
            revocations: rows.iter().filter_map(Row::read).collect(),
            next,
            resume: oldest.word(),
        })
    }
}

#[async_trait]
impl Revocations for PgRevocations {
    async fn after(&self, place: &str, now: DateTime<Utc>) -> Result<Page, RevocationError> {
        let page = self.page(place, now, PAGE).await;
        page.map_err(|error| RevocationError(error.into()))
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<usize, RevocationError> {
        let query = format!(
            "DELETE FROM \"{}\".revocations WHERE expires_at <= $1",
            self.schema
        );
        let delete = async |tx: &mut SystemTx| -> Result<usize, DatabaseError> {
            Ok(sql_query(&query).bind::<Timestamptz, _>(now).execute(tx).await?)
        };
        let deleted = self.database.system("revocations.sweep", delete).await;
        deleted.map_err(|error| RevocationError(error.into()))
    }
}

#[cfg(test)]
mod tests;
