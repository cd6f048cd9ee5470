//! A chat completion as an answer.

use axum::response::{IntoResponse as _, Response};
use causeway_errors::ApiError;
use prost_reflect::DynamicMessage;
use serde_json::json;

use super::{headers, number, text, usage};

pub(super) fn respond(message: &DynamicMessage) -> Result<Response, ApiError> {
    let completion = json!({
        "id": text(message, "id"),
        "object": "chat.completion",
        "created": number(message, "created"),
        "model": text(message, "model"),
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text(message, "content"), "refusal": null},
            "logprobs": null,
            "finish_reason": text(message, "finish_reason"),
        }],
        "usage": usage(message),
    });
    Ok((headers(message), axum::Json(completion)).into_response())
}
