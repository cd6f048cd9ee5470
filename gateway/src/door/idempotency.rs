//! `Idempotency-Key`: a repeat of a writing call gets the stored answer, not a second effect (B-GW-3, contract §1).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use causeway_context::Caller;
use causeway_contracts::Idempotency;

use causeway_errors::{ApiError, Code};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use crate::Gateway;
use crate::door::limits::too_large;
use crate::door::strip::ClientAddr;
use crate::refusal::{Form, refuse_request};
use crate::target::Target;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_BYTES: usize = 255;
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Bounds of the memory that stored answers take; past them the oldest go first.
const KEPT_ANSWERS: usize = 20_000;
const KEPT_BYTES: usize = 64 << 20;
const LARGEST_ANSWER: usize = 1 << 20;

/// Who sent which key.
type Scope = (String, String);

/// The answers of the last day.
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<Scope, Entry>,
    order: VecDeque<(Instant, Scope)>,
    bytes: usize,
}

struct Entry {
    fingerprint: [u8; 32],
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

enum Found {
    New,
    Running,
    Other,
    Stored(Answer),
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call under a key, unless there was one.
    fn begin(&self, scope: &Scope, fingerprint: [u8; 32], now: Instant) -> Found {
        let mut kept = self.lock();
        kept.expire(now);
        match kept.entries.get(scope) {
            Some(entry) if entry.fingerprint != fingerprint => Found::Other,
            Some(Entry { answer: None, .. }) => Found::Running,
            Some(Entry {
                answer: Some(answer), ..
            }) => Found::Stored(answer.clone()),
            None => {
                kept.entries.insert(
                    scope.clone(),
                    Entry {
                        fingerprint,
                        answer: None,
                    },
                );
                kept.order.push_back((now, scope.clone()));
                Found::New
            }
        }
    }

    fn finish(&self, scope: &Scope, answer: Answer) {
        let mut kept = self.lock();
        let size = answer.body.len();
        if let Some(entry) = kept.entries.get_mut(scope) {
            entry.answer = Some(answer);
            kept.bytes += size;
        }
    }

    fn forget(&self, scope: &Scope) {
        self.lock().remove(scope);
    }
}

impl Kept {
    fn expire(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            let full = self.entries.len() >= KEPT_ANSWERS || self.bytes > KEPT_BYTES;
            if !full && now.duration_since(*at) < KEPT_FOR {
                break;
            }
            if let Some((_, scope)) = self.order.pop_front() {
                self.remove(&scope);
            }
        }
    }

    fn remove(&mut self, scope: &Scope) {
        if let Some(Entry {
            answer: Some(answer), ..
        }) = self.entries.remove(scope)
        {
            self.bytes -= answer.body.len();
        }
    }
}

/// Forgets a key whose call ended without an answer to keep: the client went away, or the answer was a failure.
struct Unfinished<'a> {
    answers: &'a Answers,
    scope: Option<Scope>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(scope) = &self.scope {
            self.answers.forget(scope);
        }
    }
}

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let writes = request
        .extensions()
        .get::<Target>()
        .and_then(Target::method)
        .is_some_and(|method| method.idempotency != Idempotency::NoSideEffects && !method.server_streaming);
    if !writes || Form::of(&request).grpc_type().is_some() || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    let Some(key) = key(request.headers()) else {
        return refuse_request(
            &request,
            ApiError::invalid(
                "Idempotency-Key",
                "must be one value of 1 to 255 visible characters",
            ),
        );
    };
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refuse_request(&Request::from_parts(parts, ()), too_large()),
    };
    let scope = (owner(&parts.extensions), key);
    let fingerprint = fingerprint(parts.method.as_str(), &parts.uri.to_string(), &body);
    match gateway.answers.begin(&scope, fingerprint, Instant::now()) {
        Found::New => {}
        Found::Other => {
            let error = ApiError::new(
                Code::InvalidArgument,
                "IDEMPOTENCY_KEY_REUSED",
                "the idempotency key was used for another request",
            );
            return refuse_request(&Request::from_parts(parts, ()), error);
        }
        Found::Running => {
            let error = ApiError::new(
                Code::Aborted,
                "IDEMPOTENCY_KEY_IN_USE",
                "the first request still runs",
            );
            return refuse_request(
                &Request::from_parts(parts, ()),
                error.retry_after(Duration::from_secs(1)),
            );
        }
        Found::Stored(answer) => return replay(answer),
    }
    let mut unfinished = Unfinished {
        answers: &gateway.answers,
        scope: Some(scope),
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(&gateway.answers, &mut unfinished, response).await
}

/// Stores an answer that a repeat shall get. A stream, a failure of ours and a huge answer are not kept.
async fn keep(answers: &Answers, unfinished: &mut Unfinished<'_>, response: Response) -> Response {
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    let streams = kind.starts_with(b"text/event-stream");
    let transient = response.status().is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::CONFLICT].contains(&response.status());
    if streams || transient {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Response::from_parts(parts, Body::empty());
    };
    if body.len() <= LARGEST_ANSWER
        && let Some(scope) = unfinished.scope.take()
    {
        let headers = parts.headers.clone();
        answers.finish(
            &scope,
            Answer {
                status: parts.status,
                headers,
                body: body.clone(),
            },
        );
    }
    Response::from_parts(parts, Body::from(body))
}

fn replay(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn key(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let text = value.to_str().ok()?;
    (1..=MAX_KEY_BYTES).contains(&text.len()).then(|| text.to_owned())
}

/// Keys of different callers never meet.
fn owner(extensions: &http::Extensions) -> String {
    match extensions.get::<Caller>() {
        Some(caller) if !caller.is_anonymous() => {
            let workspace = caller
                .workspace
                .map(|workspace| workspace.to_string())
                .unwrap_or_default();
            format!("{}/{}/{workspace}", caller.kind.as_str(), caller.id)
        }
        _ => extensions
            .get::<ClientAddr>()
            .map(|client| client.0.to_string())
            .unwrap_or_default(),
    }
}

fn fingerprint(method: &str, uri: &str, body: &[u8]) -> [u8; 32] {
    let body = sha256(body);
    let mut text = format!("{method} {uri}\n").into_bytes();
    text.extend_from_slice(&body);
    sha256(&text)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(key: &str) -> Scope {
        ("caller".to_owned(), key.to_owned())
    }

    #[test]
    fn a_key_runs_once_and_then_replays() {
        let (answers, now) = (Answers::new(), Instant::now());
        assert!(matches!(answers.begin(&scope("k"), [1; 32], now), Found::New));
        assert!(matches!(answers.begin(&scope("k"), [1; 32], now), Found::Running));
        assert!(matches!(answers.begin(&scope("k"), [2; 32], now), Found::Other));
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
        };
        answers.finish(&scope("k"), answer);
        assert!(matches!(
            answers.begin(&scope("k"), [1; 32], now),
            Found::Stored(_)
        ));
        assert!(matches!(
            answers.begin(&scope("k"), [1; 32], now + KEPT_FOR),
            Found::New
        ));
    }

    #[test]
    fn a_call_without_an_answer_frees_its_key() {
        let (answers, now) = (Answers::new(), Instant::now());
        assert!(matches!(answers.begin(&scope("k"), [1; 32], now), Found::New));
        drop(Unfinished {
            answers: &answers,
            scope: Some(scope("k")),
        });
        assert!(matches!(answers.begin(&scope("k"), [1; 32], now), Found::New));
    }
}
