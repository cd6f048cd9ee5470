//! The RPCs, as a client of the mesh sees them.

mod models;
mod recommend;
mod respond;

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::scoring::v1 as wire;
use causeway_contracts::scoring::v1::scoring_service_server::ScoringService as _;
use causeway_contracts::{CallerKind, Role, from_struct, method, to_struct};
use causeway_errors::{ApiError, Code};
use causeway_outbox::{MemoryOutbox, OutboxStore as _, RelayHandle};
use chrono::DateTime;
use serde_json::{Value, json};
use tonic::Request;
use uuid::Uuid;

use crate::beta::Beta;
use crate::decision::{Seed, draw, ranking};
use crate::grpc::ScoringRpc;
use crate::service::Decisions;
use crate::store::MemoryScoringStore;

struct Bench {
    rpc: ScoringRpc,
    outbox: MemoryOutbox,
    user: UserId,
    workspace: WorkspaceId,
}

fn bench() -> Bench {
    let outbox = MemoryOutbox::default();
    let store = Arc::new(MemoryScoringStore::new(outbox.clone()));
    let rpc = ScoringRpc(Decisions::new(store, RelayHandle::detached()));
    Bench {
        rpc,
        outbox,
        user: UserId::generate(),
        workspace: WorkspaceId::generate(),
    }
}

impl Bench {
    fn ask<T>(&self, rpc: &str, message: T) -> Request<T> {
        self.ask_in(self.workspace, rpc, message)
    }

    fn ask_in<T>(&self, workspace: WorkspaceId, rpc: &str, message: T) -> Request<T> {
        let caller = Caller::person(
            CallerKind::User,
            self.user,
            workspace,
            &[Role::Editor],
            &[],
            String::new(),
        );
        let method = method(&format!("/causeway.scoring.v1.ScoringService/{rpc}")).unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut request = Request::new(message);
        request
            .extensions_mut()
            .insert(CallContext::new(caller, method, RequestId::generate(), now));
        request
    }

    async fn create(&self, offers: &[&str]) -> wire::Model {
        let request = self.ask("CreateModel", create(offers));
        self.rpc
            .create_model(request)
            .await
            .unwrap()
            .into_inner()
            .model
            .unwrap()
    }

    async fn state(&self, model_id: &str) -> wire::GetModelStateResponse {
        let request = wire::GetModelStateRequest {
            id: model_id.to_owned(),
        };
        self.rpc
            .get_model_state(self.ask("GetModelState", request))
            .await
            .unwrap()
            .into_inner()
    }

    async fn recommend(&self, request: wire::RecommendRequest) -> Result<wire::RecommendResponse, ApiError> {
        let answer = self.rpc.recommend(self.ask("Recommend", request)).await;
        answer.map(tonic::Response::into_inner).map_err(ApiError::from)
    }

    async fn respond(&self, request: wire::RespondRequest) -> Result<wire::RespondResponse, ApiError> {
        let answer = self.rpc.respond(self.ask("Respond", request)).await;
        answer.map(tonic::Response::into_inner).map_err(ApiError::from)
    }
}

fn create(offers: &[&str]) -> wire::CreateModelRequest {
    let offer = |id: &&str| wire::Offer {
        offer_id: (*id).to_owned(),
        name: String::new(),
    };
    wire::CreateModelRequest {
        name: "banner".to_owned(),
        kind: "thompson".to_owned(),
        offers: offers.iter().map(offer).collect(),
        ..Default::default()
    }
}

fn recommend(model: &wire::Model) -> wire::RecommendRequest {
    wire::RecommendRequest {
        customer_id: "c1".to_owned(),
        model_id: model.id.clone(),
        ..Default::default()
    }
}

fn among(model: &wire::Model, offers: &[&str]) -> wire::RecommendRequest {
    let candidate = |id: &&str| wire::Candidate {
        offer_id: (*id).to_owned(),
        features: None,
    };
    wire::RecommendRequest {
        candidates: offers.iter().map(candidate).collect(),
        ..recommend(model)
    }
}

fn positive(recommendation_id: &str, rank: i32) -> wire::RespondRequest {
    wire::RespondRequest {
        recommendation_id: recommendation_id.to_owned(),
        rank,
        outcome: "positive".to_owned(),
        ..Default::default()
    }
}

fn fields(error: &ApiError) -> Vec<&str> {
    error
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect()
}
