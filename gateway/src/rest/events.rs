//! The messages of a streaming RPC as server-sent events.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use causeway_context::RequestId;
use causeway_contracts::to_json;
use causeway_errors::{ApiError, Problem};
use futures::{Stream, StreamExt as _};
use http::header;

use crate::rpc::Answers;

/// One event; `name` is left out for plain data.
pub(crate) fn event(name: Option<&str>, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + 32);
    if let Some(name) = name {
        text.push_str("event: ");
        text.push_str(name);
        text.push('\n');
    }
    text.push_str("data: ");
    text.push_str(data);
    text.push_str("\n\n");
    text.into()
}

/// Events of an RPC's answers. It ends with `event: end` when all came, with `event: error` when not.
pub(super) fn stream(answers: Answers, request_id: RequestId) -> Response {
    let events = answers
        .map(Some)
        .chain(futures::stream::iter([None]))
        .scan(false, move |failed, answer| {
            let item = next(failed, answer, &request_id);
            futures::future::ready(item)
        })
        .map(Ok::<Bytes, std::convert::Infallible>);
    respond(events)
}

fn next(
    failed: &mut bool,
    answer: Option<Result<prost_reflect::DynamicMessage, ApiError>>,
    request_id: &RequestId,
) -> Option<Bytes> {
    if *failed {
        return None;
    }
    let result = match answer {
        None => return Some(event(Some("end"), "{}")),
        Some(Ok(message)) => to_json(&message).map_err(|_| ApiError::internal()),
        Some(Err(error)) => Err(error),
    };
    match result {
        Ok(json) => Some(event(None, &json.to_string())),
        Err(error) => {
            *failed = true;
            let problem =
                serde_json::to_string(&Problem::new(&error, request_id.as_str())).unwrap_or_default();
            Some(event(Some("error"), &problem))
        }
    }
}

/// An event stream as an answer.
pub(crate) fn respond(
    events: impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A buffering proxy would hold the pieces back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}
