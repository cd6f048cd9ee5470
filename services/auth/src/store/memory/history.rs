//! Open sessions and the history of sign-ins in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use causeway_context::{SessionId, UserId};
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation, Revocations};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MemoryStore, State};
use crate::domain::{Guesses, Hash, MailPurpose, Session, SignIn, Which};
use crate::store::history::{HistoryStore, Slice};
use crate::store::{StoreError, closed_fact, new_place_fact};

/// What is kept of how people come in.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) sign_ins: BTreeMap<Uuid, SignIn>,
    pub(super) guesses: BTreeMap<Hash, Guesses>,
    pub(super) places: BTreeMap<Hash, (UserId, DateTime<Utc>)>,
    pub(super) mail_tokens: BTreeMap<Hash, (MailPurpose, UserId, DateTime<Utc>)>,
    pub(super) verified: BTreeMap<UserId, DateTime<Utc>>,
}

impl Book {
    /// The fact that a person who signed in before comes from a new place.
    pub(super) fn new_place(&self, session: &Session, opened: &OutboxEvent) -> Option<OutboxEvent> {
        let before = || {
            let mine = self.sign_ins.values();
            mine.filter(|sign_in| sign_in.user == session.user && sign_in.session.is_some())
        };
        before().next()?;
        let trace = &session.trace;
        let new = |own: &str, of: fn(&SignIn) -> &str| !own.is_empty() && before().all(|one| of(one) != own);
        let network = new(&trace.network, |one| &one.trace.network);
        let agent = new(&trace.agent, |one| &one.trace.agent);
        (network || agent).then(|| new_place_fact(opened, session, network, agent))
    }
}

impl MemoryStore {
    /// Ends sessions of a person that are not ended, as one step with what tells of it.
    pub(super) fn end_sessions(
        &self,
        state: &mut State,
        user: UserId,
        which: Which,
        at: DateTime<Utc>,
        fact: &OutboxEvent,
    ) -> Vec<SessionId> {
        let open = state
            .sessions
            .values_mut()
            .filter(|session| session.user == user && session.closed_at.is_none() && which.includes(session))
            // The last access token of one that ended by age may still be in force.
            .filter(|session| session.idle_until.min(session.expires_at) > at - self.life.0);
        let mut closed = Vec::new();
        for session in open {
            session.closed_at = Some(at);
            self.tell_ended(session.id, at);
            self.outbox.push(closed_fact(fact, session.id, session.workspace));
            closed.push(session.id);
        }
        closed
    }

    pub(super) fn tell_ended(&self, session: SessionId, at: DateTime<Utc>) {
        self.ended
            .add([Revocation::of(Ended::Session(session), at, self.life.0)]);
    }
}

#[async_trait]
impl HistoryStore for MemoryStore {
    fn revocations(&self) -> Arc<dyn Revocations> {
        Arc::new(self.ended.clone())
    }

    async fn list_sessions(
        &self,
        user: UserId,
        which: Which,
        now: DateTime<Utc>,
        slice: Slice,
    ) -> Result<Vec<Session>, StoreError> {
        let state = self.state();
        let open = state
            .sessions
            .values()
            .rev()
            .filter(|session| session.user == user && session.alive(now) && which.includes(session))
            .filter(|session| slice.before.is_none_or(|before| session.id.0 < before));
        Ok(open.take(slice.size).cloned().collect())
    }

    async fn close_sessions(
        &self,
        user: UserId,
        which: Which,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut state = self.state();
        Ok(self.end_sessions(&mut state, user, which, at, &fact))
    }

    async fn list_sign_ins(&self, user: UserId, slice: Slice) -> Result<Vec<SignIn>, StoreError> {
        let state = self.state();
        let mine = state.book.sign_ins.values().rev();
        let mine = mine
            .filter(|sign_in| sign_in.user == user)
            .filter(|sign_in| slice.before.is_none_or(|before| sign_in.id < before));
        Ok(mine.take(slice.size).cloned().collect())
    }

    async fn sweep_sessions(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        let state = &mut *self.state();
        let ended = |session: &Session| {
            session.expires_at < before || session.closed_at.is_some_and(|closed| closed < before)
        };
        let gone: BTreeSet<SessionId> = state
            .sessions
            .extract_if(.., |_, session| ended(session))
            .map(|(id, _)| id)
            .collect();
        state
            .refresh_tokens
            .retain(|_, token| token.expires_at >= before && !gone.contains(&token.session));
        state.factors.forget_credentials(&gone);
        Ok(())
    }

    async fn forget_history(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        let book = &mut self.state().book;
        book.sign_ins.retain(|_, sign_in| sign_in.at >= before);
        book.places.retain(|_, (_, seen)| *seen >= before);
        Ok(())
    }
}
