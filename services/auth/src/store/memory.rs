//! The store in memory: one lock, so that every method is one step.

mod identities;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use causeway_outbox::{MemoryOutbox, OutboxEvent};
use chrono::{DateTime, Utc};

use super::{AccountStore, SessionStore, StoreError, TokenStore};
use crate::domain::{
    Account, AccountState, Claim, Email, Hash, Identity, Member, NewSession, PersonalToken, RefreshToken,
    Revocation, Session, SessionToken,
};
use crate::page::Page;

/// Accounts, sessions and tokens in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStore {
    state: Arc<Mutex<State>>,
    outbox: MemoryOutbox,
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<UserId, Account>,
    addresses: BTreeMap<Email, UserId>,
    identities: BTreeMap<Identity, Member>,
    used_proofs: BTreeMap<Hash, DateTime<Utc>>,
    sessions: BTreeMap<SessionId, Session>,
    refresh_tokens: BTreeMap<Hash, RefreshToken>,
    tokens: BTreeMap<(WorkspaceId, TokenId), PersonalToken>,
    token_index: BTreeMap<Hash, (WorkspaceId, TokenId)>,
}

impl MemoryStore {
    /// An empty store that leaves its facts in `outbox`.
    pub(crate) fn new(outbox: MemoryOutbox) -> Self {
        Self {
            state: Arc::default(),
            outbox,
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
        Some(SessionToken { token, session })
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
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<bool, StoreError> {
        let mut state = self.state();
        let NewSession {
            session,
            token,
            proof,
        } = new;
        let is_taken = |token: &RefreshToken| state.refresh_tokens.contains_key(&token.hash);
        if state.sessions.contains_key(&session.id) || token.as_ref().is_some_and(is_taken) {
            return Err(conflict("session"));
        }
        state.used_proofs.retain(|_, end| *end >= session.opened_at);
        if let Some(proof) = proof
            && state.used_proofs.contains_key(&proof.hash)
        {
            return Ok(false);
        }
        let proof = proof.map(|proof| (proof.hash, proof.expires_at));
        state.used_proofs.extend(proof);
        state.sessions.insert(session.id, session.clone());
        let token = token.clone().map(|token| (token.hash, token));
        state.refresh_tokens.extend(token);
        self.outbox.push(fact);
        Ok(true)
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
        found.token.used_at = Some(now);
        state.refresh_tokens.insert(*used, found.token);
        state.refresh_tokens.insert(successor.hash, successor.clone());
        Ok(true)
    }

    async fn close_session(
        &self,
        session: SessionId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(session) = state
            .sessions
            .get_mut(&session)
            .filter(|session| session.closed_at.is_none())
        else {
            return Ok(false);
        };
        session.closed_at = Some(at);
        self.outbox.push(fact);
        Ok(true)
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn insert_token(
        &self,
        token: &PersonalToken,
        hash: &Hash,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let key = (token.workspace, token.id);
        if state.tokens.contains_key(&key) || state.token_index.contains_key(hash) {
            return Err(conflict("token"));
        }
        state.tokens.insert(key, token.clone());
        state.token_index.insert(*hash, key);
        self.outbox.push(fact);
        Ok(())
    }

    async fn list_tokens(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        page: Page,
    ) -> Result<Vec<PersonalToken>, StoreError> {
        let state = self.state();
        let mine =
            state.tokens.values().rev().filter(|token| {
                token.workspace == workspace && token.user == user && token.revoked_at.is_none()
            });
        let rest = mine.filter(|token| page.after.is_none_or(|after| token.id < after));
        Ok(rest.take(page.size).cloned().collect())
    }

    async fn revoke_token(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        token: TokenId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Revocation, StoreError> {
        let mut state = self.state();
        let found = state
            .tokens
            .get_mut(&(workspace, token))
            .filter(|token| token.user == user);
        let Some(token) = found else {
            return Ok(Revocation::Missing);
        };
        if token.revoked_at.is_some() {
            return Ok(Revocation::Before);
        }
        token.revoked_at = Some(at);
        self.outbox.push(fact);
        Ok(Revocation::Done)
    }

    async fn find_token(&self, hash: &Hash) -> Result<Option<PersonalToken>, StoreError> {
        let state = self.state();
        Ok(state
            .token_index
            .get(hash)
            .and_then(|key| state.tokens.get(key))
            .cloned())
    }

    async fn touch_token(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if let Some(token) = self.state().tokens.get_mut(&(workspace, token)) {
            token.last_used_at = token.last_used_at.max(Some(at));
        }
        Ok(())
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
