//! Erases and shows what is kept of a workspace.

use std::collections::HashSet;

use causeway_context::{UserId, WorkspaceId};
use causeway_holder::{ErasedRows, Tombstone};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{Data, MemoryScoringStore, Once, lock};
use crate::id::RecommendationId;
use crate::store::Rows;

fn count(table: &str, rows: usize) -> ErasedRows {
    ErasedRows {
        table: format!("scoring.{table}"),
        rows: u64::try_from(rows).unwrap_or(u64::MAX),
    }
}

impl MemoryScoringStore {
    pub(super) fn erase_rows(&self, tombstone: &Tombstone) -> Vec<ErasedRows> {
        let mut workspaces = lock(&self.workspaces);
        if let Some(erased) = workspaces.applied.get(&tombstone.number) {
            return erased.clone();
        }
        let erased = match tombstone.subject {
            None => {
                workspaces.erased.insert(tombstone.workspace);
                let data = workspaces.data.remove(&tombstone.workspace).unwrap_or_default();
                let data = lock(&data);
                vec![
                    count("models", data.models.len()),
                    count("recommendations", data.recommendations.len()),
                    count("responses", data.responses.len()),
                ]
            }
            Some(subject) => {
                let data = workspaces
                    .data
                    .get(&tombstone.workspace)
                    .cloned()
                    .unwrap_or_default();
                lock(&data).erase_person(subject)
            }
        };
        workspaces.applied.insert(tombstone.number, erased.clone());
        erased
    }

    pub(super) fn shown_rows(&self, workspace: WorkspaceId) -> Vec<Rows> {
        let data = lock(&self.workspaces)
            .data
            .get(&workspace)
            .cloned()
            .unwrap_or_default();
        let data = lock(&data);
        vec![
            ("scoring.models", data.models()),
            ("scoring.recommendations", data.recommendations()),
            ("scoring.responses", data.responses()),
        ]
    }
}

impl Data {
    /// Decisions that were made for the person as a customer, and what came of them. What the models have learnt from
    /// them are sums over many.
    fn erase_person(&mut self, subject: UserId) -> Vec<ErasedRows> {
        let customer = subject.to_string();
        let theirs = self
            .recommendations
            .values()
            .filter(|made| made.occasion.customer_id == customer);
        let theirs: HashSet<RecommendationId> = theirs.map(|made| made.id).collect();
        self.recommendations.retain(|id, _| !theirs.contains(id));
        let before = self.responses.len();
        let responses = std::mem::take(&mut self.responses).into_iter();
        self.responses = responses
            .filter(|(_, response)| !theirs.contains(&response.recommendation))
            .collect();
        vec![
            count("recommendations", theirs.len()),
            count("responses", before - self.responses.len()),
        ]
    }

    fn models(&self) -> Vec<Value> {
        let models = self.models.values().map(|model| {
            let arms = model.offers.iter().zip(&model.arms).map(|(offer, arm)| {
                json!({"offer_id": offer.id, "name": offer.name, "alpha": arm.belief.alpha, "beta": arm.belief.beta,
                    "shown": arm.shown, "outcomes": arm.outcomes})
            });
            json!({"id": model.id.to_string(), "name": model.name, "version": model.version,
                "created_at": model.created_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                "offers": arms.collect::<Vec<_>>()})
        });
        models.collect()
    }

    fn recommendations(&self) -> Vec<Value> {
        let mut made: Vec<_> = self.recommendations.values().collect();
        made.sort_by_key(|made| made.id);
        let made = made.into_iter().map(|made| {
            let candidates = made.candidates.iter().map(|candidate| {
                json!({"offer_id": candidate.offer_id, "features": candidate.features, "score": candidate.score,
                    "alpha": candidate.belief.alpha, "beta": candidate.belief.beta,
                    "propensity": candidate.propensity})
            });
            let shown = made.shown.iter().map(|shown| {
                json!({"decision_id": shown.decision_id, "candidate": shown.candidate})
            });
            json!({"id": made.id.to_string(), "model_id": made.model.to_string(),
                "model_version": made.model_version, "customer_id": made.occasion.customer_id,
                "channel": made.occasion.channel, "placement": made.occasion.placement,
                "session_id": made.occasion.session_id, "attributes": made.occasion.attributes,
                "seed": made.seed.to_string(), "candidates": candidates.collect::<Vec<_>>(),
                "shown": shown.collect::<Vec<_>>(),
                "made_at": made.made_at.to_rfc3339_opts(SecondsFormat::AutoSi, true)})
        });
        made.collect()
    }

    fn responses(&self) -> Vec<Value> {
        let mut responses: Vec<_> = self.responses.iter().collect();
        responses.sort_by_key(|(_, response)| (response.recommendation, response.at));
        let responses = responses.into_iter().map(|(once, response)| {
            json!({"recommendation_id": response.recommendation.to_string(), "rank": response.choice.rank,
                "offer_id": response.choice.offer_id, "outcome": response.outcome.as_str(), "value": response.value,
                "at": response.at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                "idempotency_key": response.idempotency_key, "parked": matches!(once, Once::Parked(..))})
        });
        responses.collect()
    }
}
