//! The RPCs: decode, one step of the store, encode.

use std::pin::Pin;
use std::sync::Arc;

use causeway_context::UserId;
use causeway_contracts::auth::v1::auth_data_service_server::AuthDataService;
use causeway_contracts::auth::v1::{FindAddressesRequest, FindAddressesResponse};
use causeway_contracts::common::v1 as wire;
use causeway_errors::ApiError;
use causeway_holder::{Tombstone, workspace};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::{AuthData, HOLDING};
use crate::error::AuthError;
use crate::store::StoreError;

/// Parts that wait for whoever takes them.
const AHEAD: usize = 4;

type Answer<T> = Result<Response<T>, Status>;

fn failed(error: StoreError) -> Status {
    ApiError::from(AuthError::from(error)).into()
}

fn user(field: &'static str, text: &str) -> Result<UserId, ApiError> {
    text.parse()
        .map_err(|error: causeway_context::IdError| ApiError::invalid(field, error.to_string()))
}

#[tonic::async_trait]
impl AuthDataService for AuthData {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<wire::ExportResponse, Status>> + Send>>;

    async fn reencrypt(&self, request: Request<wire::ReencryptRequest>) -> Answer<wire::ReencryptResponse> {
        let request = request.into_inner();
        let workspace = workspace(&request.workspace_id)?;
        let after = Some(request.cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let after = after.map(|cursor| user("cursor", cursor)).transpose()?;
        let limit = usize::try_from(request.limit).unwrap_or_default();
        let answer = self.reseal(workspace, request.to_version, after, limit).await?;
        Ok(Response::new(answer))
    }

    async fn raise_fence(
        &self,
        request: Request<wire::RaiseFenceRequest>,
    ) -> Answer<wire::RaiseFenceResponse> {
        let request = request.into_inner();
        let workspace = workspace(&request.workspace_id)?;
        let raised = self
            .store
            .raise_seed_fence(workspace, request.min_write_version)
            .await;
        raised.map_err(failed)?;
        Ok(Response::new(wire::RaiseFenceResponse {}))
    }

    async fn count_below(
        &self,
        request: Request<wire::CountBelowRequest>,
    ) -> Answer<wire::CountBelowResponse> {
        let request = request.into_inner();
        let workspace = workspace(&request.workspace_id)?;
        let (rows, below) = self
            .store
            .count_seeds_below(workspace, request.version)
            .await
            .map_err(failed)?;
        let tables = HOLDING.sealed().map(|(table, _)| wire::SealedTable {
            table: HOLDING.qualified(table),
            rows: i64::try_from(rows).unwrap_or(i64::MAX),
            below: i64::try_from(below).unwrap_or(i64::MAX),
        });
        Ok(Response::new(wire::CountBelowResponse {
            tables: tables.collect(),
        }))
    }

    async fn erase(&self, request: Request<wire::EraseRequest>) -> Answer<wire::EraseResponse> {
        let tombstone = Tombstone::try_from(request.into_inner())?;
        let applied = self
            .store
            .apply_tombstone(&tombstone, (self.clock)())
            .await
            .map_err(failed)?;
        Ok(Response::new(wire::EraseResponse {
            tables: applied.erased.into_iter().map(Into::into).collect(),
            leaver_user_ids: Vec::new(),
        }))
    }

    async fn export(&self, request: Request<wire::ExportRequest>) -> Answer<Self::ExportStream> {
        let request = request.into_inner();
        let workspace = workspace(&request.workspace_id)?;
        let snapshot = Some(request.snapshot).filter(|name| !name.is_empty());
        let (parts, taken) = mpsc::channel(AHEAD);
        let store = Arc::clone(&self.store);
        let sending = async move { store.send_rows(workspace, snapshot, parts).await };
        let answers = causeway_holder::parts(sending, taken);
        Ok(Response::new(Box::pin(
            answers.map(|part| part.map(Into::into).map_err(failed)),
        )))
    }

    async fn find_addresses(&self, request: Request<FindAddressesRequest>) -> Answer<FindAddressesResponse> {
        let user = user("user_id", &request.get_ref().user_id)?;
        let address = self.store.address_of(user).await.map_err(failed)?;
        Ok(Response::new(FindAddressesResponse {
            addresses: address.into_iter().collect(),
        }))
    }
}
