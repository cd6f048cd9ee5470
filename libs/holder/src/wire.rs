//! The messages that tenancy and the services that hold data exchange.

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::common::v1 as wire;
use causeway_errors::ApiError;

use crate::{ErasedRows, Part, Tombstone};

impl TryFrom<wire::EraseRequest> for Tombstone {
    type Error = ApiError;

    fn try_from(request: wire::EraseRequest) -> Result<Self, ApiError> {
        let user = |field: &str, text: &str| {
            text.parse::<UserId>()
                .map_err(|error| ApiError::invalid(field.to_owned(), error.to_string()))
        };
        let subject = Some(request.subject_user_id.as_str()).filter(|text| !text.is_empty());
        let leavers = request.leaver_user_ids.iter();
        Ok(Self {
            number: request.tombstone,
            workspace: workspace(&request.workspace_id)?,
            subject: subject.map(|text| user("subject_user_id", text)).transpose()?,
            leavers: leavers
                .map(|text| user("leaver_user_ids", text))
                .collect::<Result<_, _>>()?,
            addresses: request.addresses.clone(),
        })
    }
}

impl From<&Tombstone> for wire::EraseRequest {
    fn from(tombstone: &Tombstone) -> Self {
        Self {
            workspace_id: tombstone.workspace.to_string(),
            subject_user_id: tombstone
                .subject
                .map(|subject| subject.to_string())
                .unwrap_or_default(),
            tombstone: tombstone.number,
            leaver_user_ids: tombstone.leavers.iter().map(ToString::to_string).collect(),
            addresses: tombstone.addresses.clone(),
        }
    }
}

/// The workspace of a request.
///
/// # Errors
/// A violation on `workspace_id`.
pub fn workspace(text: &str) -> Result<WorkspaceId, ApiError> {
    text.parse()
        .map_err(|error: <WorkspaceId as std::str::FromStr>::Err| {
            ApiError::invalid("workspace_id", error.to_string())
        })
}

impl From<ErasedRows> for wire::ErasedTable {
    fn from(erased: ErasedRows) -> Self {
        Self {
            table: erased.table,
            rows: i64::try_from(erased.rows).unwrap_or(i64::MAX),
        }
    }
}

impl From<wire::ErasedTable> for ErasedRows {
    fn from(erased: wire::ErasedTable) -> Self {
        Self {
            table: erased.table,
            rows: u64::try_from(erased.rows).unwrap_or_default(),
        }
    }
}

impl From<Part> for wire::ExportResponse {
    fn from(part: Part) -> Self {
        Self {
            table: part.table,
            lines: part.lines.to_vec(),
            rows: i64::try_from(part.rows).unwrap_or(i64::MAX),
        }
    }
}

impl From<wire::ExportResponse> for Part {
    fn from(part: wire::ExportResponse) -> Self {
        Self {
            table: part.table,
            lines: part.lines.into(),
            rows: u64::try_from(part.rows).unwrap_or_default(),
        }
    }
}
