//! Erasures and their receipts. No IO and no clock.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use causeway_context::{UserId, WorkspaceId};
use causeway_holder::ErasedRows;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Invalid;
use crate::page::TimePlace;

const FURTHEST: TimeDelta = TimeDelta::days(90);
/// The hash before the first receipt.
pub(crate) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErasureState {
    /// It waits for its time, and can be taken back.
    Scheduled,
    /// It has begun. From the first tombstone on nothing stops it.
    Running,
    /// It is done.
    Succeeded,
    /// It was taken back, or had become impossible before it began.
    Cancelled,
}

impl ErasureState {
    const ALL: [Self; 4] = [Self::Scheduled, Self::Running, Self::Succeeded, Self::Cancelled];

    /// The word in messages and tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(word: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == word);
        known.ok_or("is no state of an erasure")
    }
}

/// An erasure of a workspace, or of one person in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// The id.
    pub id: Uuid,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person; without one the whole workspace.
    pub subject: Option<UserId>,
    /// How far it is.
    pub state: ErasureState,
    /// Who asked for it.
    pub requested_by: UserId,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it is to begin.
    pub scheduled_for: DateTime<Utc>,
    /// Once it has succeeded.
    pub receipt: Option<Receipt>,
}

impl Erasure {
    /// Where it stands among those of its workspace.
    pub(crate) fn place(&self) -> TimePlace {
        TimePlace {
            at: self.requested_at,
            id: self.id,
        }
    }
}

/// When an erasure that is ordered now begins.
///
/// # Errors
/// What is wrong with the time that was asked for.
pub(crate) fn beginning(asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let begins = asked.unwrap_or(now);
    if begins < now {
        return Err("must not be in the past");
    }
    if begins > now + FURTHEST {
        return Err("must be at most 90 days from now");
    }
    Ok(begins)
}

/// What an erasure leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retained {
    /// What.
    pub what: String,
    /// Why, and for how long.
    pub why: String,
}

/// What was done, for the ledger (ERA-06).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// When the last row was gone here.
    pub completed_at: DateTime<Utc>,
    /// When the last backup that may hold the keys has run out.
    pub effective_at: DateTime<Utc>,
    /// How many data keys were destroyed.
    pub destroyed_keys: u64,
    /// Table by table.
    pub counts: Vec<ErasedRows>,
    /// What stays.
    pub retained: Vec<Retained>,
}

/// An entry of the ledger. Each names the one before it by its hash, so none can be changed or left out unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The place in the ledger, from 1.
    pub sequence: u64,
    /// The erasure.
    pub erasure: Uuid,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person.
    pub subject: Option<UserId>,
    /// Who asked for it.
    pub requested_by: UserId,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// What was done.
    pub done: Done,
    /// Hex of the receipt before.
    pub previous_hash: String,
    /// Hex of this receipt.
    pub hash: String,
}

impl Receipt {
    /// The receipt of an erasure, after the receipt with that sequence and hash.
    pub(crate) fn after(last: u64, previous_hash: &str, erasure: &Erasure, done: Done) -> Self {
        let mut receipt = Self {
            sequence: last + 1,
            erasure: erasure.id,
            workspace: erasure.workspace,
            subject: erasure.subject,
            requested_by: erasure.requested_by,
            requested_at: erasure.requested_at,
            done,
            previous_hash: previous_hash.to_owned(),
            hash: String::new(),
        };
        receipt.hash = receipt.computed_hash();
        receipt
    }

    /// The hash that its other fields give: another than its own when one of them was changed.
    pub(crate) fn computed_hash(&self) -> String {
        hex(digest(&SHA256, &self.canonical()).as_ref())
    }

    /// The canonical JSON (RFC 8785) of all fields but the hash, named and written as clients see them. Names are ASCII
    /// and sorted, numbers are integers, and strings are escaped by `serde_json` as the RFC wants.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let object = |pairs: Vec<(&str, Value)>| {
            let sorted: BTreeMap<String, Value> = pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            Value::Object(sorted.into_iter().collect())
        };
        let counts = self.done.counts.iter();
        let counts = counts.map(|count| {
            object(vec![
                ("rows", count.rows.into()),
                ("table", count.table.clone().into()),
            ])
        });
        let retained = self.done.retained.iter();
        let retained = retained.map(|kept| {
            object(vec![
                ("what", kept.what.clone().into()),
                ("why", kept.why.clone().into()),
            ])
        });
        let subject = self
            .subject
            .map(|subject| subject.to_string())
            .unwrap_or_default();
        let document = object(vec![
            ("sequence", self.sequence.into()),
            ("erasure_id", self.erasure.to_string().into()),
            ("workspace_id", self.workspace.to_string().into()),
            ("subject", subject.into()),
            ("requested_by", self.requested_by.to_string().into()),
            ("requested_at", time(self.requested_at).into()),
            ("completed_at", time(self.done.completed_at).into()),
            ("effective_at", time(self.done.effective_at).into()),
            ("destroyed_keys", self.done.destroyed_keys.into()),
            ("counts", counts.collect::<Vec<_>>().into()),
            ("retained", retained.collect::<Vec<_>>().into()),
            ("previous_hash", self.previous_hash.clone().into()),
        ]);
        document.to_string().into_bytes()
    }
}

/// As the outside spells it, so that a client can compute the hash from what it sees.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure() -> Erasure {
        let at = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        Erasure {
            id: Uuid::from_u128(1),
            workspace: WorkspaceId(Uuid::from_u128(2)),
            subject: None,
            state: ErasureState::Running,
            requested_by: UserId(Uuid::from_u128(3)),
            requested_at: at,
            scheduled_for: at,
            receipt: None,
        }
    }

    fn done() -> Done {
        Done {
            completed_at: erasure().requested_at,
            effective_at: erasure().requested_at + TimeDelta::days(7),
            destroyed_keys: 2,
            counts: vec![ErasedRows {
                table: "tenancy.members".to_owned(),
                rows: 3,
            }],
            retained: vec![],
        }
    }

    #[test]
    fn the_canonical_form_is_sorted_and_without_spaces() {
        let receipt = Receipt::after(0, NO_HASH, &erasure(), done());
        let text = String::from_utf8(receipt.canonical()).expect("text");
        assert_eq!(
            text,
            format!(
                "{{\"completed_at\":\"2026-09-21T14:13:20Z\",\"counts\":[{{\"rows\":3,\"table\":\"tenancy.members\"}}],\
                 \"destroyed_keys\":2,\"effective_at\":\"2026-09-28T14:13:20Z\",\
                 \"erasure_id\":\"00000000-0000-0000-0000-000000000001\",\"previous_hash\":\"{NO_HASH}\",\
                 \"requested_at\":\"2026-09-21T14:13:20Z\",\
                 \"requested_by\":\"00000000-0000-0000-0000-000000000003\",\"retained\":[],\"sequence\":1,\
                 \"subject\":\"\",\"workspace_id\":\"00000000-0000-0000-0000-000000000002\"}}"
            )
        );
    }

    #[test]
    fn a_changed_receipt_does_not_have_its_hash() {
        let first = Receipt::after(0, NO_HASH, &erasure(), done());
        assert_eq!(first.hash, first.computed_hash());
        let second = Receipt::after(first.sequence, &first.hash, &erasure(), done());
        assert_eq!(
            (second.sequence, second.previous_hash.as_str()),
            (2, first.hash.as_str())
        );
        let mut changed = second.clone();
        changed.done.counts[0].rows = 4;
        assert_ne!(changed.computed_hash(), second.hash);
        let mut moved = second.clone();
        moved.previous_hash = NO_HASH.to_owned();
        assert_ne!(moved.computed_hash(), second.hash);
    }

    #[test]
    fn an_erasure_begins_within_ninety_days() {
        let now = erasure().requested_at;
        assert_eq!(beginning(None, now), Ok(now));
        assert!(beginning(Some(now - TimeDelta::seconds(1)), now).is_err());
        assert!(beginning(Some(now + TimeDelta::days(90)), now).is_ok());
        assert!(beginning(Some(now + TimeDelta::days(91)), now).is_err());
    }
}
