//! Open sessions, and how they were opened.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_context::{SessionId, UserId};
use causeway_outbox::OutboxEvent;
use causeway_revocation::Revocations;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Session, SignIn, Which};

/// A part of a list whose newest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    /// At most so many.
    pub(crate) size: usize,
    /// Those before that one; from the newest if there is none.
    pub(crate) before: Option<Uuid>,
}

/// The end of a person's sessions that comes with another change.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    /// The session that goes on.
    pub(crate) keep: Option<SessionId>,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// What tells of each.
    pub(crate) fact: OutboxEvent,
}

impl Closing {
    /// Which sessions are meant.
    pub(super) fn which(&self) -> Which {
        Which {
            workspace: None,
            except: self.keep,
        }
    }
}

/// Sessions as lists, and the history of sign-ins.
#[async_trait]
pub(crate) trait HistoryStore: Send + Sync + 'static {
    /// What the store tells gateways: what ended before its time.
    fn revocations(&self) -> Arc<dyn Revocations>;

    /// The person's sessions that are in force, newest first.
    async fn list_sessions(
        &self,
        user: UserId,
        which: Which,
        now: DateTime<Utc>,
        slice: Slice,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends the person's sessions that are in force, or had an access token a moment ago, with one revocation and one fact for each: `fact` with the session as its target, in
    /// the log of the session's workspace. Answers which they were.
    async fn close_sessions(
        &self,
        user: UserId,
        which: Which,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Vec<SessionId>, StoreError>;

    /// The person's sign-ins, newest first.
    async fn list_sign_ins(&self, user: UserId, slice: Slice) -> Result<Vec<SignIn>, StoreError>;

    /// Deletes the sessions and the refresh tokens that ended before that time.
    async fn sweep_sessions(&self, before: DateTime<Utc>) -> Result<(), StoreError>;

    /// Forgets sign-ins before that time, and places not seen since.
    async fn forget_history(&self, before: DateTime<Utc>) -> Result<(), StoreError>;
}
