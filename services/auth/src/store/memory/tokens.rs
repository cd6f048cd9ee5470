use async_trait::async_trait;
use causeway_context::{TokenId, WorkspaceId};
use causeway_crypto::StoredSecret;
use causeway_outbox::OutboxEvent;
use causeway_revocation::Ended;
use chrono::{DateTime, Utc};

use super::{MemoryStore, conflict};
use crate::domain::{Hash, PersonalToken, Revocation, Whose};
use crate::page::Page;
use crate::store::{StoreError, TokenStore};

#[async_trait]
impl TokenStore for MemoryStore {
    async fn insert_token(
        &self,
        token: &PersonalToken,
        stored: &StoredSecret,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        state.erasures.allow(token.workspace)?;
        let key = (token.workspace, token.id);
        if state.tokens.contains_key(&key) || state.token_index.contains_key(&stored.hash) {
            return Err(conflict("token"));
        }
        state.tokens.insert(key, token.clone());
        state.token_index.insert(stored.hash, (key, stored.clone()));
        self.outbox.push(fact);
        Ok(())
    }

    async fn list_tokens(
        &self,
        workspace: WorkspaceId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<PersonalToken>, StoreError> {
        let state = self.state();
        let mine = state.tokens.values().rev().filter(|token| {
            token.workspace == workspace && whose.includes(token) && token.revoked_at.is_none()
        });
        let rest = mine.filter(|token| page.after.is_none_or(|after| token.id < after));
        Ok(rest.take(page.size).cloned().collect())
    }

    async fn revoke_token(
        &self,
        workspace: WorkspaceId,
        whose: Whose,
        token: TokenId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Revocation, StoreError> {
        let mut state = self.state();
        let found = state
            .tokens
            .get_mut(&(workspace, token))
            .filter(|token| whose.includes(token));
        let Some(token) = found else {
            return Ok(Revocation::Missing);
        };
        if token.revoked_at.is_some() {
            return Ok(Revocation::Before);
        }
        token.revoked_at = Some(at);
        let ended = Ended::Token(token.id);
        self.ended
            .add([causeway_revocation::Revocation::of(ended, at, self.life.0)]);
        self.outbox.push(fact);
        Ok(Revocation::Done)
    }

    async fn find_token(&self, hashes: &[Hash]) -> Result<Option<(PersonalToken, StoredSecret)>, StoreError> {
        let state = self.state();
        let place = hashes.iter().find_map(|hash| state.token_index.get(hash));
        Ok(place.and_then(|(key, stored)| Some((state.tokens.get(key)?.clone(), stored.clone()))))
    }

    async fn token_by_id(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
    ) -> Result<Option<PersonalToken>, StoreError> {
        Ok(self.state().tokens.get(&(workspace, token)).cloned())
    }

    async fn rehash_token(&self, old: &Hash, new: &StoredSecret) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some((key, _)) = state.token_index.remove(old) {
            state.token_index.insert(new.hash, (key, new.clone()));
        }
        Ok(())
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
