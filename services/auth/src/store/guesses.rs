//! Wrong guesses, counted for all replicas together.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};

use super::StoreError;
use crate::domain::{BY_TARGET, Counter, Hash, SignIn};

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

impl Standing {
    /// How long a guess has to wait. Who comes from a known place does not wait for what others guess at the same thing
    /// elsewhere.
    pub(crate) fn wait(&self, counters: &[Counter]) -> Option<TimeDelta> {
        let waits = counters.iter().zip(&self.waits);
        waits
            .filter(|(counter, _)| !(self.known && counter.rule == BY_TARGET))
            .filter_map(|(_, wait)| *wait)
            .max()
    }
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

    /// Counts a wrong guess, and keeps what its victim is to see, unless others that were made at the same time have used
    /// up what may be guessed: then answers how long it would have had to wait, and changes nothing. Without a victim it
    /// does the same work.
    async fn count_guess(
        &self,
        counters: &[Counter],
        place: &Hash,
        now: DateTime<Utc>,
        failure: Option<Failure>,
    ) -> Result<Option<TimeDelta>, StoreError>;

    /// Counts a guess before it is made, unless a counter keeps it waiting: then answers for how long, and counts
    /// nothing. Of many at once, no more pass than the rules let.
    async fn reserve_guess(
        &self,
        counters: &[Counter],
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError>;

    /// Forgets the counter `own` of a guess that was right, and notes the place for `user`, unless wrong ones that were
    /// made at the same time have used up what may be guessed: then answers as [`GuessStore::count_guess`] does.
    async fn forget_guesses(
        &self,
        counters: &[Counter],
        own: &Hash,
        place: &Hash,
        user: Option<UserId>,
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError>;

    /// Deletes counters that were forgotten.
    async fn sweep_guesses(&self, now: DateTime<Utc>) -> Result<(), StoreError>;
}
