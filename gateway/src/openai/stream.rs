//! A chat completion as a stream of chunks. `[DONE]` comes only after an answer that is whole; a stream that breaks
//! ends with an error event.

use axum::response::Response;
use bytes::Bytes;
use causeway_context::RequestId;
use causeway_errors::ApiError;
use futures::{StreamExt as _, stream};
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::{headers, number, text, usage};
use crate::refusal::openai;
use crate::rest::{event, respond as respond_events};
use crate::rpc::Answers;

/// Waits for the first piece: a call that fails before it is answered with a status, not inside of a stream.
pub(super) async fn respond(
    mut answers: Answers,
    request_id: RequestId,
    include_usage: bool,
) -> Result<Response, ApiError> {
    let first = answers.next().await.ok_or_else(ApiError::internal)??;
    let headers = headers(&first);
    let opening = event(
        None,
        &chunk(&first, json!({"role": "assistant", "content": ""}), None).to_string(),
    );
    let mut state = State {
        finished: false,
        broken: false,
    };
    let pieces = stream::iter([Ok(first)])
        .chain(answers)
        .map(Some)
        .chain(stream::iter([None]));
    let events = pieces.flat_map(move |piece| stream::iter(state.events(piece, &request_id, include_usage)));
    let mut response = respond_events(stream::iter([opening]).chain(events).map(Ok));
    response.headers_mut().extend(headers);
    Ok(response)
}

struct State {
    finished: bool,
    broken: bool,
}

impl State {
    /// The events of one piece; nothing as a piece is the end.
    fn events(
        &mut self,
        piece: Option<Result<DynamicMessage, ApiError>>,
        request_id: &RequestId,
        include_usage: bool,
    ) -> Vec<Bytes> {
        match piece {
            _ if self.broken => Vec::new(),
            Some(Ok(message)) => self.chunks(&message, include_usage),
            Some(Err(error)) => {
                self.broken = true;
                vec![event(None, &openai(&error, request_id).to_string())]
            }
            None if self.finished => vec![event(None, "[DONE]")],
            None => {
                let error = ApiError::unavailable("STREAM_CUT");
                vec![event(None, &openai(&error, request_id).to_string())]
            }
        }
    }

    fn chunks(&mut self, message: &DynamicMessage, include_usage: bool) -> Vec<Bytes> {
        let mut events = Vec::new();
        let delta = text(message, "delta");
        if !delta.is_empty() {
            events.push(chunk(message, json!({"content": delta}), None));
        }
        let reason = text(message, "finish_reason");
        if !reason.is_empty() {
            self.finished = true;
            events.push(chunk(message, json!({}), Some(reason)));
            if include_usage {
                let mut last = chunk(message, json!({}), None);
                last["choices"] = json!([]);
                last["usage"] = usage(message).unwrap_or(Value::Null);
                events.push(last);
            }
        }
        events.iter().map(|json| event(None, &json.to_string())).collect()
    }
}

fn chunk(message: &DynamicMessage, delta: Value, finish_reason: Option<String>) -> Value {
    json!({
        "id": text(message, "id"),
        "object": "chat.completion.chunk",
        "created": number(message, "created"),
        "model": text(message, "model"),
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
    })
}
