//! A fact for the audit log.

use causeway_context::{CallContext, UserId, WorkspaceId, to_timestamp};
use causeway_contracts::{CallerKind, audit::v1 as wire, to_struct};
use causeway_errors::ApiError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was not allowed.
    Denied,
    /// It went wrong.
    Failure,
}

impl Outcome {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
        }
    }
}

/// A fact for the audit log of one workspace. Holds no secret and no content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxEvent {
    /// By which the log deduplicates.
    pub id: Uuid,
    /// Whose log.
    pub workspace: WorkspaceId,
    /// What was done, from the method table.
    pub action: String,
    /// What kind of caller did it.
    pub actor_kind: String,
    /// Who did it.
    pub actor_id: String,
    /// The kind of thing it was done to.
    pub target_kind: String,
    /// Which thing.
    pub target_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// The request that did it.
    pub request_id: String,
    /// The service that says so.
    pub service: String,
    /// More facts.
    pub details: Map<String, Value>,
}

impl OutboxEvent {
    /// The fact that the call `ctx` did what its RPC declares. A public RPC, whose caller has no workspace, adds
    /// [`OutboxEvent::in_workspace`] and [`OutboxEvent::by_user`].
    ///
    /// # Errors
    /// An internal error for an RPC that declares no audit action: a mistake in the service.
    pub fn of(ctx: &CallContext) -> Result<Self, ApiError> {
        let action = ctx.method.audited.ok_or_else(ApiError::internal)?;
        Ok(Self {
            id: Uuid::now_v7(),
            workspace: ctx.caller.workspace.unwrap_or(WorkspaceId(Uuid::nil())),
            action: action.to_owned(),
            actor_kind: ctx.caller.kind.as_str().to_owned(),
            actor_id: ctx.caller.id.clone(),
            target_kind: String::new(),
            target_id: String::new(),
            outcome: Outcome::Success,
            occurred_at: ctx.now,
            request_id: ctx.request_id.to_string(),
            service: ctx.method.owner.to_owned(),
            details: Map::new(),
        })
    }

    /// The same fact about a thing.
    #[must_use]
    pub fn target(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.target_kind = kind.into();
        self.target_id = id.into();
        self
    }

    /// The same fact with one more detail.
    #[must_use]
    pub fn detail(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }

    /// The same fact in that workspace's log.
    #[must_use]
    pub fn in_workspace(mut self, workspace: WorkspaceId) -> Self {
        self.workspace = workspace;
        self
    }

    /// The same fact, done by that person.
    #[must_use]
    pub fn by_user(mut self, user: UserId) -> Self {
        self.actor_kind = CallerKind::User.as_str().to_owned();
        self.actor_id = user.to_string();
        self
    }

    /// The same fact with that end.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }
}

impl From<OutboxEvent> for wire::RelayedEvent {
    fn from(event: OutboxEvent) -> Self {
        Self {
            workspace_id: event.workspace.to_string(),
            event: Some(wire::Event {
                id: event.id.to_string(),
                action: event.action,
                actor_kind: event.actor_kind,
                actor_id: event.actor_id,
                target_kind: event.target_kind,
                target_id: event.target_id,
                outcome: event.outcome.as_str().to_owned(),
                occurred_at: Some(to_timestamp(event.occurred_at)),
                request_id: event.request_id,
                service: event.service,
                details: (!event.details.is_empty()).then(|| to_struct(&event.details)),
            }),
        }
    }
}
