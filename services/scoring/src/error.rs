//! What a failure of the store looks like from outside.

use causeway_errors::{ApiError, Code};

use crate::decision::NotShown;
use crate::store::StoreError;

impl From<StoreError> for ApiError {
    /// The causes stop here, so they are logged here, under the id that the answer carries.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::KeyReused => Self::new(
                Code::AlreadyExists,
                "IDEMPOTENCY_KEY_REUSED",
                "the key was used for another outcome",
            ),
            StoreError::NotShown(NotShown::Rank) => Self::invalid("rank", NotShown::Rank.to_string()),
            StoreError::NotShown(NotShown::OfferId) => {
                Self::invalid("offer_id", NotShown::OfferId.to_string())
            }
            StoreError::TooManyParked => Self::new(
                Code::ResourceExhausted,
                "TOO_MANY_PARKED_OUTCOMES",
                "too many outcomes wait for decisions that are not known",
            ),
            StoreError::Erased => Self::not_found("WORKSPACE_NOT_FOUND", "workspace not found"),
            StoreError::Unavailable(_) => {
                let answer = Self::unavailable("STORE_UNAVAILABLE");
                tracing::error!(
                    error_id = %answer.error_id,
                    error = &error as &dyn std::error::Error,
                    "ask the scoring store"
                );
                answer
            }
        }
    }
}
