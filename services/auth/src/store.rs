//! What the service keeps. Memory and PostgreSQL pass one suite, `conformance.rs`.
//!
//! Accounts and sessions belong to persons, tokens to workspaces. Ids and times are arguments. A change takes the fact
//! that it happened, and both become visible in one step.

#[cfg(test)]
mod conformance;
mod memory;
mod postgres;

use async_trait::async_trait;
use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use crate::domain::{
    Account, Claim, Email, Hash, Identity, Member, NewSession, PersonalToken, RefreshToken, Revocation,
    SessionToken,
};
use crate::page::Page;

pub(crate) use memory::MemoryStore;
pub(crate) use postgres::PgStore;

/// A cause, kept for the log.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A store that does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// What is to be added is there already.
    #[error("the row is there already")]
    Conflict(#[source] Cause),
    /// The store does not answer; a write may or may not have happened.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// A row does not hold what its column promises.
    #[error("a row cannot be read")]
    Corrupt(#[source] Cause),
}

/// Local accounts.
#[async_trait]
pub(crate) trait AccountStore: Send + Sync + 'static {
    /// Claims the address of `account`, which is pending. An account that [lapsed](Account::lapsed) is taken over: it
    /// keeps its ids and has the new password and claim.
    async fn claim_address(&self, account: &Account) -> Result<Claim, StoreError>;

    /// Finishes the registration that claimed the address at `claimed_at`. False, and no fact, if the account is not
    /// pending or was taken over.
    async fn activate_account(
        &self,
        user: UserId,
        claimed_at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// The account with that address.
    async fn find_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError>;

    /// The account of a person.
    async fn find_account(&self, user: UserId) -> Result<Option<Account>, StoreError>;
}

/// Persons whom identity providers prove.
#[async_trait]
pub(crate) trait IdentityStore: Send + Sync + 'static {
    /// Adds a person, unless the identity is known; answers the one who is kept. Of many at once, one is added, and all
    /// get that one.
    async fn claim_identity(&self, member: &Member) -> Result<Member, StoreError>;

    /// Finishes the first sign-in of a person. False, and no fact, if it is finished or the person is not known.
    async fn activate_identity(&self, user: UserId, fact: OutboxEvent) -> Result<bool, StoreError>;

    /// The person with that identity.
    async fn find_identity(&self, identity: &Identity) -> Result<Option<Member>, StoreError>;
}

/// Sessions and their refresh tokens.
#[async_trait]
pub(crate) trait SessionStore: Send + Sync + 'static {
    /// Adds a session with its first refresh token. False, with nothing changed, if its proof was used before; of many
    /// at once, one succeeds. Proofs that ended before the session was opened are forgotten.
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<bool, StoreError>;

    /// The refresh token with that hash, and its session.
    async fn find_refresh_token(&self, hash: &Hash) -> Result<Option<SessionToken>, StoreError>;

    /// Marks the token `used` as used at the time that `successor` was issued, and adds `successor`. False, with
    /// nothing changed, if the token was used before, ended, or its session is closed. Of many at once, one succeeds.
    async fn rotate(&self, used: &Hash, successor: &RefreshToken) -> Result<bool, StoreError>;

    /// Ends a session. False, and no fact, if it had ended or does not exist.
    async fn close_session(
        &self,
        session: SessionId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;
}

/// Personal access tokens.
#[async_trait]
pub(crate) trait TokenStore: Send + Sync + 'static {
    /// Adds a token under the hash of its secret.
    async fn insert_token(
        &self,
        token: &PersonalToken,
        hash: &Hash,
        fact: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// The person's tokens in the workspace that were not revoked, newest first.
    async fn list_tokens(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        page: Page,
    ) -> Result<Vec<PersonalToken>, StoreError>;

    /// Revokes a token of the person. The fact is kept only if it was alive.
    async fn revoke_token(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        token: TokenId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Revocation, StoreError>;

    /// The token with that hash, of whatever workspace: the only question that spans tenants.
    async fn find_token(&self, hash: &Hash) -> Result<Option<PersonalToken>, StoreError>;

    /// Notes that the token was used, unless a later use is noted.
    async fn touch_token(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}

/// All that the service keeps.
pub(crate) trait AuthStore: AccountStore + IdentityStore + SessionStore + TokenStore {}

impl<S: AccountStore + IdentityStore + SessionStore + TokenStore> AuthStore for S {}
