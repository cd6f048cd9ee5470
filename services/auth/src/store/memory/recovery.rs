//! Mailed tokens and passwords in memory.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use super::{MemoryStore, State};
use crate::domain::{AccountState, Email, Hash, MailPurpose, Which};
use crate::store::StoreError;
use crate::store::recovery::{Holder, MailToken, NewPassword, RecoveryStore};

impl State {
    fn holder(&self, hash: &Hash, purpose: MailPurpose, now: DateTime<Utc>) -> Option<Holder> {
        let (of, user, end) = self.book.mail_tokens.get(hash)?;
        let account = self.accounts.get(user)?;
        let good = *of == purpose && now < *end && account.state == AccountState::Active;
        good.then(|| Holder {
            user: *user,
            email: account.email.clone(),
            home: account.home,
        })
    }
}

#[async_trait]
impl RecoveryStore for MemoryStore {
    async fn issue_mail_token(&self, email: &Email, token: &MailToken) -> Result<bool, StoreError> {
        let mut state = self.state();
        let account = state
            .by_email(email)
            .filter(|account| account.state == AccountState::Active);
        let Some(user) = account.map(|account| account.user) else {
            return Ok(false);
        };
        let proven = token.purpose == MailPurpose::Verify && state.book.verified.contains_key(&user);
        if proven || state.disabled.contains_key(&user) {
            return Ok(false);
        }
        let row = (token.purpose, user, token.expires_at);
        state.book.mail_tokens.insert(token.hash, row);
        Ok(true)
    }

    async fn find_mail_token(
        &self,
        hash: &Hash,
        purpose: MailPurpose,
        now: DateTime<Utc>,
    ) -> Result<Option<Holder>, StoreError> {
        Ok(self.state().holder(hash, purpose, now))
    }

    async fn verify_email(
        &self,
        hash: &Hash,
        now: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(holder) = state.holder(hash, MailPurpose::Verify, now) else {
            return Ok(false);
        };
        state.book.mail_tokens.remove(hash);
        state.book.verified.entry(holder.user).or_insert(now);
        self.outbox.push(fact);
        Ok(true)
    }

    async fn set_password(
        &self,
        new: &NewPassword,
        at: DateTime<Utc>,
        fact: OutboxEvent,
        closed: OutboxEvent,
    ) -> Result<Option<usize>, StoreError> {
        let mut state = self.state();
        if let Some(hash) = &new.token {
            let holder = state.holder(hash, MailPurpose::Reset, at);
            if holder.is_none_or(|holder| holder.user != new.user) {
                return Ok(None);
            }
            state.book.verified.entry(new.user).or_insert(at);
        }
        let account = state
            .accounts
            .get_mut(&new.user)
            .filter(|account| account.state == AccountState::Active)
            .filter(|account| new.instead_of.as_ref().is_none_or(|old| *old == account.password));
        let Some(account) = account else {
            return Ok(None);
        };
        account.password = new.hash.clone();
        let tokens = &mut state.book.mail_tokens;
        tokens.retain(|_, (purpose, user, _)| *purpose != MailPurpose::Reset || *user != new.user);
        let which = Which {
            workspace: None,
            except: new.keep,
        };
        self.outbox.push(fact);
        let ended = self.end_sessions(&mut state, new.user, which, at, &closed);
        Ok(Some(ended.len()))
    }

    async fn email_verified_at(&self, user: UserId) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(self.state().book.verified.get(&user).copied())
    }

    async fn sweep_mail_tokens(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let tokens = &mut self.state().book.mail_tokens;
        tokens.retain(|_, (_, _, end)| now < *end);
        Ok(())
    }
}
