//! What the service keeps. Memory and PostgreSQL pass one suite, `conformance.rs`.
//!
//! Accounts and sessions belong to persons, tokens to workspaces. Ids and times are arguments. A change takes the fact
//! that it happened, and both become visible in one step.

#[cfg(test)]
pub(crate) mod conformance;
mod factor;
pub(crate) mod guesses;
pub(crate) mod history;
mod memory;
pub(crate) mod persons;
mod postgres;
pub(crate) mod recovery;

use async_trait::async_trait;
use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use causeway_crypto::StoredSecret;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::{
    Account, Claim, Client, ClientId, Email, Hash, Identity, Member, NewSession, Opened, PersonalToken,
    Proof, RefreshToken, Revocation, Session, SessionToken, Whose,
};
use crate::page::Page;

pub(crate) use crate::data::store::DataStore;
pub(crate) use causeway_revocation::Revocation as Revoked;
pub(crate) use factor::FactorStore;
pub(crate) use guesses::GuessStore;
pub(crate) use history::HistoryStore;
pub(crate) use memory::MemoryStore;
pub(crate) use persons::PersonStore;
pub(crate) use postgres::PgStore;
pub(crate) use recovery::RecoveryStore;

/// A cause, kept for the log.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A store that does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// What is to be added is there already.
    #[error("the row is there already")]
    Conflict(#[source] Cause),
    /// The workspace was erased.
    #[error("the workspace is erased")]
    Erased,
    /// The store does not answer; a write may or may not have happened.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// A sealed value lies under a data key that may not be written any more (ROT-05): seal it anew.
    #[error("the data key may not be written any more")]
    Fenced,
    /// A row does not hold what its column promises.
    #[error("a row cannot be read")]
    Corrupt(#[source] Cause),
}

/// The longest life of an access token: for so long gateways are told of a session that ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessLife(pub(crate) TimeDelta);

impl Default for AccessLife {
    fn default() -> Self {
        Self(TimeDelta::minutes(15))
    }
}

/// The fact that one of several sessions ended, in the log of its workspace.
fn closed_fact(fact: &OutboxEvent, session: SessionId, workspace: WorkspaceId) -> OutboxEvent {
    let fact = fact.clone().in_workspace(workspace);
    OutboxEvent {
        id: Uuid::now_v7(),
        ..fact.target("session", session.to_string())
    }
}

/// The action of the fact that somebody signed in from where they did not before.
const NEW_PLACE: &str = "login.new_place";

/// The fact that a session was opened from a new network, or by a new program, after the fact that it was opened.
fn new_place_fact(opened: &OutboxEvent, session: &Session, network: bool, agent: bool) -> OutboxEvent {
    let fact = OutboxEvent {
        id: Uuid::now_v7(),
        action: NEW_PLACE.to_owned(),
        ..opened.clone()
    };
    fact.detail("network", session.trace.network.as_str())
        .detail("agent", session.trace.agent.as_str())
        .detail("new_network", network)
        .detail("new_agent", agent)
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

    /// Notes that something was used which counts once. False if it was before; of many at once, one succeeds. Proofs that
    /// ended before `now` are forgotten.
    async fn use_proof(&self, proof: &Proof, now: DateTime<Utc>) -> Result<bool, StoreError>;
}

/// Sessions and their refresh tokens.
#[async_trait]
pub(crate) trait SessionStore: Send + Sync + 'static {
    /// Adds a session with its first refresh token, and the sign-in to the person's history. Nothing is changed if its
    /// proof was used before, of which one of many at once succeeds, if its password is not the account's any more, or if
    /// the person is kept out. Of somebody who signed in before and comes from a new place a second fact tells.
    /// Proofs that ended before the session was opened are forgotten.
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<Opened, StoreError>;

    /// The refresh token with that hash, and its session.
    async fn find_refresh_token(&self, hash: &Hash) -> Result<Option<SessionToken>, StoreError>;

    /// Marks the token `used` as used at the time that `successor` was issued, adds `successor`, and lets the session
    /// live as long. False, with nothing added, if the token was used before, ended, or its session is closed or over.
    /// Of many at once, one succeeds.
    async fn rotate(&self, used: &Hash, successor: &RefreshToken) -> Result<bool, StoreError>;

    /// A session.
    async fn find_session(&self, session: SessionId) -> Result<Option<Session>, StoreError>;

    /// Ends a session, which every gateway is told (REF-06). False, and no fact, if it had ended or does not exist.
    async fn close_session(
        &self,
        session: SessionId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;
}

/// Personal access tokens and API keys.
#[async_trait]
pub(crate) trait TokenStore: Send + Sync + 'static {
    /// Adds a token under the stored form of its secret.
    async fn insert_token(
        &self,
        token: &PersonalToken,
        stored: &StoredSecret,
        fact: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// The tokens in the workspace that were not revoked, newest first.
    async fn list_tokens(
        &self,
        workspace: WorkspaceId,
        whose: Whose,
        page: Page,
    ) -> Result<Vec<PersonalToken>, StoreError>;

    /// Revokes a token. The fact is kept only if it was alive.
    async fn revoke_token(
        &self,
        workspace: WorkspaceId,
        whose: Whose,
        token: TokenId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Revocation, StoreError>;

    /// The token with one of those hashes, of whatever workspace, and its stored form.
    async fn find_token(&self, hashes: &[Hash]) -> Result<Option<(PersonalToken, StoredSecret)>, StoreError>;

    /// A token by its id.
    async fn token_by_id(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
    ) -> Result<Option<PersonalToken>, StoreError>;

    /// Stores a token's secret in another form. Nothing happens if it does not lie in the old one any more.
    async fn rehash_token(&self, old: &Hash, new: &StoredSecret) -> Result<(), StoreError>;

    /// Notes that the token was used, unless a later use is noted.
    async fn touch_token(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;
}

/// OAuth clients, and what of theirs was revoked.
#[async_trait]
pub(crate) trait ClientStore: Send + Sync + 'static {
    /// Adds a client with its secrets.
    async fn insert_client(&self, client: &Client, fact: OutboxEvent) -> Result<(), StoreError>;

    /// The workspace's clients that were not ended, newest first.
    async fn list_clients(&self, workspace: WorkspaceId, page: Page) -> Result<Vec<Client>, StoreError>;

    /// A client of the workspace, ended or not.
    async fn find_client(&self, workspace: WorkspaceId, id: ClientId) -> Result<Option<Client>, StoreError>;

    /// The workspace of a client: a question that spans tenants.
    async fn workspace_of_client(&self, id: ClientId) -> Result<Option<WorkspaceId>, StoreError>;

    /// The client of which one of those hashes is a stored secret, in force or not: a question that spans tenants.
    async fn client_of_secret(&self, hashes: &[Hash]) -> Result<Option<(WorkspaceId, ClientId)>, StoreError>;

    /// Keeps a changed client under its next revision, and tells every gateway what of it `ended`. False, with nothing
    /// changed and no fact, if it was changed since `client` was read, or is not there.
    async fn change_client(
        &self,
        client: &Client,
        ended: Option<Revoked>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Stores a client's secret in another form. Nothing happens if it is gone.
    async fn rehash_client_secret(
        &self,
        workspace: WorkspaceId,
        secret: Uuid,
        new: &StoredSecret,
    ) -> Result<(), StoreError>;

    /// Revokes one access token that hangs on a machine's credential. False, and no fact, if it was before. Those that
    /// ended before `at` are forgotten.
    async fn revoke_access_token(
        &self,
        token: &RevokedAccess,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// The ids of the credential's access tokens that were revoked and have not ended at `now`.
    async fn revoked_access_tokens(
        &self,
        workspace: WorkspaceId,
        credential: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError>;
}

/// An access token to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevokedAccess {
    /// Its workspace.
    pub(crate) workspace: WorkspaceId,
    /// Its id.
    pub(crate) jti: String,
    /// The machine's credential on which it hangs.
    pub(crate) credential: String,
    /// When it ends by itself.
    pub(crate) expires_at: DateTime<Utc>,
}

/// All that the service keeps.
pub(crate) trait AuthStore:
    AccountStore
    + IdentityStore
    + SessionStore
    + TokenStore
    + ClientStore
    + FactorStore
    + GuessStore
    + HistoryStore
    + PersonStore
    + RecoveryStore
    + DataStore
{
}

impl<
    S: AccountStore
        + IdentityStore
        + SessionStore
        + TokenStore
        + ClientStore
        + FactorStore
        + GuessStore
        + HistoryStore
        + PersonStore
        + RecoveryStore
        + DataStore,
> AuthStore for S
{
}
