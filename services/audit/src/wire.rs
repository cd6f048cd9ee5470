//! Between messages and domain types.

use causeway_context::{CallContext, WorkspaceId, from_timestamp, to_timestamp};
use causeway_contracts::audit::v1 as wire;
use causeway_contracts::{from_struct, to_struct};
use causeway_errors::{ApiError, Violation};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::event::{Event, Outcome, PRODUCT};
use crate::service::Cursor;
use crate::store::{Entry, Filter};

const MAX_BATCH: usize = 1000;
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;

/// Events that a workspace's own product appends. Who, when, in which request and which service are not the client's
/// to say: they come from the call, whatever the message holds.
pub(crate) fn own_events(ctx: &CallContext, events: Vec<wire::Event>) -> Result<Vec<Event>, ApiError> {
    if !(1..=MAX_BATCH).contains(&events.len()) {
        return Err(ApiError::invalid(
            "events",
            format!("must hold 1 to {MAX_BATCH} events"),
        ));
    }
    let mut violations = Vec::new();
    let events = events
        .into_iter()
        .enumerate()
        .filter_map(|(index, event)| {
            let event = wire::Event {
                actor_kind: ctx.caller.kind.as_str().to_owned(),
                actor_id: ctx.caller.id.clone(),
                occurred_at: Some(to_timestamp(ctx.now)),
                request_id: ctx.request_id.to_string(),
                service: PRODUCT.to_owned(),
                ..event
            };
            decode(event, &format!("events[{index}]."), &mut violations)
        })
        .collect();
    if violations.is_empty() {
        Ok(events)
    } else {
        Err(ApiError::violations(violations))
    }
}

/// Outbox rows of a service.
pub(crate) fn relayed_events(rows: Vec<wire::RelayedEvent>) -> Result<Vec<(WorkspaceId, Event)>, ApiError> {
    let mut violations = Vec::new();
    let rows = rows
        .into_iter()
        .enumerate()
        .filter_map(|(index, row)| {
            let workspace = row.workspace_id.parse::<WorkspaceId>();
            if workspace.is_err() {
                violations.push(violation(
                    format!("events[{index}].workspace_id"),
                    "must be a UUID",
                ));
            }
            let event = row.event.unwrap_or_default();
            if event.id.is_empty() {
                violations.push(violation(format!("events[{index}].event.id"), "must be a UUID"));
            }
            let event = decode(event, &format!("events[{index}].event."), &mut violations);
            Some((workspace.ok()?, event?))
        })
        .collect();
    if violations.is_empty() {
        Ok(rows)
    } else {
        Err(ApiError::violations(violations))
    }
}

fn decode(event: wire::Event, path: &str, violations: &mut Vec<Violation>) -> Option<Event> {
    let id = match event.id.as_str() {
        "" => Some(Uuid::now_v7()),
        text => Uuid::try_parse(text).ok().filter(|_| text.len() == 36),
    };
    if id.is_none() {
        violations.push(violation(format!("{path}id"), "must be a UUID"));
    }
    let outcome = match event.outcome.as_str() {
        "" => Some(Outcome::Success),
        word => Outcome::parse(word),
    };
    if outcome.is_none() {
        violations.push(violation(
            format!("{path}outcome"),
            "must be `success`, `denied` or `failure`",
        ));
    }
    let occurred_at = event.occurred_at.and_then(from_timestamp);
    if occurred_at.is_none() {
        violations.push(violation(format!("{path}occurred_at"), "must be a time"));
    }
    Some(Event {
        id: id?,
        action: event.action,
        actor_kind: event.actor_kind,
        actor_id: event.actor_id,
        target_kind: event.target_kind,
        target_id: event.target_id,
        outcome: outcome?,
        occurred_at: occurred_at?,
        request_id: event.request_id,
        service: event.service,
        details: event.details.as_ref().map(from_struct).unwrap_or_default(),
    })
}

/// A search: the filter, where to start, how many.
pub(crate) fn search(request: wire::ListEventsRequest) -> Result<(Filter, Option<Cursor>, usize), ApiError> {
    let outcome = match request.outcome.as_str() {
        "" => None,
        word => Some(
            Outcome::parse(word)
                .ok_or_else(|| ApiError::invalid("outcome", "must be `success`, `denied` or `failure`"))?,
        ),
    };
    let filter = Filter {
        action: filled(request.action),
        actor_id: filled(request.actor_id),
        target_id: filled(request.target_id),
        outcome,
        from: request.from.map(|from| time("from", from)).transpose()?,
        to: request.to.map(|to| time("to", to)).transpose()?,
    };
    let page_size = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        Err(_) => return Err(ApiError::invalid("page_size", "must not be negative")),
    };
    Ok((filter, cursor(&request.page_token)?, page_size))
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn time(field: &str, wire: prost_types::Timestamp) -> Result<DateTime<Utc>, ApiError> {
    from_timestamp(wire).ok_or_else(|| ApiError::invalid(field, "must be a time"))
}

fn cursor(token: &str) -> Result<Option<Cursor>, ApiError> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('.').and_then(|(next, end)| {
        let cursor = Cursor {
            next: next.parse().ok()?,
            end: end.parse().ok()?,
        };
        (cursor.next <= cursor.end).then_some(cursor)
    });
    parsed
        .map(Some)
        .ok_or_else(|| ApiError::invalid("page_token", "must be a token of an earlier page"))
}

/// The token of a page.
pub(crate) fn token(cursor: Option<Cursor>) -> String {
    cursor
        .map(|cursor| format!("{}.{}", cursor.next, cursor.end))
        .unwrap_or_default()
}

/// A count or a position in a message, which is never negative.
pub(crate) fn natural(field: &str, number: i64) -> Result<u64, ApiError> {
    u64::try_from(number).map_err(|_| ApiError::invalid(field, "must not be negative"))
}

/// A size, where 0 means the present one.
pub(crate) fn size(field: &str, number: i64) -> Result<Option<u64>, ApiError> {
    Ok(Some(natural(field, number)?).filter(|size| *size != 0))
}

/// A count or a position for a message.
pub(crate) fn number(natural: u64) -> i64 {
    i64::try_from(natural).unwrap_or(i64::MAX)
}

/// An entry for a message.
pub(crate) fn entry(entry: Entry) -> wire::Entry {
    wire::Entry {
        seq: number(entry.seq),
        event: Some(event(entry.event)),
        appended_at: Some(to_timestamp(entry.appended_at)),
        // The leaf is JSON and so is text.
        leaf: String::from_utf8_lossy(&entry.leaf).into_owned(),
        leaf_hash: entry.leaf_hash.to_string(),
    }
}

fn event(event: Event) -> wire::Event {
    wire::Event {
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
        details: Some(to_struct(&event.details)),
    }
}

fn violation(field: String, description: &str) -> Violation {
    Violation {
        field,
        description: description.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_reflect::DynamicMessage;
    use serde_json::json;

    use super::*;
    use crate::canonical;
    use crate::store::conformance;

    /// Who reads an event over REST can recompute its leaf from what is there.
    #[test]
    fn the_leaf_is_the_canonical_form_of_the_events_json() {
        for micros in [
            0,
            1_700_000_000_000_000,
            1_700_000_000_120_000,
            1_700_000_000_123_456,
        ] {
            let details = json!({"n": 3, "x": 0.25, "list": [null, true, {"k": "ü"}]});
            let happened = Event {
                occurred_at: DateTime::from_timestamp_micros(micros).unwrap(),
                details: details.as_object().cloned().unwrap(),
                ..conformance::event("a")
            };
            let leaf = happened.leaf();
            let pool = causeway_contracts::descriptors();
            let descriptor = pool.get_message_by_name("causeway.audit.v1.Event").unwrap();
            let bytes = event(happened).encode_to_vec();
            let message = DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
            let json = causeway_contracts::to_json(&message).unwrap();
            assert_eq!(canonical::to_bytes(&json), leaf);
        }
    }

    #[test]
    fn a_page_token_survives_and_nonsense_is_named() {
        let cursor_of = Cursor { next: 5, end: 9 };
        assert_eq!(cursor(&token(Some(cursor_of))).unwrap(), Some(cursor_of));
        assert_eq!(cursor("").unwrap(), None);
        for bad in ["x", "5", "5.", "-1.2", "9.5", "1.2.3"] {
            assert_eq!(cursor(bad).unwrap_err().violations[0].field, "page_token");
        }
    }
}
