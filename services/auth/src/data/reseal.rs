//! Seals seeds anew. The data keys stay with tenancy: it opens and seals.

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::common::v1 as holder;
use causeway_contracts::tenancy::v1 as wire;
use causeway_errors::ApiError;
use tonic::Status;
use zeroize::Zeroizing;

use super::AuthData;
use crate::domain::SealedSeed;
use crate::error::AuthError;
use crate::sealer::{COLUMN, PURPOSE, TABLE, VERSION};

/// The most that the key service takes at once.
const MOST: usize = 1000;

fn place(user: UserId) -> wire::FieldPlace {
    wire::FieldPlace {
        table: TABLE.to_owned(),
        column: COLUMN.to_owned(),
        row: user.to_string(),
        version: VERSION,
        purpose: PURPOSE.to_owned(),
    }
}

fn stored(error: crate::store::StoreError) -> Status {
    ApiError::from(AuthError::from(error)).into()
}

impl AuthData {
    /// Seals a part of the workspace's seeds under the newest key.
    pub(super) async fn reseal(
        &self,
        workspace: WorkspaceId,
        to: i32,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<holder::ReencryptResponse, Status> {
        let limit = limit.clamp(1, MOST);
        let seeds = self
            .store
            .seeds_below(workspace, to, after, limit)
            .await
            .map_err(stored)?;
        let next_cursor = match seeds.last() {
            Some((last, _)) if seeds.len() == limit => last.to_string(),
            Some(_) | None => String::new(),
        };
        let mut answer = holder::ReencryptResponse {
            next_cursor,
            ..holder::ReencryptResponse::default()
        };
        if seeds.is_empty() {
            return Ok(answer);
        }
        let opened = self.open(workspace, &seeds).await?;
        let mut readable = Vec::with_capacity(seeds.len());
        for ((user, sealed), plaintext) in seeds.into_iter().zip(opened) {
            match plaintext {
                Some(plaintext) => readable.push((user, sealed, plaintext)),
                None => answer.unreadable.push(holder::Unreadable {
                    table: TABLE.to_owned(),
                    row: user.to_string(),
                    reason: "DECRYPTION_FAILED".to_owned(),
                }),
            }
        }
        if readable.is_empty() {
            return Ok(answer);
        }
        let sealed = self.seal(workspace, &readable).await?;
        for ((user, before, _), after) in readable.iter().zip(sealed) {
            let replaced = self
                .store
                .reseal_seed(workspace, *user, before, &after)
                .await
                .map_err(stored)?;
            *if replaced {
                &mut answer.resealed
            } else {
                &mut answer.skipped
            } += 1;
        }
        Ok(answer)
    }

    async fn open(
        &self,
        workspace: WorkspaceId,
        seeds: &[(UserId, SealedSeed)],
    ) -> Result<Vec<Option<Zeroizing<Vec<u8>>>>, Status> {
        let fields = seeds.iter().map(|(user, seed)| wire::FieldToOpen {
            place: Some(place(*user)),
            sealed: seed.sealed.clone(),
        });
        let request = wire::OpenFieldsRequest {
            workspace_id: workspace.to_string(),
            fields: fields.collect(),
        };
        let fields = self.keys.clone().open_fields(request).await?.into_inner().fields;
        if fields.len() != seeds.len() {
            return Err(ApiError::internal().into());
        }
        Ok(fields
            .into_iter()
            .map(|field| field.plaintext.map(Zeroizing::new))
            .collect())
    }

    async fn seal(
        &self,
        workspace: WorkspaceId,
        seeds: &[(UserId, SealedSeed, Zeroizing<Vec<u8>>)],
    ) -> Result<Vec<SealedSeed>, Status> {
        let fields = seeds.iter().map(|(user, _, plaintext)| wire::FieldToSeal {
            place: Some(place(*user)),
            plaintext: plaintext.to_vec(),
        });
        let request = wire::SealFieldsRequest {
            workspace_id: workspace.to_string(),
            fields: fields.collect(),
        };
        let fields = self.keys.clone().seal_fields(request).await?.into_inner().fields;
        if fields.len() != seeds.len() {
            return Err(ApiError::internal().into());
        }
        Ok(fields
            .into_iter()
            .map(|field| SealedSeed {
                sealed: field.sealed,
                key_version: field.key_version,
            })
            .collect())
    }
}
