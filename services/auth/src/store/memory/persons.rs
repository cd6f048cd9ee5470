//! Persons in memory.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation};

use super::MemoryStore;
use crate::domain::{Disabled, MailPurpose, Person, Which};
use crate::store::StoreError;
use crate::store::persons::{PersonStore, SETTLED};

#[async_trait]
impl PersonStore for MemoryStore {
    async fn find_person(&self, user: UserId) -> Result<Option<Person>, StoreError> {
        let state = self.state();
        let account = state.accounts.get(&user);
        let identity = state.identities.values().find(|member| member.user == user);
        let home = account
            .map(|account| account.home)
            .or(identity.map(|member| member.home));
        Ok(home.map(|home| Person {
            user,
            email: account.map(|account| account.email.clone()),
            home,
            disabled: state.disabled.get(&user).cloned(),
        }))
    }

    async fn is_disabled(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(self.state().disabled.contains_key(&user))
    }

    async fn disable_person(
        &self,
        user: UserId,
        disabled: &Disabled,
        facts: &[OutboxEvent],
        closed: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.disabled.contains_key(&user) {
            return Ok(false);
        }
        state.disabled.insert(user, disabled.clone());
        let tokens = &mut state.book.mail_tokens;
        tokens.retain(|_, (purpose, of, _)| *purpose != MailPurpose::Reset || *of != user);
        for fact in facts {
            self.outbox.push(fact.clone());
        }
        self.end_sessions(&mut state, user, Which::default(), disabled.at, &closed);
        let ended = Ended::User(user);
        self.ended
            .add([Revocation::before(ended, disabled.at + SETTLED, self.life.0)]);
        Ok(true)
    }

    async fn enable_person(&self, user: UserId, facts: &[OutboxEvent]) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.disabled.remove(&user).is_none() {
            return Ok(false);
        }
        for fact in facts {
            self.outbox.push(fact.clone());
        }
        Ok(true)
    }
}
