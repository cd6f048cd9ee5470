//! The data keys of a workspace: two rings of versions, and what a version may do.

use causeway_context::WorkspaceId;
use causeway_crypto::WrappedKey;
use chrono::{DateTime, Utc};

use super::Invalid;

/// For what a data key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ring {
    /// What Causeway stores. It knows every row and can seal it anew.
    Data,
    /// What the crypto API sealed: others store it, nobody here knows where.
    Transit,
}

impl Ring {
    /// Every ring.
    pub(crate) const ALL: [Self; 2] = [Self::Data, Self::Transit];

    /// The word in messages and tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Transit => "transit",
        }
    }

    /// The ring of that word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(word: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|ring| ring.as_str() == word);
        known.ok_or("must be data or transit")
    }

    /// What is authenticated with a wrapped key, so that one of `transit` cannot be put into `data`. The other way is
    /// open, for the keys of the first release: it gains nobody a key that could not be had before.
    pub(crate) const fn purpose(self) -> &'static str {
        match self {
            Self::Data => "workspace data",
            Self::Transit => "transit",
        }
    }
}

/// What a version of a data key may do. It only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// It is kept, and nothing is sealed under it yet (ROT-01).
    Pending,
    /// It seals and opens. At most one version of a ring.
    Active,
    /// It opens.
    DecryptOnly,
    /// Nothing lies under it, which was counted; it is about to be destroyed.
    Retiring,
    /// It is gone, for good.
    Destroyed,
}

impl KeyState {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::Active,
        Self::DecryptOnly,
        Self::Retiring,
        Self::Destroyed,
    ];

    /// The word in messages and tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::DecryptOnly => "decrypt_only",
            Self::Retiring => "retiring",
            Self::Destroyed => "destroyed",
        }
    }

    /// The state of that word.
    pub(crate) fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A version of a data key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The ring.
    pub ring: Ring,
    /// The version, counted from 1 in each ring.
    pub version: u32,
    /// What it may do.
    pub state: KeyState,
    /// The wrapped bytes and the key-encryption key that wrapped them; nothing once it is destroyed.
    pub wrapped: Option<WrappedKey>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was destroyed.
    pub destroyed_at: Option<DateTime<Utc>>,
}

impl StoredKey {
    /// What can be unwrapped of it; nothing once it is destroyed.
    pub(crate) fn usable(self) -> Option<WrappedDataKey> {
        Some(WrappedDataKey {
            workspace: self.workspace,
            ring: self.ring,
            version: self.version,
            wrapped: self.wrapped?,
        })
    }

    /// Where it stands among those of its workspace.
    pub(crate) fn place(&self) -> KeyPlace {
        KeyPlace {
            ring: self.ring,
            version: self.version,
        }
    }
}

/// A data key of a workspace that is not destroyed, wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrappedDataKey {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The ring.
    pub ring: Ring,
    /// The version.
    pub version: u32,
    /// The wrapped bytes and the key-encryption key that wrapped them.
    pub wrapped: WrappedKey,
}

/// A place in the list of a workspace's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyPlace {
    /// The ring.
    pub ring: Ring,
    /// The version.
    pub version: u32,
}

/// A key that is wrapped anew: the key within stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewrapped {
    /// As it was.
    pub before: WrappedDataKey,
    /// As it is to be.
    pub after: WrappedKey,
}
