//! What the schema `tenancy` has of exports, row by row.

use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use crate::domain::{Content, Export, ExportState};
use crate::store::StoreError;

#[derive(QueryableByName)]
pub(super) struct ExportRow {
    #[diesel(sql_type = SqlUuid)]
    workspace_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    requested_by: Option<Uuid>,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Nullable<Text>)]
    age_recipient: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    size_bytes: i64,
    #[diesel(sql_type = Text)]
    sha256: String,
    #[diesel(sql_type = Json)]
    tables: serde_json::Value,
}

#[derive(QueryableByName)]
pub(super) struct JobRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) workspace: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) export: Uuid,
    #[diesel(sql_type = Integer)]
    pub(super) attempts: i32,
}

#[derive(QueryableByName)]
pub(super) struct PlaceRow {
    #[diesel(sql_type = SqlUuid)]
    pub(super) workspace: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) object: Uuid,
}

impl TryFrom<ExportRow> for Export {
    type Error = StoreError;

    fn try_from(row: ExportRow) -> Result<Self, StoreError> {
        let tables = serde_json::from_value(row.tables).map_err(|error| StoreError::Corrupt(error.into()))?;
        Ok(Self {
            id: row.id,
            workspace: WorkspaceId(row.workspace_id),
            requested_by: row.requested_by.map(UserId),
            state: ExportState::parse(&row.state).map_err(|wrong| StoreError::Corrupt(wrong.into()))?,
            age_recipient: row.age_recipient,
            created_at: row.created_at,
            expires_at: row.expires_at,
            content: Content {
                size_bytes: u64::try_from(row.size_bytes).unwrap_or_default(),
                sha256: row.sha256,
                tables,
            },
        })
    }
}

pub(super) fn stored(content: &Content) -> Result<(i64, serde_json::Value), StoreError> {
    let tables = serde_json::to_value(&content.tables).map_err(|error| StoreError::Corrupt(error.into()))?;
    Ok((i64::try_from(content.size_bytes).unwrap_or(i64::MAX), tables))
}

pub(super) fn numbered(number: u32) -> Result<i32, StoreError> {
    i32::try_from(number).map_err(|error| StoreError::Corrupt(error.into()))
}
