//! Where models, decisions and outcomes are.

#[cfg(test)]
pub(crate) mod conformance;
mod memory;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_holder::{ErasedRows, Tombstone};
use causeway_outbox::OutboxEvent;
pub use memory::MemoryScoringStore;

use crate::decision::{NotShown, Recommendation, Response};
use crate::id::{ModelId, RecommendationId};
use crate::model::Model;

/// What became of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It changed the model.
    Counted {
        /// The model.
        model: ModelId,
        /// Its version after the outcome.
        version: u64,
    },
    /// It is kept and changed nothing: it had counted before, or the model was deleted.
    Kept {
        /// The model.
        model: ModelId,
        /// Its version now.
        version: u64,
    },
    /// It waits for a decision that is not known yet.
    Parked,
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The idempotency key is that of another outcome.
    #[error("the idempotency key was used for another outcome")]
    KeyReused,
    /// The response is about no option that the decision showed.
    #[error("response to an option that was not shown")]
    NotShown(#[from] NotShown),
    /// The workspace has too many outcomes without a decision.
    #[error("too many outcomes wait for their decisions")]
    TooManyParked,
    /// The workspace was erased.
    #[error("the workspace is erased")]
    Erased,
    /// The store does not answer now.
    #[error("scoring store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Models, decisions and outcomes. Every call names the workspace, so that no query can forget it. A change and its
/// outbox event are one step.
#[async_trait]
pub trait ScoringStore: Send + Sync + 'static {
    /// Adds a model.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], as for all that follow.
    async fn insert_model(
        &self,
        workspace: WorkspaceId,
        model: Model,
        event: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// At most `limit` models by id, which is by age, after the one with that id.
    async fn models(
        &self,
        workspace: WorkspaceId,
        after: Option<ModelId>,
        limit: usize,
    ) -> Result<Vec<Model>, StoreError>;

    /// The model with that id, and all that it has learnt, as of one moment.
    async fn model(&self, workspace: WorkspaceId, id: ModelId) -> Result<Option<Model>, StoreError>;

    /// Removes a model; its decisions stay. False if there is none, and then there is no event either.
    async fn delete_model(
        &self,
        workspace: WorkspaceId,
        id: ModelId,
        event: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Adds a decision, counts its options as shown, and counts the outcomes that waited for it.
    async fn insert_recommendation(
        &self,
        workspace: WorkspaceId,
        recommendation: Recommendation,
        event: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// The decision with that id.
    async fn recommendation(
        &self,
        workspace: WorkspaceId,
        id: RecommendationId,
    ) -> Result<Option<Recommendation>, StoreError>;

    /// Keeps an outcome and lets its model learn from it, once; parks it if its decision is not known. The event gets
    /// what became of it as details.
    ///
    /// # Errors
    /// [`StoreError::NotShown`] when the known decision showed no such option, [`StoreError::KeyReused`] when the key
    /// is that of another outcome, [`StoreError::TooManyParked`]; nothing is kept then.
    async fn respond(
        &self,
        workspace: WorkspaceId,
        response: Response,
        event: OutboxEvent,
    ) -> Result<Receipt, StoreError>;

    /// Erases what the tombstone says, once; a repeat answers what was done. Of a person go the decisions that were
    /// made for them as a customer.
    async fn erase(&self, tombstone: &Tombstone) -> Result<Vec<ErasedRows>, StoreError>;

    /// Every row of the workspace, as of one moment.
    async fn rows(&self, workspace: WorkspaceId) -> Result<Vec<Rows>, StoreError>;
}

/// A table, and its rows as JSON objects.
pub type Rows = (&'static str, Vec<serde_json::Value>);
