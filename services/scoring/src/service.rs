//! The use cases of decisions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use causeway_context::CallContext;
use causeway_errors::{ApiError, Violation};
use causeway_outbox::{OutboxEvent, RelayHandle};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::beta::Beta;
use crate::decision::{Candidate, Occasion, Recommendation, Response, Seed, Shown, draw, ranking};
use crate::id::{ModelId, RecommendationId};
use crate::model::{Draft, Model};
use crate::propensity::{Propensities, propensities};
use crate::store::{Receipt, ScoringStore};

/// Propensities of more options than this are computed off the threads that serve requests.
const MANY: usize = 64;
/// How many models' propensities are remembered.
const REMEMBERED: usize = 1024;

/// The decisions of all workspaces.
#[derive(Clone)]
pub struct Decisions {
    store: Arc<dyn ScoringStore>,
    relay: RelayHandle,
    remembered: Arc<Mutex<HashMap<ModelId, Remembered>>>,
}

/// The propensities of a model's latest decision: good until it learns, for the same options.
struct Remembered {
    version: u64,
    positions: Vec<usize>,
    propensities: Arc<Propensities>,
}

/// A decision to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// By which model.
    pub model: ModelId,
    /// For whom and where.
    pub occasion: Occasion,
    /// Which options and what is known of them; all of the model when empty.
    pub candidates: Vec<(String, Map<String, Value>)>,
    /// How many to show.
    pub limit: usize,
    /// Whether to tell how the ranking came about.
    pub debug: bool,
}

impl Decisions {
    /// The decisions in that store, whose outbox that relay carries.
    pub fn new(store: Arc<dyn ScoringStore>, relay: RelayHandle) -> Self {
        Self {
            store,
            relay,
            remembered: Arc::default(),
        }
    }

    /// Makes a model.
    ///
    /// # Errors
    /// A violation per field that is wrong.
    pub async fn create_model(&self, ctx: &CallContext, draft: Draft) -> Result<Model, ApiError> {
        let model = draft.into_model(ctx.now)?;
        let event = OutboxEvent::of(ctx)?
            .target("scoring_model", model.id.to_string())
            .detail("kind", crate::model::THOMPSON)
            .detail("offers", model.offers.len());
        let id = event.id;
        self.store
            .insert_model(ctx.workspace()?, model.clone(), event)
            .await?;
        self.relay.delivered(id).await;
        Ok(model)
    }

    /// A page of models, and where the next one starts.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the store does not answer, as for all that follow.
    pub async fn models(
        &self,
        ctx: &CallContext,
        after: Option<ModelId>,
        page_size: usize,
    ) -> Result<(Vec<Model>, Option<ModelId>), ApiError> {
        let mut models = self.store.models(ctx.workspace()?, after, page_size + 1).await?;
        let more = models.len() > page_size;
        models.truncate(page_size);
        let next = models.last().map(|model| model.id).filter(|_| more);
        Ok((models, next))
    }

    /// A model and what it has learnt.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`, also for a model of another workspace.
    pub async fn model(&self, ctx: &CallContext, id: ModelId) -> Result<Model, ApiError> {
        self.store
            .model(ctx.workspace()?, id)
            .await?
            .ok_or_else(model_not_found)
    }

    /// Forgets a model; its decisions stay.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`, also for a model of another workspace.
    pub async fn delete_model(&self, ctx: &CallContext, id: ModelId) -> Result<(), ApiError> {
        let event = OutboxEvent::of(ctx)?.target("scoring_model", id.to_string());
        let fact = event.id;
        if !self.store.delete_model(ctx.workspace()?, id, event).await? {
            return Err(model_not_found());
        }
        self.relay.delivered(fact).await;
        Ok(())
    }

    /// Ranks options by draws from what the model believes of them.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND`; a violation per candidate that is not an option of the model.
    pub async fn recommend(&self, ctx: &CallContext, ask: Ask) -> Result<Recommendation, ApiError> {
        let workspace = ctx.workspace()?;
        let model = self.model(ctx, ask.model).await?;
        let positions = positions(&model, &ask.candidates)?;
        let recommendation = self.decide(ctx, &model, positions, ask).await?;
        let event = OutboxEvent::of(ctx)?
            .target("recommendation", recommendation.id.to_string())
            .detail("model_id", model.id.to_string())
            .detail("model_version", model.version)
            .detail(
                "offer_id",
                recommendation.at_rank(1).map(|first| first.offer_id.clone()),
            );
        let fact = event.id;
        self.store
            .insert_recommendation(workspace, recommendation.clone(), event)
            .await?;
        self.relay.delivered(fact).await;
        Ok(recommendation)
    }

    async fn decide(
        &self,
        ctx: &CallContext,
        model: &Model,
        positions: Vec<usize>,
        ask: Ask,
    ) -> Result<Recommendation, ApiError> {
        let id = RecommendationId::generate();
        let seed = Seed::of(id, model.id);
        let beliefs: Vec<Beta> = positions
            .iter()
            .filter_map(|position| model.arms.get(*position))
            .map(|arm| arm.belief)
            .collect();
        let scores = draw(seed, &beliefs);
        let shown = ranking(&scores)
            .into_iter()
            .take(ask.limit)
            .map(|candidate| Shown {
                decision_id: Uuid::now_v7(),
                candidate,
            })
            .collect();
        let propensities = self.propensities(model, &positions, &beliefs, seed).await?;
        let mut features: Vec<Map<String, Value>> =
            ask.candidates.into_iter().map(|(_, features)| features).collect();
        features.resize(positions.len(), Map::new());
        let candidates = positions
            .iter()
            .zip(features)
            .zip(beliefs.iter().zip(&scores).zip(&propensities.values))
            .map(
                |((position, features), ((belief, score), propensity))| Candidate {
                    offer_id: model.offers[*position].id.clone(),
                    features,
                    belief: *belief,
                    score: *score,
                    propensity: *propensity,
                },
            )
            .collect();
        Ok(Recommendation {
            id,
            model: model.id,
            model_version: model.version,
            occasion: ask.occasion,
            seed,
            candidates,
            shown,
            propensity_kind: propensities.kind,
            debug: ask.debug,
            made_at: ctx.now,
        })
    }

    async fn propensities(
        &self,
        model: &Model,
        positions: &[usize],
        beliefs: &[Beta],
        seed: Seed,
    ) -> Result<Arc<Propensities>, ApiError> {
        if let Some(known) = self.remembered().get(&model.id)
            && known.version == model.version
            && known.positions == positions
        {
            return Ok(Arc::clone(&known.propensities));
        }
        let found = if beliefs.len() > MANY {
            let beliefs = beliefs.to_vec();
            let computed =
                tokio::task::spawn_blocking(move || propensities(&beliefs, &mut seed.other_draws())).await;
            computed.map_err(|error| {
                let answer = ApiError::internal();
                tracing::error!(error_id = %answer.error_id, error = &error as &dyn std::error::Error, "compute propensities");
                answer
            })?
        } else {
            propensities(beliefs, &mut seed.other_draws())
        };
        let propensities = Arc::new(found);
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        let entry = Remembered {
            version: model.version,
            positions: positions.to_vec(),
            propensities: Arc::clone(&propensities),
        };
        remembered.insert(model.id, entry);
        Ok(propensities)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<ModelId, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what came of a decision, and lets its model learn from it at once.
    ///
    /// # Errors
    /// A violation on `rank` or `offer_id` when the decision showed no such option; `IDEMPOTENCY_KEY_REUSED`.
    pub async fn respond(&self, ctx: &CallContext, response: Response) -> Result<Receipt, ApiError> {
        let event = OutboxEvent::of(ctx)?
            .target("recommendation", response.recommendation.to_string())
            .detail("outcome", response.outcome.as_str());
        let fact = event.id;
        let receipt = self.store.respond(ctx.workspace()?, response, event).await?;
        self.relay.delivered(fact).await;
        Ok(receipt)
    }

    /// A decision as it was made.
    ///
    /// # Errors
    /// `DECISION_NOT_FOUND`, also for a decision of another workspace.
    pub async fn decision(
        &self,
        ctx: &CallContext,
        id: RecommendationId,
    ) -> Result<Recommendation, ApiError> {
        let found = self.store.recommendation(ctx.workspace()?, id).await?;
        found.ok_or_else(|| ApiError::not_found("DECISION_NOT_FOUND", "there is no such decision"))
    }
}

/// Where the candidates stand among the model's options; all of them when there are none.
fn positions(model: &Model, candidates: &[(String, Map<String, Value>)]) -> Result<Vec<usize>, ApiError> {
    if candidates.is_empty() {
        return Ok((0..model.offers.len()).collect());
    }
    let known: HashMap<&str, usize> = model
        .offers
        .iter()
        .enumerate()
        .map(|(position, offer)| (offer.id.as_str(), position))
        .collect();
    let mut violations = Vec::new();
    let mut positions = Vec::with_capacity(candidates.len());
    for (index, (offer_id, _)) in candidates.iter().enumerate() {
        match known.get(offer_id.as_str()) {
            Some(position) => positions.push(*position),
            None => violations.push(Violation {
                field: format!("candidates[{index}].offer_id"),
                description: "is not an option of the model".to_owned(),
            }),
        }
    }
    if violations.is_empty() {
        Ok(positions)
    } else {
        Err(ApiError::violations(violations))
    }
}

fn model_not_found() -> ApiError {
    ApiError::not_found("MODEL_NOT_FOUND", "there is no such model")
}
