//! What happened: an event, its limits, and the bytes of it that the log is over.

use causeway_context::{CallContext, WorkspaceId};
use causeway_errors::{ApiError, Violation};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::canonical;

/// Details of an event are at most this many bytes in canonical form.
pub const MAX_DETAILS_BYTES: usize = 16 * 1024;
/// Texts of an event are at most this many bytes each.
pub const MAX_TEXT_BYTES: usize = 512;
/// The service of events that a workspace's own product appended; no service of ours has that name.
pub const PRODUCT: &str = "product";

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

    /// The outcome of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Success, Self::Denied, Self::Failure]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// Something that happened. The JSON form has the fields and the names of the message in `proto/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// By which the log deduplicates.
    pub id: Uuid,
    /// What was done.
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

impl Event {
    /// The fact that a read of the log happened.
    pub fn reading(ctx: &CallContext, workspace: WorkspaceId, details: Map<String, Value>) -> Self {
        Self {
            id: Uuid::now_v7(),
            action: ctx.method.audited.unwrap_or("audit.read").to_owned(),
            actor_kind: ctx.caller.kind.as_str().to_owned(),
            actor_id: ctx.caller.id.clone(),
            target_kind: "audit_log".to_owned(),
            target_id: workspace.to_string(),
            outcome: Outcome::Success,
            occurred_at: ctx.now,
            request_id: ctx.request_id.to_string(),
            service: ctx.method.owner.to_owned(),
            details,
        }
    }

    /// The bytes that the leaf hash is over: canonical JSON (RFC 8785) of all fields.
    pub fn leaf(&self) -> Vec<u8> {
        // A struct of strings, a time and a JSON object is always JSON.
        canonical::to_bytes(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Whether the other event is a repeat of this one: the same but for when, and in which request, it came.
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        let moved = Self {
            occurred_at: self.occurred_at,
            request_id: self.request_id.clone(),
            ..other.clone()
        };
        *self == moved
    }

    /// Which fields are out of bounds, with `path` before their names.
    pub fn violations(&self, path: &str) -> Vec<Violation> {
        let texts = [
            ("action", &self.action),
            ("actor_kind", &self.actor_kind),
            ("actor_id", &self.actor_id),
            ("target_kind", &self.target_kind),
            ("target_id", &self.target_id),
            ("request_id", &self.request_id),
            ("service", &self.service),
        ];
        let mut violations = Vec::new();
        let mut refuse = |field: &str, description: String| {
            violations.push(Violation {
                field: format!("{path}{field}"),
                description,
            });
        };
        if self.action.is_empty() {
            refuse("action", "must not be empty".to_owned());
        }
        for (field, text) in texts {
            if text.len() > MAX_TEXT_BYTES {
                refuse(field, format!("must be at most {MAX_TEXT_BYTES} bytes"));
            } else if text.chars().any(char::is_control) {
                refuse(field, "must not hold control characters".to_owned());
            }
        }
        if self.details_bytes() > MAX_DETAILS_BYTES {
            refuse(
                "details",
                format!("must be at most {MAX_DETAILS_BYTES} bytes of JSON"),
            );
        }
        violations
    }

    /// The same event with details of an allowed size: ones that are too large are replaced by their size and hash, so
    /// that a fact of our own is neither lost nor silently cut.
    #[must_use]
    pub fn with_bounded_details(mut self) -> Self {
        let bytes = canonical::to_bytes(&Value::Object(self.details.clone()));
        if bytes.len() > MAX_DETAILS_BYTES {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
            self.details = Map::from_iter([
                ("omitted_bytes".to_owned(), Value::from(bytes.len())),
                ("omitted_sha256".to_owned(), Value::from(hex::encode(digest))),
            ]);
        }
        self
    }

    fn details_bytes(&self) -> usize {
        canonical::to_bytes(&Value::Object(self.details.clone())).len()
    }
}

/// The events, if all of them are within bounds.
///
/// # Errors
/// One violation per field that is not, named `events[i].field`.
pub fn all_within_bounds(events: Vec<Event>) -> Result<Vec<Event>, ApiError> {
    let violations: Vec<Violation> = events
        .iter()
        .enumerate()
        .flat_map(|(index, event)| event.violations(&format!("events[{index}].")))
        .collect();
    if violations.is_empty() {
        Ok(events)
    } else {
        Err(ApiError::violations(violations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            id: Uuid::nil(),
            action: "order.placed".to_owned(),
            actor_kind: "user".to_owned(),
            actor_id: "u".to_owned(),
            target_kind: "order".to_owned(),
            target_id: "7".to_owned(),
            outcome: Outcome::Success,
            occurred_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            request_id: "r".to_owned(),
            service: PRODUCT.to_owned(),
            details: Map::new(),
        }
    }

    #[test]
    fn the_leaf_is_canonical_json_of_all_fields() {
        assert_eq!(
            String::from_utf8(event().leaf()).unwrap(),
            "{\"action\":\"order.placed\",\"actor_id\":\"u\",\"actor_kind\":\"user\",\"details\":{},\
             \"id\":\"00000000-0000-0000-0000-000000000000\",\"occurred_at\":\"2023-11-14T22:13:20.123456Z\",\
             \"outcome\":\"success\",\"request_id\":\"r\",\"service\":\"product\",\"target_id\":\"7\",\
             \"target_kind\":\"order\"}"
        );
    }

    #[test]
    fn a_leaf_reads_back_as_its_event() {
        let event = Event {
            details: Map::from_iter([("a".to_owned(), Value::from(1.5))]),
            ..event()
        };
        assert_eq!(serde_json::from_slice::<Event>(&event.leaf()).unwrap(), event);
    }

    #[test]
    fn a_repeat_may_come_later_and_in_another_request() {
        let later = Event {
            occurred_at: DateTime::UNIX_EPOCH,
            request_id: "s".to_owned(),
            ..event()
        };
        assert!(event().is_repeated_by(&later));
        assert!(!event().is_repeated_by(&Event {
            target_id: "8".to_owned(),
            ..event()
        }));
    }

    #[test]
    fn oversized_details_are_named_or_replaced_by_their_hash() {
        let large = Event {
            details: Map::from_iter([("a".to_owned(), "x".repeat(20_000).into())]),
            ..event()
        };
        let fields: Vec<String> = large
            .violations("events[0].")
            .into_iter()
            .map(|found| found.field)
            .collect();
        assert_eq!(fields, ["events[0].details"]);
        let bounded = large.with_bounded_details();
        assert_eq!(bounded.details["omitted_bytes"], 20_008);
        assert!(bounded.violations("").is_empty());
    }

    #[test]
    fn texts_are_bounded_and_hold_no_control_characters() {
        let wrong = Event {
            action: String::new(),
            target_id: "a\nb".to_owned(),
            ..event()
        };
        let fields: Vec<String> = wrong
            .violations("")
            .into_iter()
            .map(|found| found.field)
            .collect();
        assert_eq!(fields, ["action", "target_id"]);
    }
}
