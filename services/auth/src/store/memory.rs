//! The store in memory: one lock, so that every method is one step.

mod clients;
mod data;
mod factors;
mod guesses;
mod history;
mod identities;
mod persons;
mod recovery;
mod tokens;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use causeway_crypto::StoredSecret;
use causeway_outbox::{MemoryOutbox, OutboxEvent};
use causeway_revocation::MemoryRevocations;
use chrono::{DateTime, TimeDelta, Utc};

use super::{AccessLife, AccountStore, RevokedAccess, SessionStore, StoreError};
use crate::domain::{
    Account, AccountState, Claim, Client, ClientId, Disabled, Email, Hash, Identity, Member, NewSession,
    Opened, PersonalToken, RefreshToken, Session, SessionToken, SignIn,
};

/// Accounts, sessions and tokens in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStore {
    state: Arc<Mutex<State>>,
    outbox: MemoryOutbox,
    ended: MemoryRevocations,
    life: AccessLife,
}

#[derive(Debug, Default)]
struct State {
    erasures: data::Erasures,
    book: history::Book,
    accounts: BTreeMap<UserId, Account>,
    addresses: BTreeMap<Email, UserId>,
    identities: BTreeMap<Identity, Member>,
    disabled: BTreeMap<UserId, Disabled>,
    factors: factors::Factors,
    used_proofs: BTreeMap<Hash, DateTime<Utc>>,
    sessions: BTreeMap<SessionId, Session>,
    refresh_tokens: BTreeMap<Hash, RefreshToken>,
    tokens: BTreeMap<(WorkspaceId, TokenId), PersonalToken>,
    token_index: BTreeMap<Hash, ((WorkspaceId, TokenId), StoredSecret)>,
    clients: BTreeMap<ClientId, Client>,
    revoked_access_tokens: BTreeMap<(WorkspaceId, String), RevokedAccess>,
}

impl MemoryStore {
    /// An empty store that leaves its facts in `outbox`.
    pub(crate) fn new(outbox: MemoryOutbox) -> Self {
        Self {
            outbox,
            ..Self::default()
        }
    }

    /// The same store where access tokens live that long.
    pub(crate) fn with_access_life(self, life: TimeDelta) -> Self {
        Self {
            life: AccessLife(life),
            ..self
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half changed: nothing here panics between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn conflict(what: &'static str) -> StoreError {
    StoreError::Conflict(what.into())
}

impl State {
    fn by_email(&self, email: &Email) -> Option<&Account> {
        self.addresses.get(email).and_then(|user| self.accounts.get(user))
    }

    fn session_token(&self, hash: &Hash) -> Option<SessionToken> {
        let token = self.refresh_tokens.get(hash)?.clone();
        let session = self.sessions.get(&token.session)?.clone();
        let factor = self.factors.standing(session.user, session.id.0);
        Some(SessionToken {
            token,
            session,
            factor,
        })
    }
}

#[async_trait]
impl AccountStore for MemoryStore {
    async fn claim_address(&self, account: &Account) -> Result<Claim, StoreError> {
        let mut state = self.state();
        let claimed = match state.by_email(&account.email) {
            Some(found) if !found.lapsed(account.claimed_at) => return Ok(Claim::Taken(found.clone())),
            Some(lapsed) => Account {
                user: lapsed.user,
                home: lapsed.home,
                ..account.clone()
            },
            None if state.accounts.contains_key(&account.user) => return Err(conflict("user id")),
            None => account.clone(),
        };
        state.addresses.insert(claimed.email.clone(), claimed.user);
        state.accounts.insert(claimed.user, claimed.clone());
        Ok(Claim::Made(claimed))
    }

    async fn activate_account(
        &self,
        user: UserId,
        claimed_at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(&user) else {
            return Ok(false);
        };
        if account.state != AccountState::Pending || account.claimed_at != claimed_at {
            return Ok(false);
        }
        account.state = AccountState::Active;
        self.outbox.push(fact);
        Ok(true)
    }

    async fn find_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        Ok(self.state().by_email(email).cloned())
    }

    async fn find_account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        Ok(self.state().accounts.get(&user).cloned())
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<Opened, StoreError> {
        let mut state = self.state();
        let NewSession {
            session,
            token,
            proof,
            password,
            without_factor,
        } = new;
        state.erasures.allow(session.workspace)?;
        let is_taken = |token: &RefreshToken| state.refresh_tokens.contains_key(&token.hash);
        if state.sessions.contains_key(&session.id) || token.as_ref().is_some_and(is_taken) {
            return Err(conflict("session"));
        }
        if state.disabled.contains_key(&session.user) {
            return Ok(Opened::Disabled);
        }
        state.used_proofs.retain(|_, end| *end >= session.opened_at);
        if let Some(proof) = proof
            && state.used_proofs.contains_key(&proof.hash)
        {
            return Ok(Opened::ProofUsed);
        }
        if let Some(password) = password
            && state.accounts.get(&session.user).map(|account| &account.password) != Some(password)
        {
            return Ok(Opened::PasswordChanged);
        }
        if *without_factor && state.factors.is_confirmed(session.user) {
            return Ok(Opened::FactorConfirmed);
        }
        let proof = proof.map(|proof| (proof.hash, proof.expires_at));
        state.used_proofs.extend(proof);
        state.sessions.insert(session.id, session.clone());
        let token = token.clone().map(|token| (token.hash, token));
        state.refresh_tokens.extend(token);
        let alert = state.book.new_place(session, &fact);
        let sign_in = SignIn::of(session);
        state.book.sign_ins.insert(sign_in.id, sign_in);
        self.outbox.push(fact);
        if let Some(alert) = alert {
            self.outbox.push(alert);
        }
        Ok(Opened::Done)
    }

    async fn find_refresh_token(&self, hash: &Hash) -> Result<Option<SessionToken>, StoreError> {
        Ok(self.state().session_token(hash))
    }

    async fn rotate(&self, used: &Hash, successor: &RefreshToken) -> Result<bool, StoreError> {
        let mut state = self.state();
        let now = successor.issued_at;
        let found = state
            .session_token(used)
            .filter(|found| found.token.used_at.is_none() && found.alive(now));
        let Some(mut found) = found else { return Ok(false) };
        let generation = found.token.generation;
        found.token.used_at = Some(now);
        state.refresh_tokens.insert(*used, found.token);
        found.session.last_used_at = now;
        found.session.idle_until = successor.expires_at;
        state.sessions.insert(found.session.id, found.session);
        let successor = RefreshToken {
            generation: generation + 1,
            ..successor.clone()
        };
        state.refresh_tokens.insert(successor.hash, successor);
        Ok(true)
    }

    async fn find_session(&self, session: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.state().sessions.get(&session).cloned())
    }

    async fn close_session(
        &self,
        session: SessionId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(open) = state
            .sessions
            .get_mut(&session)
            .filter(|session| session.closed_at.is_none())
        else {
            return Ok(false);
        };
        open.closed_at = Some(at);
        self.tell_ended(session, at);
        self.outbox.push(fact);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use causeway_outbox::{MemoryOutbox, OutboxStore as _};

    use super::MemoryStore;
    use crate::store::conformance::Facts;

    async fn fresh() -> (MemoryStore, MemoryOutbox) {
        let outbox = MemoryOutbox::default();
        (MemoryStore::new(outbox.clone()), outbox)
    }

    impl Facts for MemoryOutbox {
        async fn actions(&self) -> Vec<String> {
            let facts = self.unsent(100).await.expect("memory answers");
            facts.into_iter().map(|fact| fact.action).collect()
        }
    }

    crate::store_conformance!(fresh);
}
