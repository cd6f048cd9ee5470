//! What an erasure leaves behind: its number and whom it was about.

use causeway_context::{UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

/// An erasure that was committed to. Everything that holds data applies it once, also after a restore (ERA-03).
#[derive(Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Its number in the ledger.
    pub number: i64,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// A person whose data in the workspace go; without one all of the workspace.
    pub subject: Option<UserId>,
    /// Persons who belong to no other workspace: their accounts go too.
    pub leavers: Vec<UserId>,
    /// Addresses of the person, for what is kept by address.
    pub addresses: Vec<String>,
}

/// A tombstone as the ledger has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Buried {
    /// The tombstone.
    pub tombstone: Tombstone,
    /// Whether its erasure is finished: then every schema has applied it.
    pub finished: bool,
}

/// What went out of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRows {
    /// The table with its schema.
    pub table: String,
    /// How many rows.
    pub rows: u64,
}

/// A part of an export. The parts of a table come one after the other; a table without rows has one empty part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The table with its schema.
    pub table: String,
    /// Rows as JSON objects, each followed by a line feed.
    pub lines: bytes::Bytes,
    /// How many they are.
    pub rows: u64,
}
