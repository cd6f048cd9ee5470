//! Typed ids, the caller, and the context of a call: the first argument of every use case.

mod caller;
mod id;
mod rate_tier;
mod remote;
mod time;

pub use caller::{Caller, CallerError, Held, OPERATOR};
pub use id::{IdError, RequestId, SessionId, TokenId, UserId, WorkspaceId};
pub use rate_tier::RateTier;
pub use remote::Remote;
pub use time::{from_timestamp, to_timestamp};

use std::time::Instant;

use causeway_contracts::Method;
use causeway_errors::ApiError;
use chrono::{DateTime, SubsecRound as _, Utc};

/// What a use case knows of the call around it. The server layers of the mesh make it; nothing in it comes from a
/// request's body.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Who is calling.
    pub caller: Caller,
    /// The RPC.
    pub method: &'static Method,
    /// The request at the door, over all hops.
    pub request_id: RequestId,
    /// When the service took the call; the clock of everything that the call does.
    pub now: DateTime<Utc>,
    /// From where the request came to the door; only the door's word counts (SVC-01).
    pub remote: Option<Remote>,
    /// When the caller stops waiting. Calls on its behalf end then too.
    pub deadline: Option<Instant>,
}

impl CallContext {
    /// A context as the server layers make it. `now` is cut to microseconds, which is what PostgreSQL keeps.
    pub fn new(caller: Caller, method: &'static Method, request_id: RequestId, now: DateTime<Utc>) -> Self {
        Self {
            caller,
            method,
            request_id,
            now: now.trunc_subsecs(6),
            remote: None,
            deadline: None,
        }
    }

    /// The same context of a call that came from there.
    #[must_use]
    pub fn from_remote(mut self, remote: Option<Remote>) -> Self {
        self.remote = remote;
        self
    }

    /// The same context of a call whose caller waits until then.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The context that the server layers left with a request.
    ///
    /// # Errors
    /// An internal error when the request did not pass the layers.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self, ApiError> {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .ok_or_else(ApiError::internal)
    }

    /// The workspace of the call.
    ///
    /// # Errors
    /// `WORKSPACE_REQUIRED` for a caller without one.
    pub fn workspace(&self) -> Result<WorkspaceId, ApiError> {
        self.caller
            .workspace
            .ok_or_else(|| ApiError::forbidden("WORKSPACE_REQUIRED", "the credential names no workspace"))
    }

    /// The person who calls, directly or through a token.
    ///
    /// # Errors
    /// `PERSON_REQUIRED` for any other caller.
    pub fn user(&self) -> Result<UserId, ApiError> {
        self.caller
            .user()
            .ok_or_else(|| ApiError::forbidden("PERSON_REQUIRED", "only a person can do this"))
    }
}
