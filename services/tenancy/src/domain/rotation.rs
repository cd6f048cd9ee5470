//! The change of a workspace's data key, as a row of steps. Each is kept before the next begins, and each may be done
//! twice, so that a process may end anywhere.

use causeway_context::WorkspaceId;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Ring;
use crate::page::TimePlace;

/// Where a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RotationStep {
    /// The new version is kept, and pending.
    Beginning,
    /// The new version seals. Rows under older ones are sealed anew.
    Reencrypting,
    /// Writes under older versions are being forbidden.
    Fencing,
    /// What slipped in before the fences were up is sealed anew; then all is counted.
    Verifying,
    /// Nothing lies under older versions. They are retiring and will be destroyed.
    Retiring,
    /// Done.
    Succeeded,
    /// Rows cannot be opened, so the older versions stay (ROT-03).
    Incomplete,
}

impl RotationStep {
    const ALL: [Self; 7] = [
        Self::Beginning,
        Self::Reencrypting,
        Self::Fencing,
        Self::Verifying,
        Self::Retiring,
        Self::Succeeded,
        Self::Incomplete,
    ];

    /// The word in tables.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Beginning => "beginning",
            Self::Reencrypting => "reencrypting",
            Self::Fencing => "fencing",
            Self::Verifying => "verifying",
            Self::Retiring => "retiring",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
        }
    }

    /// The step of that word.
    pub(crate) fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == word)
    }

    /// The word in messages, where the steps of a moment are not told apart.
    pub(crate) const fn shown(self) -> &'static str {
        match self {
            Self::Beginning | Self::Reencrypting => "reencrypting",
            Self::Fencing => "fencing",
            Self::Verifying | Self::Retiring => "verifying",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Who asked for a rotation, for the facts that come later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requester {
    /// The kind of caller.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The request.
    pub request: String,
}

/// What was counted in one table after the fences were up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The table with its schema.
    pub table: String,
    /// The rows of the workspace.
    pub rows: i64,
    /// Those under older versions.
    pub below: i64,
    /// When.
    pub at: DateTime<Utc>,
}

/// A row that no key opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnreadableRow {
    /// The table with its schema.
    pub table: String,
    /// The row's key.
    pub row: String,
    /// A stable word.
    pub reason: String,
}

/// A change of a workspace's data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The id.
    pub id: Uuid,
    /// The ring.
    pub ring: Ring,
    /// The version that sealed before; 0 if there was none.
    pub from_version: u32,
    /// The version that seals from now on.
    pub to_version: u32,
    /// Whether older versions stay readable.
    pub keep_previous: bool,
    /// Where it is.
    pub step: RotationStep,
    /// At which holder the pass is.
    pub holder: usize,
    /// Where in that holder, in its own words; empty at its start.
    pub cursor: String,
    /// Rows that lay under older versions at the start.
    pub total: i64,
    /// Rows sealed anew.
    pub done: i64,
    /// Rows that still lie under older versions.
    pub remaining: i64,
    /// Rows that no key opens.
    pub unreadable: i64,
    /// What was counted at the end.
    pub proof: Vec<Counted>,
    /// The versions that were destroyed.
    pub destroyed: Vec<u32>,
    /// Who asked for it.
    pub requester: Requester,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it last went on.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Rotation {
    /// Where it stands among those of its workspace.
    pub(crate) fn place(&self) -> TimePlace {
        TimePlace {
            at: self.started_at,
            id: self.id,
        }
    }

    /// How long the rest will take at the speed so far; nothing before there is a speed, and at the end.
    pub(crate) fn eta(&self) -> Option<TimeDelta> {
        let took = (self.updated_at - self.started_at).num_milliseconds();
        if self.finished_at.is_some() || self.done <= 0 || took <= 0 {
            return None;
        }
        let left = i128::from(self.remaining) * i128::from(took) / i128::from(self.done);
        i64::try_from(left).ok().and_then(TimeDelta::try_milliseconds)
    }

    /// Goes to that step, whose pass starts at the first holder.
    pub(crate) fn enter(&mut self, step: RotationStep) {
        self.step = step;
        self.holder = 0;
        self.cursor.clear();
    }

    /// Ends, one way or the other.
    pub(crate) fn finish(&mut self, step: RotationStep, at: DateTime<Utc>) {
        self.enter(step);
        self.finished_at = Some(at);
    }
}

/// The right to work on a workspace's rotation, for a while. One process at a time has it (ROT-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Known to who has it.
    pub token: Uuid,
    /// How long it holds from each step on.
    pub time: std::time::Duration,
}

/// What becomes of the versions with a step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyChange {
    /// Nothing.
    Keep,
    /// The pending version becomes active, and the active one opens only.
    Activate,
    /// Older versions are about to go.
    Retire,
    /// Retiring versions are destroyed: their wrapped bytes are overwritten by nothing.
    Destroy,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation() -> Rotation {
        Rotation {
            workspace: WorkspaceId::generate(),
            id: Uuid::now_v7(),
            ring: Ring::Data,
            from_version: 1,
            to_version: 2,
            keep_previous: false,
            step: RotationStep::Reencrypting,
            holder: 1,
            cursor: "c".to_owned(),
            total: 400,
            done: 0,
            remaining: 400,
            unreadable: 0,
            proof: Vec::new(),
            destroyed: Vec::new(),
            requester: Requester {
                kind: "user".to_owned(),
                id: "u".to_owned(),
                request: "r".to_owned(),
            },
            started_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            finished_at: None,
        }
    }

    #[test]
    fn the_rest_is_said_to_take_as_long_as_what_was_done() {
        let mut rotation = rotation();
        assert_eq!(rotation.eta(), None);
        (rotation.done, rotation.remaining) = (100, 300);
        rotation.updated_at += TimeDelta::seconds(10);
        assert_eq!(rotation.eta(), Some(TimeDelta::seconds(30)));
        rotation.finish(RotationStep::Succeeded, rotation.updated_at);
        assert_eq!(rotation.eta(), None);
    }

    #[test]
    fn a_new_step_starts_at_the_first_holder() {
        let mut rotation = rotation();
        rotation.enter(RotationStep::Verifying);
        assert_eq!((rotation.holder, rotation.cursor.as_str()), (0, ""));
    }

    #[test]
    fn every_word_of_a_step_is_read_back() {
        for step in RotationStep::ALL {
            assert_eq!(RotationStep::read(step.as_str()), Some(step));
        }
    }
}
