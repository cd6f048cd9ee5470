//! What a failure of the log looks like from outside.

use causeway_errors::{ApiError, Code};

use crate::store::StoreError;

impl From<StoreError> for ApiError {
    /// The causes stop here, so they are logged here, under the id that the answer carries.
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::IdReused(id) => Self::new(
                Code::AlreadyExists,
                "EVENT_ID_REUSED",
                format!("the event id {id} is in the log with other content"),
            ),
            StoreError::Unavailable(_) => logged(Self::unavailable("STORE_UNAVAILABLE"), &error),
            StoreError::Damaged(_) => logged(Self::internal(), &error),
        }
    }
}

fn logged(answer: ApiError, error: &StoreError) -> ApiError {
    tracing::error!(error_id = %answer.error_id, error = error as &dyn std::error::Error, "ask the audit store");
    answer
}
