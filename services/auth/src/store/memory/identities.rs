//! Persons whom identity providers prove, in memory.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use super::MemoryStore;
use crate::domain::{AccountState, Identity, Member, Proof};
use crate::store::{IdentityStore, StoreError};

#[async_trait]
impl IdentityStore for MemoryStore {
    async fn claim_identity(&self, member: &Member) -> Result<Member, StoreError> {
        let mut state = self.state();
        let kept = state
            .identities
            .entry(member.identity.clone())
            .or_insert_with(|| member.clone());
        Ok(kept.clone())
    }

    async fn activate_identity(&self, user: UserId, fact: OutboxEvent) -> Result<bool, StoreError> {
        let mut state = self.state();
        let pending = state
            .identities
            .values_mut()
            .find(|member| member.user == user && member.state == AccountState::Pending);
        let Some(member) = pending else { return Ok(false) };
        member.state = AccountState::Active;
        self.outbox.push(fact);
        Ok(true)
    }

    async fn find_identity(&self, identity: &Identity) -> Result<Option<Member>, StoreError> {
        Ok(self.state().identities.get(identity).cloned())
    }

    async fn use_proof(&self, proof: &Proof, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.used_proofs.retain(|_, end| *end >= now);
        Ok(state.used_proofs.insert(proof.hash, proof.expires_at).is_none())
    }
}
