//! Sizes: many or large headers and large bodies are refused before anything is read.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_errors::{ApiError, Code};
use http::{HeaderMap, Request, header};
use http_body_util::Limited;

use crate::Gateway;
use crate::refusal::refuse_request;

/// The most that all headers may measure. The listener reads at most 64 KiB, so this is answered in our words.
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;
const MAX_URI_BYTES: usize = 8 * 1024;

/// The error of a body that is too large.
pub(crate) fn too_large() -> ApiError {
    ApiError::new(
        Code::ResourceExhausted,
        "PAYLOAD_TOO_LARGE",
        "the body is too large",
    )
}

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let size: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let uri = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    if size > MAX_HEADER_BYTES || request.headers().len() > MAX_HEADERS || uri > MAX_URI_BYTES {
        let error = ApiError::new(
            Code::ResourceExhausted,
            "HEADERS_TOO_LARGE",
            "the headers or the path are too large",
        );
        return refuse_request(&request, error);
    }
    let limit = gateway.config.max_body_bytes;
    if content_length(request.headers()).is_some_and(|length| length > limit) {
        return refuse_request(&request, too_large());
    }
    next.run(request.map(|body| Body::new(Limited::new(body, limit))))
        .await
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
