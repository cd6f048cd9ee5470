//! Tokens that go by mail, and what they change.

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::domain::{Email, Hash, MailPurpose, PasswordHash};

/// A token that was mailed, to a person who exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailToken {
    /// What is stored of its text.
    pub(crate) hash: Hash,
    /// What it does.
    pub(crate) purpose: MailPurpose,
    /// Since when.
    pub(crate) created_at: DateTime<Utc>,
    /// Until when.
    pub(crate) expires_at: DateTime<Utc>,
}

/// Whose token it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The person.
    pub(crate) user: UserId,
    /// The address.
    pub(crate) email: Email,
    /// The workspace in whose log it is told.
    pub(crate) home: WorkspaceId,
}

/// A password to set.
#[derive(Debug, Clone)]
pub(crate) struct NewPassword {
    /// The account.
    pub(crate) user: UserId,
    /// The hash of the new one.
    pub(crate) hash: PasswordHash,
    /// The one that must be the account's still, if the person proved it.
    pub(crate) instead_of: Option<PasswordHash>,
    /// The session that goes on.
    pub(crate) keep: Option<SessionId>,
    /// The mailed token that is used up, if the person came by one.
    pub(crate) token: Option<Hash>,
}

/// Mailed tokens, addresses and passwords.
#[async_trait]
pub(crate) trait RecoveryStore: Send + Sync + 'static {
    /// Adds a token for the active account with that address, if there is one that can use it: one whose address is
    /// proven needs no proof of it, and one whose person is kept out none at all. One statement either way. Answers
    /// whether there is.
    async fn issue_mail_token(&self, email: &Email, token: &MailToken) -> Result<bool, StoreError>;

    /// Whose token that is, if it is good for that.
    async fn find_mail_token(
        &self,
        hash: &Hash,
        purpose: MailPurpose,
        now: DateTime<Utc>,
    ) -> Result<Option<Holder>, StoreError>;

    /// Uses a token up and notes that its holder's address is proven. False, and no fact, if it is not good any more.
    async fn verify_email(
        &self,
        hash: &Hash,
        now: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Sets a password, ends the person's sessions and the tokens that would set another, and keeps `fact`, and
    /// `closed` for each session that ended. Answers how many did; nothing, with nothing changed, if the token was used
    /// or the password is another by now.
    async fn set_password(
        &self,
        new: &NewPassword,
        at: DateTime<Utc>,
        fact: OutboxEvent,
        closed: OutboxEvent,
    ) -> Result<Option<usize>, StoreError>;

    /// When the address of the account was proven.
    async fn email_verified_at(&self, user: UserId) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// Forgets tokens that have ended.
    async fn sweep_mail_tokens(&self, now: DateTime<Utc>) -> Result<(), StoreError>;
}
