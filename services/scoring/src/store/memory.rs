//! Models, decisions and outcomes in memory.

mod data;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_holder::{ErasedRows, Tombstone};
use causeway_outbox::{MemoryOutbox, OutboxEvent};

use super::{Receipt, Rows, ScoringStore, StoreError};
use crate::beta::Outcome;
use crate::decision::{Choice, Recommendation, Response};
use crate::id::{ModelId, RecommendationId};
use crate::model::Model;

/// How many outcomes of a workspace may wait for decisions.
const MAX_PARKED: usize = 100_000;

/// A store that ends with the process. Each workspace has a lock of its own.
#[derive(Debug, Default)]
pub struct MemoryScoringStore {
    workspaces: Mutex<Workspaces>,
    outbox: MemoryOutbox,
}

#[derive(Debug, Default)]
struct Workspaces {
    data: HashMap<WorkspaceId, Arc<Mutex<Data>>>,
    /// Those that were erased: a token may outlive its workspace and must not bring it back.
    erased: HashSet<WorkspaceId>,
    /// What was done for each tombstone.
    applied: BTreeMap<i64, Vec<ErasedRows>>,
}

#[derive(Debug, Default)]
struct Data {
    models: BTreeMap<ModelId, Model>,
    recommendations: HashMap<RecommendationId, Recommendation>,
    /// Every response that was ever taken.
    responses: HashMap<Once, Response>,
    /// In the order in which they came.
    parked: HashMap<RecommendationId, Vec<Once>>,
    parked_count: usize,
}

/// By what a response counts once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Once {
    Key(String),
    Outcome(RecommendationId, String, Outcome),
    /// Without a key and with an option that is not known before the decision is.
    Parked(RecommendationId, Choice, Outcome),
}

impl MemoryScoringStore {
    /// A store whose changes put their events into that outbox.
    pub fn new(outbox: MemoryOutbox) -> Self {
        Self {
            workspaces: Mutex::default(),
            outbox,
        }
    }

    fn with<T>(&self, workspace: WorkspaceId, work: impl FnOnce(&mut Data) -> T) -> Result<T, StoreError> {
        let data = {
            let mut workspaces = lock(&self.workspaces);
            if workspaces.erased.contains(&workspace) {
                return Err(StoreError::Erased);
            }
            workspaces.data.entry(workspace).or_default().clone()
        };
        Ok(work(&mut lock(&data)))
    }

    fn read<T: Default>(&self, workspace: WorkspaceId, work: impl FnOnce(&Data) -> T) -> T {
        let data = lock(&self.workspaces).data.get(&workspace).cloned();
        data.map(|data| work(&lock(&data))).unwrap_or_default()
    }
}

/// Data are changed only by code that does not panic between its steps, so a poisoned lock guards whole data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Data {
    fn respond(&mut self, response: Response) -> Result<Receipt, StoreError> {
        let id = response.recommendation;
        if let Some(key) = &response.idempotency_key
            && let Some(first) = self.responses.get(&Once::Key(key.clone()))
        {
            return self.repeat(first, &response);
        }
        let Some(recommendation) = self.recommendations.get(&id) else {
            return self.park(response);
        };
        let offer = recommendation.choose(&response.choice)?.to_owned();
        let once = match response.idempotency_key.clone() {
            Some(key) => Once::Key(key),
            None => Once::Outcome(id, offer.clone(), response.outcome),
        };
        if self.responses.contains_key(&once) {
            return Ok(self.unchanged(recommendation));
        }
        let receipt = self.learn(id, &offer, response.outcome);
        self.responses.insert(once, response);
        Ok(receipt)
    }

    /// The answer to a response whose key was seen.
    fn repeat(&self, first: &Response, again: &Response) -> Result<Receipt, StoreError> {
        let recommendation = self.recommendations.get(&first.recommendation);
        let same_choice = match recommendation {
            // By rank and by id may be the same option.
            Some(made) => made.choose(&first.choice).ok() == made.choose(&again.choice).ok(),
            None => first.choice == again.choice,
        };
        if first.recommendation != again.recommendation || first.outcome != again.outcome || !same_choice {
            return Err(StoreError::KeyReused);
        }
        Ok(recommendation.map_or(Receipt::Parked, |made| self.unchanged(made)))
    }

    fn unchanged(&self, recommendation: &Recommendation) -> Receipt {
        let model = self.models.get(&recommendation.model);
        let version = model.map_or(recommendation.model_version, |model| model.version);
        Receipt::Kept {
            model: recommendation.model,
            version,
        }
    }

    fn learn(&mut self, id: RecommendationId, offer: &str, outcome: Outcome) -> Receipt {
        let Some(recommendation) = self.recommendations.get(&id) else {
            return Receipt::Parked;
        };
        if let Some(model) = self.models.get_mut(&recommendation.model)
            && model.learn(offer, outcome)
        {
            return Receipt::Counted {
                model: model.id,
                version: model.version,
            };
        }
        self.unchanged(recommendation)
    }

    fn park(&mut self, response: Response) -> Result<Receipt, StoreError> {
        let id = response.recommendation;
        let once = match response.idempotency_key.clone() {
            Some(key) => Once::Key(key),
            None => Once::Parked(id, response.choice.clone(), response.outcome),
        };
        if self.responses.contains_key(&once) {
            return Ok(Receipt::Parked);
        }
        if self.parked_count >= MAX_PARKED {
            return Err(StoreError::TooManyParked);
        }
        self.parked_count += 1;
        self.parked.entry(id).or_default().push(once.clone());
        self.responses.insert(once, response);
        Ok(Receipt::Parked)
    }

    /// Counts the outcomes that waited for a decision that is known now.
    fn join(&mut self, id: RecommendationId) {
        let waiting = self.parked.remove(&id).unwrap_or_default();
        self.parked_count -= waiting.len();
        for once in waiting {
            let Some(response) = self.responses.remove(&once) else {
                continue;
            };
            let chosen = self
                .recommendations
                .get(&id)
                .and_then(|made| made.choose(&response.choice).ok());
            let Some(offer) = chosen.map(str::to_owned) else {
                tracing::warn!(recommendation_id = %id, "a parked outcome is about an option that was not shown");
                // Kept all the same: nothing that was taken is dropped.
                self.responses.insert(once, response);
                continue;
            };
            let once = match once {
                Once::Parked(..) => Once::Outcome(id, offer.clone(), response.outcome),
                Once::Key(_) | Once::Outcome(..) => once,
            };
            if !self.responses.contains_key(&once) {
                self.learn(id, &offer, response.outcome);
                self.responses.insert(once, response);
            }
        }
    }
}

#[async_trait]
impl ScoringStore for MemoryScoringStore {
    async fn insert_model(
        &self,
        workspace: WorkspaceId,
        model: Model,
        event: OutboxEvent,
    ) -> Result<(), StoreError> {
        self.with(workspace, |data| {
            data.models.insert(model.id, model);
            self.outbox.push(event);
        })
    }

    async fn models(
        &self,
        workspace: WorkspaceId,
        after: Option<ModelId>,
        limit: usize,
    ) -> Result<Vec<Model>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.read(workspace, |data| {
            data.models
                .range((from, Bound::Unbounded))
                .take(limit)
                .map(|(_, model)| model.clone())
                .collect()
        }))
    }

    async fn model(&self, workspace: WorkspaceId, id: ModelId) -> Result<Option<Model>, StoreError> {
        Ok(self.read(workspace, |data| data.models.get(&id).cloned()))
    }

    async fn delete_model(
        &self,
        workspace: WorkspaceId,
        id: ModelId,
        event: OutboxEvent,
    ) -> Result<bool, StoreError> {
        self.with(workspace, |data| {
            let found = data.models.remove(&id).is_some();
            if found {
                self.outbox.push(event);
            }
            found
        })
    }

    async fn insert_recommendation(
        &self,
        workspace: WorkspaceId,
        recommendation: Recommendation,
        event: OutboxEvent,
    ) -> Result<(), StoreError> {
        self.with(workspace, |data| {
            let id = recommendation.id;
            if let Some(model) = data.models.get_mut(&recommendation.model) {
                for shown in &recommendation.shown {
                    if let Some(candidate) = recommendation.candidates.get(shown.candidate) {
                        model.show(&candidate.offer_id);
                    }
                }
            }
            data.recommendations.insert(id, recommendation);
            data.join(id);
            self.outbox.push(event);
        })
    }

    async fn recommendation(
        &self,
        workspace: WorkspaceId,
        id: RecommendationId,
    ) -> Result<Option<Recommendation>, StoreError> {
        Ok(self.read(workspace, |data| data.recommendations.get(&id).cloned()))
    }

    async fn respond(
        &self,
        workspace: WorkspaceId,
        response: Response,
        event: OutboxEvent,
    ) -> Result<Receipt, StoreError> {
        self.with(workspace, |data| {
            let receipt = data.respond(response)?;
            let event = event
                .detail("counted", matches!(receipt, Receipt::Counted { .. }))
                .detail("parked", receipt == Receipt::Parked);
            self.outbox.push(event);
            Ok(receipt)
        })?
    }

    async fn erase(&self, tombstone: &Tombstone) -> Result<Vec<ErasedRows>, StoreError> {
        Ok(self.erase_rows(tombstone))
    }

    async fn rows(&self, workspace: WorkspaceId) -> Result<Vec<Rows>, StoreError> {
        Ok(self.shown_rows(workspace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> (MemoryScoringStore, MemoryOutbox) {
        let outbox = MemoryOutbox::default();
        (MemoryScoringStore::new(outbox.clone()), outbox)
    }

    crate::scoring_store_conformance!(fresh);
}
