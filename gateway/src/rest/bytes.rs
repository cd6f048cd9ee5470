//! Answers that are bytes as they are: an RPC that streams `google.api.HttpBody`. A client that was cut off goes on
//! with `Range: bytes=N-`, which becomes the field `offset` of the request.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use causeway_contracts::{Method, google::api::HttpBody};
use causeway_errors::{ApiError, Code};
use causeway_mesh::Mesh;
use futures::{Stream, StreamExt as _};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::{Map, Value};

use crate::rpc::{self, Answers, Origin};

/// How many bytes the whole has, and their SHA-256 in hex: the service says so ahead of the first message.
const SIZE: &str = "x-causeway-body-size";
const SHA256: &str = "x-causeway-body-sha256";

/// Whether the RPC answers with bytes as they are.
pub(super) fn is_body(method: &Method) -> bool {
    method.output == "google.api.HttpBody"
}

/// Puts the first byte that the client asks for into the request. A range of another form is passed over, as RFC 9110
/// allows: the answer is then the whole.
fn take_range(parts: &Parts, json: &mut Map<String, Value>) -> u64 {
    let range = parts
        .headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let first = range.and_then(first_byte).unwrap_or_default();
    if first > 0 {
        json.insert("offset".to_owned(), Value::String(first.to_string()));
    }
    first
}

/// N of `bytes=N-`.
fn first_byte(range: &str) -> Option<u64> {
    let first = range.trim().strip_prefix("bytes=")?.strip_suffix('-')?;
    if first.is_empty() || !first.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    first.parse().ok()
}

/// Calls the RPC and answers with its bytes.
pub(super) async fn answer(
    mesh: &Mesh,
    method: &'static Method,
    origin: Origin,
    parts: &Parts,
    descriptor: &MessageDescriptor,
    mut json: Map<String, Value>,
) -> Result<Response, ApiError> {
    let first = take_range(parts, &mut json);
    let again = Origin {
        caller: origin.caller.clone(),
        request_id: origin.request_id.clone(),
        remote: origin.remote.clone(),
    };
    let refused = match rpc::call(mesh, method, origin, &message(descriptor, &json)?).await {
        Ok(answers) if first == 0 || is_the_same(parts, answers.headers()) => {
            return stream(answers, first).await;
        }
        Ok(_) => None,
        // The range may be one of other bytes, of which there are more.
        Err(error) if error.code == Code::OutOfRange && parts.headers.contains_key(header::IF_RANGE) => {
            Some(error)
        }
        Err(error) => return Err(error),
    };
    // The client has the beginning of other bytes: it gets all of these.
    json.remove("offset");
    let answers = rpc::call(mesh, method, again, &message(descriptor, &json)?).await?;
    match refused {
        Some(error) if is_the_same(parts, answers.headers()) => Err(error),
        Some(_) | None => stream(answers, 0).await,
    }
}

fn message(descriptor: &MessageDescriptor, json: &Map<String, Value>) -> Result<DynamicMessage, ApiError> {
    causeway_contracts::from_json(descriptor, Value::Object(json.clone()))
        .map_err(|error| ApiError::invalid(error.path, error.reason))
}

/// Whether the bytes are those that the client began with, if it says which (`If-Range`).
fn is_the_same(parts: &Parts, answered: &HeaderMap) -> bool {
    let wanted = parts.headers.get(header::IF_RANGE);
    wanted.is_none_or(|wanted| etag(answered).is_some_and(|etag| etag == *wanted))
}

/// The bytes of the messages, from `first` on. Ends with an error when not all of them came, so that the client sees it.
async fn stream(mut answers: Answers, first: u64) -> Result<Response, ApiError> {
    let headers = describe(answers.headers(), first);
    // The type of all of them is that of the first; a refusal before it is an answer of its own.
    let (kind, start) = match answers.next().await {
        Some(message) => piece(&message?)?,
        None => (String::new(), Bytes::new()),
    };
    let rest = answers.map(|message| Ok::<_, ApiError>(piece(&message?)?.1));
    let status = if first > 0 {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut response = (status, headers, Body::from_stream(whole(start, rest))).into_response();
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

fn whole(
    start: Bytes,
    rest: impl Stream<Item = Result<Bytes, ApiError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, ApiError>> + Send + 'static {
    futures::stream::iter([Ok(start)]).chain(rest)
}

fn piece(message: &DynamicMessage) -> Result<(String, Bytes), ApiError> {
    let body: HttpBody = message.transcode_to().map_err(|_| ApiError::internal())?;
    Ok((body.content_type, body.data.into()))
}

fn etag(headers: &HeaderMap) -> Option<HeaderValue> {
    let hash = headers.get(SHA256)?.to_str().ok()?;
    HeaderValue::from_str(&format!("\"{hash}\"")).ok()
}

fn describe(answered: &HeaderMap, first: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(etag) = etag(answered) {
        headers.insert(header::ETAG, etag);
    }
    let size = answered
        .get(SIZE)
        .and_then(|size| size.to_str().ok()?.parse::<u64>().ok());
    let Some(size) = size else { return headers };
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(size.saturating_sub(first)),
    );
    if first > 0
        && let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{}/{size}", size.saturating_sub(1)))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_the_first_byte_and_goes_to_the_end() {
        assert_eq!(first_byte("bytes=0-"), Some(0));
        assert_eq!(first_byte("bytes=262144-"), Some(262_144));
        for other in [
            "bytes=-5",
            "bytes=1-2",
            "bytes=1-,5-",
            "items=1-",
            "bytes=+1-",
            "bytes=",
            "",
        ] {
            assert_eq!(first_byte(other), None, "{other}");
        }
    }

    #[test]
    fn the_rest_is_described_with_its_place_in_the_whole() {
        let mut answered = HeaderMap::new();
        answered.insert(SIZE, HeaderValue::from_static("100"));
        answered.insert(SHA256, HeaderValue::from_static("abc"));
        let whole = describe(&answered, 0);
        assert_eq!(whole[header::CONTENT_LENGTH], "100");
        assert_eq!(whole[header::ETAG], "\"abc\"");
        assert!(!whole.contains_key(header::CONTENT_RANGE));
        let rest = describe(&answered, 40);
        assert_eq!(rest[header::CONTENT_LENGTH], "60");
        assert_eq!(rest[header::CONTENT_RANGE], "bytes 40-99/100");
        assert_eq!(rest[header::ACCEPT_RANGES], "bytes");
    }
}
