//! Data keys and their rotations over gRPC.

use causeway_context::{CallContext, WorkspaceId, to_timestamp};
use causeway_contracts::tenancy::v1::key_service_server::KeyService;
use causeway_contracts::tenancy::v1::{self as wire};
use causeway_errors::ApiError;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Answer, Fields, Grpc, refuse};
use crate::domain::{Counted, Ring, Rotation, StoredKey, UnreadableRow};
use crate::service::{Field, FieldPlace, SealedField};

const MOST_FIELDS: usize = 1000;

#[tonic::async_trait]
impl KeyService for Grpc {
    async fn list_keys(&self, request: Request<wire::ListKeysRequest>) -> Answer<wire::ListKeysResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (keys, next_page_token) = self.0.list_keys(&ctx, &page).await.map_err(refuse)?;
        let keys = keys.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListKeysResponse {
            keys,
            next_page_token,
        }))
    }

    async fn rotate_key(&self, request: Request<wire::RotateKeyRequest>) -> Answer<wire::RotateKeyResponse> {
        let ctx = CallContext::of(&request)?;
        let request = request.into_inner();
        let ring = match request.ring.as_str() {
            "" => Ring::Data,
            word => Ring::parse(word).map_err(|wrong| ApiError::invalid("ring", wrong))?,
        };
        let rotation = self
            .0
            .rotate_key(&ctx, ring, request.keep_previous)
            .await
            .map_err(refuse)?;
        Ok(Response::new(wire::RotateKeyResponse {
            rotation: Some(rotation.into()),
        }))
    }

    async fn list_rotations(
        &self,
        request: Request<wire::ListRotationsRequest>,
    ) -> Answer<wire::ListRotationsResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (rotations, next_page_token) = self.0.list_rotations(&ctx, &page).await.map_err(refuse)?;
        let rotations = rotations.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListRotationsResponse {
            rotations,
            next_page_token,
        }))
    }

    async fn get_rotation(
        &self,
        request: Request<wire::GetRotationRequest>,
    ) -> Answer<wire::GetRotationResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let id = Uuid::parse_str(&request.get_ref().id).map_err(|_| "must be a UUID");
        let Some(id) = fields.check("id", id) else {
            return Err(fields.refuse());
        };
        let (rotation, unreadable) = self.0.rotation(&ctx, id).await.map_err(refuse)?;
        let mut rotation = wire::Rotation::from(rotation);
        rotation.failures = unreadable.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::GetRotationResponse {
            rotation: Some(rotation),
        }))
    }

    async fn seal_fields(
        &self,
        request: Request<wire::SealFieldsRequest>,
    ) -> Answer<wire::SealFieldsResponse> {
        let ctx = CallContext::of(&request)?;
        let request = request.into_inner();
        let fields = request
            .fields
            .into_iter()
            .map(|field| (field.place, Zeroizing::new(field.plaintext)));
        let (workspace, fields) = decode(&request.workspace_id, fields.collect())?;
        let sealed = self
            .0
            .seal_fields(&ctx, workspace, &fields)
            .await
            .map_err(refuse)?;
        let fields = sealed.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::SealFieldsResponse { fields }))
    }

    async fn open_fields(
        &self,
        request: Request<wire::OpenFieldsRequest>,
    ) -> Answer<wire::OpenFieldsResponse> {
        let ctx = CallContext::of(&request)?;
        let request = request.into_inner();
        let fields = request
            .fields
            .into_iter()
            .map(|field| (field.place, Zeroizing::new(field.sealed)));
        let (workspace, fields) = decode(&request.workspace_id, fields.collect())?;
        let opened = self
            .0
            .open_fields(&ctx, workspace, &fields)
            .await
            .map_err(refuse)?;
        let fields = opened
            .into_iter()
            .map(|value| wire::OpenedField {
                plaintext: value.map(|mut value| std::mem::take(&mut *value)),
            })
            .collect();
        Ok(Response::new(wire::OpenFieldsResponse { fields }))
    }
}

type Sent = (Option<wire::FieldPlace>, Zeroizing<Vec<u8>>);

fn decode(workspace: &str, sent: Vec<Sent>) -> Result<(WorkspaceId, Vec<Field>), Status> {
    let mut wrong = Fields::default();
    let workspace = wrong.check("workspace_id", workspace.parse::<WorkspaceId>());
    let count = (1..=MOST_FIELDS).contains(&sent.len()).then_some(());
    wrong.check("fields", count.ok_or("must be 1 to 1000"));
    let fields: Vec<Option<Field>> = sent
        .into_iter()
        .enumerate()
        .map(|(index, (place, content))| {
            let place = wrong.check(&format!("fields[{index}].place"), place_of(place))?;
            Some(Field { place, content })
        })
        .collect();
    match (workspace, fields.into_iter().collect()) {
        (Some(workspace), Some(fields)) if wrong.0.is_empty() => Ok((workspace, fields)),
        _ => Err(wrong.refuse()),
    }
}

fn place_of(place: Option<wire::FieldPlace>) -> Result<FieldPlace, &'static str> {
    let place = place.ok_or("must be there")?;
    let texts = [&place.table, &place.column, &place.row, &place.purpose];
    if texts.iter().any(|text| text.is_empty()) {
        return Err("must name table, column, row and purpose");
    }
    Ok(FieldPlace {
        version: u32::try_from(place.version).map_err(|_| "must have a version that is not negative")?,
        table: place.table,
        column: place.column,
        row: place.row,
        purpose: place.purpose,
    })
}

fn version(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl From<StoredKey> for wire::DataKey {
    fn from(key: StoredKey) -> Self {
        Self {
            ring: key.ring.as_str().to_owned(),
            version: version(key.version),
            state: key.state.as_str().to_owned(),
            wrapped_by: key.wrapped.map(|wrapped| wrapped.key_id).unwrap_or_default(),
            created_at: Some(to_timestamp(key.created_at)),
            destroyed_at: key.destroyed_at.map(to_timestamp),
        }
    }
}

impl From<Rotation> for wire::Rotation {
    fn from(rotation: Rotation) -> Self {
        Self {
            eta_seconds: rotation.eta().map(|rest| rest.num_seconds()),
            id: rotation.id.to_string(),
            ring: rotation.ring.as_str().to_owned(),
            from_version: version(rotation.from_version),
            to_version: version(rotation.to_version),
            state: rotation.step.shown().to_owned(),
            total: rotation.total,
            done: rotation.done,
            remaining: rotation.remaining,
            unreadable: rotation.unreadable,
            started_at: Some(to_timestamp(rotation.started_at)),
            finished_at: rotation.finished_at.map(to_timestamp),
            proof: rotation.proof.into_iter().map(Into::into).collect(),
            failures: Vec::new(),
            destroyed_versions: rotation.destroyed.into_iter().map(version).collect(),
        }
    }
}

impl From<Counted> for wire::RotationProof {
    fn from(counted: Counted) -> Self {
        Self {
            table: counted.table,
            rows: counted.rows,
            below: counted.below,
            counted_at: Some(to_timestamp(counted.at)),
        }
    }
}

impl From<UnreadableRow> for wire::RotationFailure {
    fn from(row: UnreadableRow) -> Self {
        Self {
            table: row.table,
            row: row.row,
            reason: row.reason,
        }
    }
}

impl From<SealedField> for wire::SealedField {
    fn from(field: SealedField) -> Self {
        Self {
            sealed: field.sealed,
            key_version: version(field.key_version),
        }
    }
}

#[cfg(test)]
mod tests;
