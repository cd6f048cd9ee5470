//! Exports of a workspace. No IO and no clock.

use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Invalid;
use crate::page::TimePlace;

/// How long the bytes are kept.
pub(crate) const LIFE: TimeDelta = TimeDelta::days(7);
/// The bytes lie in pieces of this size; the last one may be smaller.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
/// How often an export is tried.
pub(crate) const ATTEMPTS: u32 = 3;

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportState {
    /// It is being made.
    Running,
    /// It can be fetched.
    Ready,
    /// It could not be made.
    Failed,
    /// Its bytes are gone.
    Expired,
}

impl ExportState {
    const ALL: [Self; 4] = [Self::Running, Self::Ready, Self::Failed, Self::Expired];

    /// The word in messages and tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }

    /// The state of that word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(word: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == word);
        known.ok_or("is no state of an export")
    }
}

/// A table in an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportedTable {
    /// The table with its schema.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// Hex of the SHA-256 of its lines.
    pub sha256: String,
}

/// What an export turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Content {
    /// How many bytes it has.
    pub size_bytes: u64,
    /// Hex of the SHA-256 of those bytes.
    pub sha256: String,
    /// What is in it.
    pub tables: Vec<ExportedTable>,
}

/// An export of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    /// The id.
    pub id: Uuid,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who asked for it; none when that person was erased, or is a program.
    pub requested_by: Option<UserId>,
    /// How far it is.
    pub state: ExportState,
    /// To whom it is encrypted.
    pub age_recipient: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its bytes go.
    pub expires_at: DateTime<Utc>,
    /// What it is, once it is ready.
    pub content: Content,
}

impl Export {
    /// Where it stands among those of its workspace.
    pub(crate) fn place(&self) -> TimePlace {
        TimePlace {
            at: self.created_at,
            id: self.id,
        }
    }
}

/// Checks an age recipient: a public key of the form `age1...`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn recipient(text: &str) -> Result<Option<String>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<age::x25519::Recipient>() {
        Ok(recipient) => Ok(Some(recipient.to_string())),
        Err(_) => Err("must be an age recipient (age1...)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_a_public_key_of_age() {
        let identity = age::x25519::Identity::generate();
        let public = identity.to_public().to_string();
        assert_eq!(recipient(&public), Ok(Some(public)));
        assert_eq!(recipient(""), Ok(None));
        for wrong in ["age1", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1"] {
            assert!(recipient(wrong).is_err(), "{wrong}");
        }
    }
}
