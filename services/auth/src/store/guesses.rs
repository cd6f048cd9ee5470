//! Wrong guesses, counted for all replicas together.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};

use super::StoreError;
use crate::domain::{Counter, Hash, SignIn};

/// A wrong guess that its victim can see.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// For the history of the person.
    pub(crate) sign_in: SignIn,
    /// For the log of the person's workspace.
    pub(crate) fact: OutboxEvent,
}

/// How things stand before a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How long each counter keeps the guess waiting, in the order asked.
    pub(crate) waits: Vec<Option<TimeDelta>>,
    /// Whether somebody came in from the place before.
    pub(crate) known: bool,
}

/// Counters of wrong guesses.
#[async_trait]
pub(crate) trait GuessStore: Send + Sync + 'static {
    /// How things stand. Counts nothing.
    async fn guesses(
        &self,
        counters: &[Counter],
        place: &Hash,
        now: DateTime<Utc>,
    ) -> Result<Standing, StoreError>;

    /// Counts a wrong guess, and keeps what its victim is to see. Without a victim it does the same work.
    async fn count_guess(
        &self,
        counters: &[Counter],
        now: DateTime<Utc>,
        failure: Option<Failure>,
    ) -> Result<(), StoreError>;

    /// Counts a guess before it is made, unless a counter keeps it waiting: then answers for how long, and counts
    /// nothing. Of many at once, no more pass than the rules let.
    async fn reserve_guess(
        &self,
        counters: &[Counter],
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError>;

    /// Forgets the counter of a guess that was right, and notes the place.
    async fn forget_guesses(
        &self,
        keys: &[Hash],
        place: Option<(Hash, UserId)>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Deletes counters that were forgotten.
    async fn sweep_guesses(&self, now: DateTime<Utc>) -> Result<(), StoreError>;
}
