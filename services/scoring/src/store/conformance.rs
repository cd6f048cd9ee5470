//! What every store of models, decisions and outcomes must do: one suite, one visible test per case and engine.

mod outcomes;

use std::sync::Arc;

use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, Role, method};
use causeway_outbox::{OutboxEvent, OutboxStore};
use chrono::DateTime;
pub(crate) use outcomes::*;
use uuid::Uuid;

use super::{Receipt, ScoringStore, StoreError};
use crate::beta::{Beta, Outcome};
use crate::decision::{Choice, NotShown, Recommendation, Response, tests::recommendation};
use crate::id::{ModelId, RecommendationId};
use crate::model::{Model, tests::draft};

/// Runs the suite on the stores of `$fresh`, an async function that answers a store and its outbox.
#[macro_export]
macro_rules! scoring_store_conformance {
    ($fresh:path) => {
        $crate::scoring_store_conformance!(@cases $fresh:
            models_are_listed_oldest_first_in_pages, a_deleted_model_is_gone_and_its_decisions_stay,
            other_workspaces_see_nothing, a_decision_is_found_as_it_was_made, an_outcome_moves_its_arm_only,
            a_key_counts_once, a_key_of_another_outcome_is_refused, without_a_key_a_repeat_counts_once,
            an_option_that_was_not_shown_is_refused_and_spends_no_key, an_early_outcome_is_joined_when_its_decision_comes,
            an_early_outcome_of_a_foreign_decision_is_not_joined, an_early_outcome_of_no_option_blocks_nothing,
            a_repeat_of_a_parked_outcome_counts_once, an_outcome_of_a_deleted_model_is_kept,
            one_key_at_once_counts_once, many_keys_at_once_all_count, a_change_and_its_event_are_one_step
        );
    };
    (@cases $fresh:path: $($case:ident),+) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (store, outbox) = $fresh().await;
            let (store, outbox) = (std::sync::Arc::new(store), std::sync::Arc::new(outbox));
            $crate::store::conformance::$case($crate::store::conformance::Bench::new(store, outbox)).await;
        }
    )+ };
}

/// A store, its outbox and a workspace.
#[derive(Clone)]
pub(crate) struct Bench {
    store: Arc<dyn ScoringStore>,
    outbox: Arc<dyn OutboxStore>,
    workspace: WorkspaceId,
}

pub(crate) fn event(workspace: WorkspaceId, rpc: &str) -> OutboxEvent {
    let caller = Caller::person(
        CallerKind::User,
        UserId::generate(),
        workspace,
        &[Role::Editor],
        &[],
        String::new(),
    );
    let method = method(&format!("/causeway.scoring.v1.ScoringService/{rpc}")).unwrap();
    let ctx = CallContext::new(caller, method, RequestId::generate(), DateTime::UNIX_EPOCH);
    OutboxEvent::of(&ctx).unwrap()
}

fn by_rank(rank: usize) -> Choice {
    Choice {
        rank: Some(rank),
        offer_id: None,
    }
}

fn by_offer(offer: &str) -> Choice {
    Choice {
        rank: None,
        offer_id: Some(offer.to_owned()),
    }
}

fn response(id: RecommendationId, choice: Choice, key: Option<&str>) -> Response {
    Response {
        recommendation: id,
        choice,
        outcome: Outcome::Positive,
        value: None,
        at: DateTime::UNIX_EPOCH,
        idempotency_key: key.map(str::to_owned),
    }
}

impl Bench {
    pub(crate) fn new(store: Arc<dyn ScoringStore>, outbox: Arc<dyn OutboxStore>) -> Self {
        Self {
            store,
            outbox,
            workspace: WorkspaceId::generate(),
        }
    }

    fn elsewhere(&self) -> Self {
        Self {
            workspace: WorkspaceId::generate(),
            ..self.clone()
        }
    }

    fn event(&self, rpc: &str) -> OutboxEvent {
        event(self.workspace, rpc)
    }

    async fn model(&self, offers: &[&str]) -> ModelId {
        let model = draft(offers).into_model(DateTime::UNIX_EPOCH).unwrap();
        let id = model.id;
        self.store
            .insert_model(self.workspace, model, self.event("CreateModel"))
            .await
            .unwrap();
        id
    }

    async fn read(&self, id: ModelId) -> Model {
        self.store.model(self.workspace, id).await.unwrap().unwrap()
    }

    async fn decide(&self, model: ModelId, offers: &[&str]) -> RecommendationId {
        self.insert(recommendation(model, offers)).await
    }

    async fn insert(&self, made: Recommendation) -> RecommendationId {
        let id = made.id;
        self.store
            .insert_recommendation(self.workspace, made, self.event("Recommend"))
            .await
            .unwrap();
        id
    }

    async fn respond(&self, response: Response) -> Result<Receipt, StoreError> {
        self.store
            .respond(self.workspace, response, self.event("Respond"))
            .await
    }

    async fn actions(&self) -> Vec<String> {
        let events = self.outbox.unsent(1000).await.unwrap();
        events
            .into_iter()
            .filter(|event| event.workspace == self.workspace)
            .map(|event| event.action)
            .collect()
    }
}

pub(crate) async fn models_are_listed_oldest_first_in_pages(bench: Bench) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bench.model(&["a"]).await);
    }
    let page = async |after, limit| -> Vec<ModelId> {
        let models = bench.store.models(bench.workspace, after, limit).await.unwrap();
        models.into_iter().map(|model| model.id).collect()
    };
    assert_eq!(page(None, 9).await, ids);
    assert_eq!(page(None, 2).await, ids[..2]);
    assert_eq!(page(Some(ids[1]), 2).await, ids[2..4]);
    assert!(page(Some(ids[4]), 2).await.is_empty());
}

pub(crate) async fn a_deleted_model_is_gone_and_its_decisions_stay(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let id = bench.decide(model, &["a"]).await;
    let delete = || {
        bench
            .store
            .delete_model(bench.workspace, model, bench.event("DeleteModel"))
    };
    assert!(delete().await.unwrap());
    assert!(!delete().await.unwrap());
    assert_eq!(bench.store.model(bench.workspace, model).await.unwrap(), None);
    assert!(
        bench
            .store
            .recommendation(bench.workspace, id)
            .await
            .unwrap()
            .is_some()
    );
    let expected = ["scoring.model_created", "decision.made", "scoring.model_deleted"];
    assert_eq!(
        bench.actions().await,
        expected,
        "a delete of nothing leaves no event"
    );
}

pub(crate) async fn other_workspaces_see_nothing(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let id = bench.decide(model, &["a"]).await;
    let other = bench.elsewhere();
    assert!(
        other
            .store
            .models(other.workspace, None, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(other.store.model(other.workspace, model).await.unwrap(), None);
    assert_eq!(
        other.store.recommendation(other.workspace, id).await.unwrap(),
        None
    );
    let delete = other
        .store
        .delete_model(other.workspace, model, other.event("DeleteModel"));
    assert!(!delete.await.unwrap());
    assert_eq!(
        other.respond(response(id, by_rank(1), None)).await.unwrap(),
        Receipt::Parked
    );
    assert_eq!(bench.read(model).await.version, 0);
}

pub(crate) async fn a_decision_is_found_as_it_was_made(bench: Bench) {
    let model = bench.model(&["a", "b", "c"]).await;
    let mut made = recommendation(model, &["c", "a", "b"]);
    made.shown.truncate(2);
    let id = bench.insert(made.clone()).await;
    assert_eq!(
        bench.store.recommendation(bench.workspace, id).await.unwrap(),
        Some(made)
    );
    let shown: Vec<u64> = bench.read(model).await.arms.iter().map(|arm| arm.shown).collect();
    assert_eq!((shown, bench.read(model).await.version), (vec![1, 0, 1], 0));
}

pub(crate) async fn a_change_and_its_event_are_one_step(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let id = bench.decide(model, &["a"]).await;
    bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    bench
        .respond(response(RecommendationId(Uuid::now_v7()), by_rank(1), None))
        .await
        .unwrap();
    bench.respond(response(id, by_rank(9), None)).await.unwrap_err();
    let events = bench.outbox.unsent(1000).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.action == "decision.responded")
        .map(|event| (event.details["counted"] == true, event.details["parked"] == true))
        .collect();
    assert_eq!(
        told,
        [(true, false), (false, false), (false, true)],
        "a refused response leaves no event"
    );
}
