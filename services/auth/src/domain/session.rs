//! Sessions and their refresh tokens.

use causeway_context::{SessionId, UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};

use super::{FactorStanding, Hash, PasswordHash, Proof, Trace};

/// One login of a person in one workspace: the family of its refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The id.
    pub(crate) id: SessionId,
    /// The person.
    pub(crate) user: UserId,
    /// The workspace entered.
    pub(crate) workspace: WorkspaceId,
    /// How, and from where.
    pub(crate) trace: Trace,
    /// Since when.
    pub(crate) opened_at: DateTime<Utc>,
    /// When it last got an access token.
    pub(crate) last_used_at: DateTime<Utc>,
    /// When it ends unless it is used.
    pub(crate) idle_until: DateTime<Utc>,
    /// When it ends whatever happens (REF-05).
    pub(crate) expires_at: DateTime<Utc>,
    /// When it was ended.
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

impl Session {
    /// Whether it is in force.
    pub(crate) fn alive(&self, now: DateTime<Utc>) -> bool {
        self.closed_at.is_none() && now < self.idle_until && now < self.expires_at
    }
}

/// A refresh token without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// The keyed hash of the text.
    pub(crate) hash: Hash,
    /// The session it continues.
    pub(crate) session: SessionId,
    /// How many rotations lie before it.
    pub(crate) generation: i32,
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
    /// The password by which it is opened: it must be the account's still.
    pub(crate) password: Option<PasswordHash>,
    /// Whether its way in asks for a second factor, and passed none: the person must not have one by then.
    pub(crate) without_factor: bool,
}

/// How the opening of a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It is open.
    Done,
    /// Its proof was used before.
    ProofUsed,
    /// Its password was changed meanwhile.
    PasswordChanged,
    /// Its person is kept out.
    Disabled,
    /// Its person has confirmed a second factor meanwhile.
    FactorConfirmed,
}

/// Which sessions of a person are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Which {
    /// Those in that workspace only.
    pub(crate) workspace: Option<WorkspaceId>,
    /// All but that one.
    pub(crate) except: Option<SessionId>,
}

impl Which {
    /// Whether that one is meant.
    pub(crate) fn includes(&self, session: &Session) -> bool {
        self.workspace
            .is_none_or(|workspace| workspace == session.workspace)
            && self.except != Some(session.id)
    }
}

/// A refresh token together with its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionToken {
    /// The token.
    pub(crate) token: RefreshToken,
    /// Its session.
    pub(crate) session: Session,
    /// How the session and its person stand to the second factor.
    pub(crate) factor: FactorStanding,
}

impl SessionToken {
    /// Whether token and session are in force; a rotated token is, until its reuse ends the session.
    pub(crate) fn alive(&self, now: DateTime<Utc>) -> bool {
        self.session.closed_at.is_none() && now < self.session.expires_at && now < self.token.expires_at
    }
}

impl RefreshToken {
    /// Whether this token, rotated already, may have its `successor` once more: for a while (`grace`), as long as that
    /// was not used (REF-03). The answer to the rotation may have been lost.
    pub(crate) fn may_retry(&self, successor: &Self, grace: TimeDelta, now: DateTime<Utc>) -> bool {
        self.used_at.is_some_and(|used| now <= used + grace) && successor.used_at.is_none()
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
            generation: 0,
            issued_at: at(0),
            expires_at: at(1000),
            used_at: used_at.map(at),
        }
    }

    #[test]
    fn a_lost_answer_can_be_had_again_for_a_while_and_only_if_its_token_was_not_used() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let grace = TimeDelta::seconds(30);
        assert!(token(Some(100)).may_retry(&token(None), grace, at(130)));
        assert!(!token(Some(100)).may_retry(&token(None), grace, at(131)));
        assert!(!token(Some(100)).may_retry(&token(Some(101)), grace, at(102)));
        assert!(!token(None).may_retry(&token(None), grace, at(100)));
        assert!(token(Some(100)).may_retry(&token(None), TimeDelta::zero(), at(100)));
        assert!(!token(Some(100)).may_retry(&token(None), TimeDelta::zero(), at(101)));
    }
}
