//! Credentials that end before their time (REF-06, TOK-04, RBAC-04).
//!
//! An access token proves itself: no store is asked when it is used. So whoever ends a session, or takes a role away,
//! writes a revocation in the same transaction, and every gateway asks each second for what is new. A revocation holds
//! ids and times only, and goes when the last token that it voids has ended by itself.

mod answer;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;

pub use answer::{from_wire, list};
pub use memory::MemoryRevocations;
#[cfg(feature = "postgres")]
pub use postgres::{PgRevocations, insert_revocations};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_context::{SessionId, TokenId, UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// By how much longer than a token a revocation of it is kept: clocks differ, and tokens are forgiven a few seconds.
const SLACK: TimeDelta = TimeDelta::minutes(1);
/// How often revocations that are of no use any more are deleted.
const SWEEP: Duration = Duration::from_secs(60);

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ended {
    /// One session.
    Session(SessionId),
    /// A person, everywhere.
    User(UserId),
    /// A person in one workspace.
    Member(WorkspaceId, UserId),
    /// A client, with all its secrets.
    Client(Uuid),
    /// One opaque token.
    Token(TokenId),
    /// Everybody in a workspace.
    Workspace(WorkspaceId),
    /// Everybody with a custom role.
    Role(Uuid),
}

/// The end of credentials before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub ended: Ended,
    /// Credentials issued before that are void; all of them, for ever, when there is no time.
    pub valid_after: Option<DateTime<Utc>>,
    /// When the last credential that it voids ends by itself.
    pub expires_at: DateTime<Utc>,
}

impl Revocation {
    /// Voids every credential of what ended, which never comes back. `life` is the longest life of an access token.
    pub fn of(ended: Ended, at: DateTime<Utc>, life: TimeDelta) -> Self {
        Self {
            ended,
            valid_after: None,
            expires_at: at + life + SLACK,
        }
    }

    /// Voids the credentials that were issued before `at`; later ones are good.
    pub fn before(ended: Ended, at: DateTime<Utc>, life: TimeDelta) -> Self {
        Self {
            valid_after: Some(at),
            ..Self::of(ended, at, life)
        }
    }
}

/// A part of what is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The revocations; some may have been told before.
    pub revocations: Vec<Revocation>,
    /// Where this answer goes on, if it is not whole.
    pub next: Option<String>,
    /// From where to ask the next time, once the answer is whole.
    pub resume: String,
}

/// Revocations that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("read the revocations")]
pub struct RevocationError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The revocations of a service.
#[async_trait]
pub trait Revocations: Send + Sync + 'static {
    /// What is new after that place, as far as it is in force. A place that nobody knows is the beginning.
    ///
    /// # Errors
    /// A store that is away.
    async fn after(&self, place: &str, now: DateTime<Utc>) -> Result<Page, RevocationError>;

    /// Deletes what ended before; answers how many there were.
    ///
    /// # Errors
    /// A store that is away.
    async fn sweep(&self, now: DateTime<Utc>) -> Result<usize, RevocationError>;
}

/// Sweeps every minute until it is stopped.
pub async fn keep_swept(revocations: Arc<dyn Revocations>, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(SWEEP))
        .await
        .is_some()
    {
        #[expect(clippy::disallowed_methods, reason = "what has ended is told by the clock")]
        let now = Utc::now();
        if let Err(error) = revocations.sweep(now).await {
            causeway_telemetry::report(&error, Uuid::now_v7(), "delete old revocations");
        }
    }
}
