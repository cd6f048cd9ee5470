//! The generated server trait: decode, one use case, encode.

use causeway_context::CallContext;
use causeway_contracts::scoring::v1 as wire;
use causeway_contracts::scoring::v1::scoring_service_server::ScoringService;
use tonic::{Request, Response, Status};

use crate::service::Decisions;
use crate::wire::{
    ask, decision, draft, model, model_id, page, receipt, recommendation, recommendation_id, response, state,
};

/// The RPCs of decisions.
pub(crate) struct ScoringRpc(pub(crate) Decisions);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ScoringService for ScoringRpc {
    async fn create_model(
        &self,
        request: Request<wire::CreateModelRequest>,
    ) -> Answer<wire::CreateModelResponse> {
        let ctx = CallContext::of(&request)?;
        let made = self.0.create_model(&ctx, draft(request.into_inner())).await?;
        Ok(Response::new(wire::CreateModelResponse {
            model: Some(model(&made)),
        }))
    }

    async fn list_models(
        &self,
        request: Request<wire::ListModelsRequest>,
    ) -> Answer<wire::ListModelsResponse> {
        let ctx = CallContext::of(&request)?;
        let (after, size) = page(request.get_ref())?;
        let (models, next) = self.0.models(&ctx, after, size).await?;
        Ok(Response::new(wire::ListModelsResponse {
            models: models.iter().map(model).collect(),
            next_page_token: next.map(|next| next.to_string()).unwrap_or_default(),
        }))
    }

    async fn get_model(&self, request: Request<wire::GetModelRequest>) -> Answer<wire::GetModelResponse> {
        let ctx = CallContext::of(&request)?;
        let found = self.0.model(&ctx, model_id("id", &request.get_ref().id)?).await?;
        Ok(Response::new(wire::GetModelResponse {
            model: Some(model(&found)),
        }))
    }

    async fn delete_model(
        &self,
        request: Request<wire::DeleteModelRequest>,
    ) -> Answer<wire::DeleteModelResponse> {
        let ctx = CallContext::of(&request)?;
        self.0
            .delete_model(&ctx, model_id("id", &request.get_ref().id)?)
            .await?;
        Ok(Response::new(wire::DeleteModelResponse {}))
    }

    async fn get_model_state(
        &self,
        request: Request<wire::GetModelStateRequest>,
    ) -> Answer<wire::GetModelStateResponse> {
        let ctx = CallContext::of(&request)?;
        let found = self.0.model(&ctx, model_id("id", &request.get_ref().id)?).await?;
        Ok(Response::new(state(&found)))
    }

    async fn recommend(&self, request: Request<wire::RecommendRequest>) -> Answer<wire::RecommendResponse> {
        let ctx = CallContext::of(&request)?;
        let made = self.0.recommend(&ctx, ask(request.into_inner())?).await?;
        Ok(Response::new(recommendation(&made)))
    }

    async fn respond(&self, request: Request<wire::RespondRequest>) -> Answer<wire::RespondResponse> {
        let ctx = CallContext::of(&request)?;
        let response = response(&ctx, request.into_inner())?;
        Ok(Response::new(receipt(self.0.respond(&ctx, response).await?)))
    }

    async fn get_decision(
        &self,
        request: Request<wire::GetDecisionRequest>,
    ) -> Answer<wire::GetDecisionResponse> {
        let ctx = CallContext::of(&request)?;
        let made = self
            .0
            .decision(&ctx, recommendation_id("id", &request.get_ref().id)?)
            .await?;
        Ok(Response::new(decision(&made)))
    }
}
