//! Persons, whichever way they come in.

use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, Utc};

use super::{Email, Invalid};

const LONGEST_REASON: usize = 200;

/// A person as the platform sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// The person.
    pub(crate) user: UserId,
    /// The address, if there is a local account.
    pub(crate) email: Option<Email>,
    /// The first workspace: its log tells what the platform decides about the person.
    pub(crate) home: WorkspaceId,
    /// Who keeps the person out, if somebody does.
    pub(crate) disabled: Option<Disabled>,
}

/// That a person is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disabled {
    /// Since when.
    pub(crate) at: DateTime<Utc>,
    /// By whom.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: Reason,
}

/// Why a person is kept out, in the words of whoever does it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reason(String);

impl Reason {
    /// The reason of a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.chars().count() > LONGEST_REASON || text.chars().any(char::is_control) {
            return Err("must be one line of at most 200 characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(Reason::parse(" left ").as_ref().map(Reason::as_str), Ok("left"));
        assert!(Reason::parse(&"x".repeat(200)).is_ok() && Reason::parse("").is_ok());
        assert!(Reason::parse(&"x".repeat(201)).is_err() && Reason::parse("a\nb").is_err());
    }
}
