//! What the service does with tenants' data on behalf of keys, erasures and exports. Only tenancy calls it. Nothing here
//! is sealed.

use std::pin::Pin;
use std::sync::Arc;

use causeway_contracts::common::v1 as wire;
use causeway_contracts::scoring::v1::scoring_data_service_server::ScoringDataService;
use causeway_errors::ApiError;
use causeway_holder::{PartBuilder, Tombstone, workspace};
use futures::Stream;
use futures::stream;
use tonic::{Request, Response, Status};

use crate::store::ScoringStore;

/// The RPCs of tenants' data.
pub(crate) struct ScoringData(pub(crate) Arc<dyn ScoringStore>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ScoringDataService for ScoringData {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<wire::ExportResponse, Status>> + Send>>;

    async fn reencrypt(&self, _request: Request<wire::ReencryptRequest>) -> Answer<wire::ReencryptResponse> {
        Ok(Response::new(wire::ReencryptResponse::default()))
    }

    async fn raise_fence(
        &self,
        _request: Request<wire::RaiseFenceRequest>,
    ) -> Answer<wire::RaiseFenceResponse> {
        Ok(Response::new(wire::RaiseFenceResponse {}))
    }

    async fn count_below(
        &self,
        _request: Request<wire::CountBelowRequest>,
    ) -> Answer<wire::CountBelowResponse> {
        Ok(Response::new(wire::CountBelowResponse::default()))
    }

    async fn erase(&self, request: Request<wire::EraseRequest>) -> Answer<wire::EraseResponse> {
        let tombstone = Tombstone::try_from(request.into_inner())?;
        let erased = self.0.erase(&tombstone).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::EraseResponse {
            tables: erased.into_iter().map(Into::into).collect(),
            leaver_user_ids: Vec::new(),
        }))
    }

    async fn export(&self, request: Request<wire::ExportRequest>) -> Answer<Self::ExportStream> {
        let workspace = workspace(&request.get_ref().workspace_id)?;
        let tables = self.0.rows(workspace).await.map_err(ApiError::from)?;
        let mut parts = Vec::new();
        for (table, rows) in tables {
            let mut builder = PartBuilder::new(table.to_owned());
            for row in rows {
                parts.extend(builder.push(&row.to_string()));
            }
            parts.extend(builder.finish());
        }
        let parts = parts.into_iter().map(|part| Ok(part.into()));
        Ok(Response::new(Box::pin(stream::iter(parts))))
    }
}
