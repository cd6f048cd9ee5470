//! Sessions and their refresh tokens.

use causeway_context::{SessionId, UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Hash, Proof};

/// For how long a rotated token still answers with its successor, as long as that was not used (REF-03): the answer to
/// the rotation may have been lost.
const GRACE: TimeDelta = TimeDelta::seconds(30);

/// One login of a person in one workspace: the family of its refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The id.
    pub(crate) id: SessionId,
    /// The person.
    pub(crate) user: UserId,
    /// The workspace entered.
    pub(crate) workspace: WorkspaceId,
    /// Since when.
    pub(crate) opened_at: DateTime<Utc>,
    /// When it ended.
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

/// A refresh token without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// The keyed hash of the text.
    pub(crate) hash: Hash,
    /// The session it continues.
    pub(crate) session: SessionId,
    /// When it was issued.
    pub(crate) issued_at: DateTime<Utc>,
    /// When it ends.
    pub(crate) expires_at: DateTime<Utc>,
    /// When it was rotated.
    pub(crate) used_at: Option<DateTime<Utc>>,
}

/// A session to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewSession {
    /// The session.
    pub(crate) session: Session,
    /// Its first refresh token; without one it ends with its access token.
    pub(crate) token: Option<RefreshToken>,
    /// What may open a session once only.
    pub(crate) proof: Option<Proof>,
}

/// A refresh token together with its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionToken {
    /// The token.
    pub(crate) token: RefreshToken,
    /// Its session.
    pub(crate) session: Session,
}

impl SessionToken {
    /// Whether token and session are in force; a rotated token is, until its reuse ends the session.
    pub(crate) fn alive(&self, now: DateTime<Utc>) -> bool {
        self.session.closed_at.is_none() && now < self.token.expires_at
    }
}

impl RefreshToken {
    /// Whether this token, rotated already, may have its `successor` once more.
    pub(crate) fn may_retry(&self, successor: &Self, now: DateTime<Utc>) -> bool {
        self.used_at.is_some_and(|used| now <= used + GRACE) && successor.used_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(used_at: Option<i64>) -> RefreshToken {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        RefreshToken {
            hash: [0; 32],
            session: SessionId::generate(),
            issued_at: at(0),
            expires_at: at(1000),
            used_at: used_at.map(at),
        }
    }

    #[test]
    fn a_lost_answer_can_be_had_again_for_a_while_and_only_if_its_token_was_not_used() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        assert!(token(Some(100)).may_retry(&token(None), at(130)));
        assert!(!token(Some(100)).may_retry(&token(None), at(131)));
        assert!(!token(Some(100)).may_retry(&token(Some(101)), at(102)));
        assert!(!token(None).may_retry(&token(None), at(100)));
    }
}
