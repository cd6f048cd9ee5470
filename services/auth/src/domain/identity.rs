//! Persons whom an identity provider proves.

use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};

use super::{AccountState, Hash};

/// For how much longer than it lives a proof is remembered: clocks differ.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

/// A way in beside the local password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Provider {
    /// Clerk's session tokens.
    Clerk,
    /// ID tokens of any provider of OpenID Connect, Google too: which one, says the issuer.
    Oidc,
}

impl Provider {
    /// The word in the store and in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Clerk => "clerk",
            Self::Oidc => "oidc",
        }
    }

    /// The provider of that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Clerk, Self::Oidc]
            .into_iter()
            .find(|provider| provider.as_str() == word)
    }
}

/// A person as a provider knows it (EXC-07). Addresses are no part of it: they change hands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Who proves it.
    pub(crate) provider: Provider,
    /// Which instance of the provider.
    pub(crate) issuer: String,
    /// The person there.
    pub(crate) subject: String,
}

/// A person here whom a provider proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// How the person is proven.
    pub(crate) identity: Identity,
    /// The person.
    pub(crate) user: UserId,
    /// How far the first sign-in came.
    pub(crate) state: AccountState,
    /// The first workspace; its id is chosen here, before it exists.
    pub(crate) home: WorkspaceId,
    /// When the first sign-in began.
    pub(crate) first_seen_at: DateTime<Utc>,
}

/// A provider's token that may become a refresh token once (EXC-06).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The hash of its issuer and its id.
    pub(crate) hash: Hash,
    /// Until when it has to be remembered.
    pub(crate) expires_at: DateTime<Utc>,
}

impl Proof {
    /// The proof that is the token `id` of `issuer`, which ends at `end`.
    pub(crate) fn new(issuer: &str, id: &str, end: DateTime<Utc>) -> Self {
        // A length, so that no two pairs read the same.
        let text = format!("{}:{issuer}{id}", issuer.len());
        Self {
            hash: causeway_crypto::token::hash(&text),
            expires_at: end.checked_add_signed(MARGIN).unwrap_or(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_two_issuers_never_meet() {
        let proof = |issuer, id| Proof::new(issuer, id, DateTime::UNIX_EPOCH);
        assert_eq!(proof("a", "bc"), proof("a", "bc"));
        assert_ne!(proof("a", "bc"), proof("ab", "c"));
        assert_ne!(proof("a", "b"), proof("b", "b"));
    }

    #[test]
    fn a_provider_has_one_word() {
        for provider in [Provider::Clerk, Provider::Oidc] {
            assert_eq!(Provider::parse(provider.as_str()), Some(provider));
        }
        assert_eq!(Provider::parse("clark"), None);
    }
}
