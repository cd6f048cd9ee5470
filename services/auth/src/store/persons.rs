//! Who may come in at all.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use chrono::TimeDelta;

use super::StoreError;
use crate::domain::{Disabled, Person};

/// By how much the end of a person's credentials reaches beyond the change: what reads the store while the change commits
/// has read it by then. Credentials that are made after the person is let in again are younger.
pub(super) const SETTLED: TimeDelta = TimeDelta::milliseconds(100);

/// Persons, and that some are kept out.
#[async_trait]
pub(crate) trait PersonStore: Send + Sync + 'static {
    /// A person who has an account, an identity, or both.
    async fn find_person(&self, user: UserId) -> Result<Option<Person>, StoreError>;

    /// Whether the person is kept out.
    async fn is_disabled(&self, user: UserId) -> Result<bool, StoreError>;

    /// Keeps a person out: no session opens from then on, every open one ends, what was mailed to set a password is void,
    /// and gateways are told of the person (REF-06, TOK-03). Keeps `facts`, and `closed` for each session that ended.
    /// False, with nothing changed, if the person is kept out already.
    async fn disable_person(
        &self,
        user: UserId,
        disabled: &Disabled,
        facts: &[OutboxEvent],
        closed: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Lets a person in again. False, and no facts, if nobody keeps the person out.
    async fn enable_person(&self, user: UserId, facts: &[OutboxEvent]) -> Result<bool, StoreError>;
}
