//! What the audit log is told of the end of a rotation.

use causeway_contracts::CallerKind;
use causeway_outbox::{OutboxEvent, Outcome};
use uuid::Uuid;

use crate::domain::{Rotation, RotationStep};

/// Tenancy itself does the work; who asked for it is said, too.
pub(super) fn fact_of_end(rotation: &Rotation) -> OutboxEvent {
    let done = rotation.step == RotationStep::Succeeded;
    let fact = OutboxEvent {
        id: Uuid::now_v7(),
        workspace: rotation.workspace,
        action: if done {
            "key.rotated"
        } else {
            "key.rotation_incomplete"
        }
        .to_owned(),
        actor_kind: CallerKind::Service.as_str().to_owned(),
        actor_id: crate::NAME.to_owned(),
        target_kind: "key".to_owned(),
        target_id: format!("{}/{}", rotation.ring.as_str(), rotation.to_version),
        outcome: if done { Outcome::Success } else { Outcome::Failure },
        occurred_at: rotation.updated_at,
        request_id: rotation.requester.request.clone(),
        service: crate::NAME.to_owned(),
        details: Default::default(),
    };
    fact.detail("rotation", rotation.id.to_string())
        .detail("requested_by", rotation.requester.id.as_str())
        .detail("resealed", rotation.done)
        .detail("unreadable", rotation.unreadable)
        .detail("destroyed_versions", rotation.destroyed.clone())
}
