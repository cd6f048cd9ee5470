//! Local accounts.

use std::fmt;

use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Email, Invalid, PasswordHash, name};

/// How long an unfinished registration keeps its address from others.
const CLAIM: TimeDelta = TimeDelta::minutes(15);

/// How far a registration, or a first sign-in, came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountState {
    /// The address is claimed; the workspace may not exist yet. Cannot log in.
    Pending,
    /// Done.
    Active,
}

impl AccountState {
    /// The word in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
        }
    }

    /// The state of that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Active]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// A person with an address and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The person.
    pub(crate) user: UserId,
    /// The address.
    pub(crate) email: Email,
    /// What is kept of the password.
    pub(crate) password: PasswordHash,
    /// How far the registration came.
    pub(crate) state: AccountState,
    /// The first workspace; its id is chosen here, before it exists.
    pub(crate) home: WorkspaceId,
    /// When the registration that made or took over this account began; names that registration.
    pub(crate) claimed_at: DateTime<Utc>,
}

impl Account {
    /// Whether the address is free for another registration: this one was not finished in time. Its person and
    /// workspace are taken over with it, so nothing is left behind; nobody ever logged in with them.
    pub(crate) fn lapsed(&self, now: DateTime<Utc>) -> bool {
        self.state == AccountState::Pending && self.claimed_at < now - CLAIM
    }
}

/// How a claim on an address ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The address is claimed; the account holds the ids that count.
    Made(Account),
    /// Somebody has it, or is about to.
    Taken(Account),
}

/// The name of a workspace to be made.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct WorkspaceName(String);

impl WorkspaceName {
    /// The name of a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        name(text).map(Self)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkspaceName(..)")
    }
}
