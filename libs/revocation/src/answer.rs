//! Revocations on the wire.

use causeway_context::{CallContext, from_timestamp, to_timestamp};
use causeway_contracts::common::v1 as wire;
use causeway_contracts::common::v1::RevocationKind as Kind;
use causeway_errors::ApiError;
use uuid::Uuid;

use crate::{Ended, Revocation, Revocations};

/// Answers a gateway.
///
/// # Errors
/// `STORE_UNAVAILABLE`.
pub async fn list(
    revocations: &dyn Revocations,
    ctx: &CallContext,
    request: wire::ListRevocationsRequest,
) -> Result<wire::ListRevocationsResponse, ApiError> {
    let page = revocations
        .after(&request.after, ctx.now)
        .await
        .map_err(|error| {
            let answer = ApiError::unavailable("STORE_UNAVAILABLE");
            causeway_telemetry::report(&error, answer.error_id, "tell a gateway what ended");
            answer
        })?;
    Ok(wire::ListRevocationsResponse {
        revocations: page.revocations.iter().map(to_wire).collect(),
        next: page.next.unwrap_or_default(),
        resume: page.resume,
    })
}

fn to_wire(revocation: &Revocation) -> wire::Revocation {
    let (kind, subject, workspace) = match revocation.ended {
        Ended::Session(id) => (Kind::Session, id.to_string(), String::new()),
        Ended::User(id) => (Kind::User, id.to_string(), String::new()),
        Ended::Member(workspace, id) => (Kind::Member, id.to_string(), workspace.to_string()),
        Ended::Client(id) => (Kind::Client, id.to_string(), String::new()),
        Ended::Token(id) => (Kind::Token, id.to_string(), String::new()),
        Ended::Workspace(id) => (Kind::Workspace, id.to_string(), String::new()),
        Ended::Role(id) => (Kind::Role, id.to_string(), String::new()),
    };
    wire::Revocation {
        kind: kind.into(),
        subject_id: subject,
        workspace_id: workspace,
        valid_after: revocation.valid_after.map(to_timestamp),
        expires_at: Some(to_timestamp(revocation.expires_at)),
    }
}

/// The revocation of a message. None for one that a newer service wrote and this gateway does not know.
pub fn from_wire(message: &wire::Revocation) -> Option<Revocation> {
    let subject = &message.subject_id;
    let ended = match message.kind() {
        Kind::Session => Ended::Session(subject.parse().ok()?),
        Kind::User => Ended::User(subject.parse().ok()?),
        Kind::Member => Ended::Member(message.workspace_id.parse().ok()?, subject.parse().ok()?),
        Kind::Client => Ended::Client(Uuid::try_parse(subject).ok()?),
        Kind::Token => Ended::Token(subject.parse().ok()?),
        Kind::Workspace => Ended::Workspace(subject.parse().ok()?),
        Kind::Role => Ended::Role(Uuid::try_parse(subject).ok()?),
        Kind::Unspecified => return None,
    };
    Some(Revocation {
        ended,
        valid_after: match message.valid_after {
            Some(time) => Some(from_timestamp(time)?),
            None => None,
        },
        expires_at: from_timestamp(message.expires_at?)?,
    })
}
