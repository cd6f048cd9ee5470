//! What lies in the schema `ledger`, row by row.

use causeway_context::{UserId, WorkspaceId};
use causeway_holder::{Buried, ErasedRows, Tombstone};
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::domain::{Done, Erasure, ErasureState, Receipt, Retained};
use crate::store::StoreError;

#[derive(QueryableByName)]
pub(super) struct ErasureRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    workspace: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    subject: Option<Uuid>,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = SqlUuid)]
    requested_by: Uuid,
    #[diesel(sql_type = Timestamptz)]
    requested_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    scheduled_for: DateTime<Utc>,
}

#[derive(QueryableByName)]
pub(super) struct ReceiptRow {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = SqlUuid)]
    erasure: Uuid,
    #[diesel(sql_type = SqlUuid)]
    workspace: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    subject: Option<Uuid>,
    #[diesel(sql_type = SqlUuid)]
    requested_by: Uuid,
    #[diesel(sql_type = Timestamptz)]
    requested_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    completed_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    effective_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    destroyed_keys: i64,
    #[diesel(sql_type = Json)]
    counts: serde_json::Value,
    #[diesel(sql_type = Json)]
    retained: serde_json::Value,
    #[diesel(sql_type = Text)]
    previous_hash: String,
    #[diesel(sql_type = Text)]
    hash: String,
}

#[derive(QueryableByName)]
pub(super) struct TombstoneRow {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = SqlUuid)]
    workspace: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    subject: Option<Uuid>,
    #[diesel(sql_type = Bool)]
    finished: bool,
}

/// The columns of an erasure.
pub(super) const ERASURE: &str = "id, workspace, subject, state, requested_by, requested_at, scheduled_for";
/// Those of tombstones, with whether the erasure is finished.
pub(super) const TOMBSTONE: &str = "SELECT number, workspace, subject, \
     EXISTS (SELECT FROM ledger.receipts WHERE receipts.erasure = tombstones.erasure) AS finished FROM ledger.tombstones";
/// Those of receipts.
pub(super) const RECEIPT: &str = "SELECT sequence, erasure, workspace, subject, requested_by, requested_at, completed_at, \
     effective_at, destroyed_keys, counts, retained, previous_hash, hash \
     FROM ledger.receipts JOIN ledger.erasures ON erasures.id = receipts.erasure";

pub(super) fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt(what.into())
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt("a negative number"))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl TryFrom<ErasureRow> for Erasure {
    type Error = StoreError;

    fn try_from(row: ErasureRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            workspace: WorkspaceId(row.workspace),
            subject: row.subject.map(UserId),
            state: ErasureState::parse(&row.state).map_err(corrupt)?,
            requested_by: UserId(row.requested_by),
            requested_at: row.requested_at,
            scheduled_for: row.scheduled_for,
            receipt: None,
        })
    }
}

impl TryFrom<ReceiptRow> for Receipt {
    type Error = StoreError;

    fn try_from(row: ReceiptRow) -> Result<Self, StoreError> {
        let unreadable = |error: serde_json::Error| StoreError::Corrupt(error.into());
        let counts: Vec<ErasedRows> = serde_json::from_value(row.counts).map_err(unreadable)?;
        let retained: Vec<Retained> = serde_json::from_value(row.retained).map_err(unreadable)?;
        Ok(Self {
            sequence: unsigned(row.sequence)?,
            erasure: row.erasure,
            workspace: WorkspaceId(row.workspace),
            subject: row.subject.map(UserId),
            requested_by: UserId(row.requested_by),
            requested_at: row.requested_at,
            done: Done {
                completed_at: row.completed_at,
                effective_at: row.effective_at,
                destroyed_keys: unsigned(row.destroyed_keys)?,
                counts,
                retained,
            },
            previous_hash: row.previous_hash,
            hash: row.hash,
        })
    }
}

impl From<TombstoneRow> for Buried {
    fn from(row: TombstoneRow) -> Self {
        let tombstone = Tombstone {
            number: row.number,
            workspace: WorkspaceId(row.workspace),
            subject: row.subject.map(UserId),
            leavers: Vec::new(),
            addresses: Vec::new(),
        };
        Self {
            tombstone,
            finished: row.finished,
        }
    }
}
