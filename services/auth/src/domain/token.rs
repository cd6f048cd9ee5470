//! Personal access tokens, which belong to a person, and API keys, which belong to a workspace.

use causeway_context::{TokenId, UserId, WorkspaceId};
use causeway_contracts::PermissionSet;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Invalid, name};

const DEFAULT_LIFE: TimeDelta = TimeDelta::days(90);
const LONGEST_LIFE: TimeDelta = TimeDelta::days(366);
/// How exactly the last use is known: a write per use would cost more than the use.
const USE_RESOLUTION: TimeDelta = TimeDelta::minutes(1);

/// What an opaque token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A person.
    Personal,
    /// A program of a workspace.
    Key,
}

impl TokenKind {
    /// The word in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Key => "key",
        }
    }

    /// The kind of that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Personal, Self::Key]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// Whose tokens are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The personal access tokens of that person.
    Person(UserId),
    /// The API keys of the workspace.
    Workspace,
}

impl Whose {
    /// Whether the token is one of them.
    pub(crate) fn includes(self, token: &PersonalToken) -> bool {
        match self {
            Self::Person(user) => token.kind == TokenKind::Personal && token.user == user,
            Self::Workspace => token.kind == TokenKind::Key,
        }
    }
}

/// What is kept of an opaque token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonalToken {
    /// What it stands for.
    pub(crate) kind: TokenKind,
    /// The id.
    pub(crate) id: TokenId,
    /// The workspace it is good for.
    pub(crate) workspace: WorkspaceId,
    /// The person it stands for; of an API key the person who granted its scopes.
    pub(crate) user: UserId,
    /// The name.
    pub(crate) name: TokenName,
    /// To which permissions it is narrowed; empty narrows nothing. An API key has some.
    pub(crate) scopes: Vec<String>,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When it ends.
    pub(crate) expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub(crate) last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub(crate) revoked_at: Option<DateTime<Utc>>,
    /// The end of the secret.
    pub(crate) last_four: String,
}

impl PersonalToken {
    /// Whether it is in force.
    pub(crate) fn alive(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Whether a use now is worth writing down.
    pub(crate) fn use_is_news(&self, now: DateTime<Utc>) -> bool {
        self.last_used_at.is_none_or(|last| last + USE_RESOLUTION <= now)
    }
}

/// How a revocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// The token was alive and is revoked now.
    Done,
    /// It was revoked before.
    Before,
    /// The person has no such token.
    Missing,
}

/// The name of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenName(String);

impl TokenName {
    /// The name of a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        name(text).map(Self)
    }

    /// A name as the store holds it.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Permissions to which a token is narrowed, each of which its maker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scopes(pub(crate) Vec<String>);

impl Scopes {
    /// The scopes of a request, each once.
    ///
    /// # Errors
    /// The indexes of those that the maker does not hold. A permission that does not exist is one of them.
    pub(crate) fn of(asked: Vec<String>, held: &PermissionSet) -> Result<Self, Vec<usize>> {
        let missing: Vec<usize> = asked
            .iter()
            .enumerate()
            .filter(|(_, scope)| !held.contains(scope))
            .map(|(index, _)| index)
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut scopes: Vec<String> = Vec::with_capacity(asked.len());
        for scope in asked {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(Self(scopes))
    }
}

/// When a token that is made now ends.
///
/// # Errors
/// What is wrong with the end that was asked for.
pub(crate) fn lifetime(asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let end = asked.unwrap_or(now + DEFAULT_LIFE);
    if end <= now {
        return Err("must be in the future");
    }
    if end > now + LONGEST_LIFE {
        return Err("must be at most 366 days from now");
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn scopes_are_a_part_of_what_the_maker_holds() {
        let held = ["secrets.read", "secrets.write"].iter().collect();
        assert_eq!(
            Scopes::of(words(&["secrets.read", "secrets.read"]), &held),
            Ok(Scopes(words(&["secrets.read"])))
        );
        assert_eq!(
            Scopes::of(words(&["secrets.read", "keys.read", "x"]), &held),
            Err(vec![1, 2])
        );
    }

    #[test]
    fn a_token_ends_within_366_days() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        assert_eq!(lifetime(None, now), Ok(now + TimeDelta::days(90)));
        assert_eq!(
            lifetime(Some(now + LONGEST_LIFE), now),
            Ok(now + TimeDelta::days(366))
        );
        assert!(lifetime(Some(now + LONGEST_LIFE + TimeDelta::microseconds(1)), now).is_err());
        assert!(lifetime(Some(now), now).is_err());
    }
}
