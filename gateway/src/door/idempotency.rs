//! `Idempotency-Key`: a repeat of a writing call gets the stored answer, not a second effect (B-GW-3, contract §1).

mod answers;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::Caller;
use causeway_contracts::Method;
use causeway_errors::{ApiError, Code};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

pub(crate) use answers::Answers;
use answers::{Answer, Found, Scope};

use crate::door::observe;
use crate::door::strip::ClientAddr;
use crate::refusal::{Form, refuse, refuse_request};
use crate::target::Target;
use crate::{Gateway, rest, rpc};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const MAX_KEY_BYTES: usize = 255;
const LARGEST_ANSWER: usize = 1 << 20;
/// RPCs that run every time: the audit log has to know of each look at a secret before it is answered, and the seed and
/// the recovery codes of a second factor are shown once and kept nowhere (MFA-01).
const NEVER_REPLAYED: [&str; 3] = [
    "/causeway.tenancy.v1.TenancyService/RevealSecret",
    "/causeway.auth.v1.MfaService/EnrollTotp",
    "/causeway.auth.v1.MfaService/RegenerateRecoveryCodes",
];

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let method = request.extensions().get::<Target>().and_then(Target::method);
    let Some(method) = method.filter(|_| is_keyed(&request)) else {
        return next.run(request).await;
    };
    let Some(key) = key(request.headers()) else {
        return refuse_request(
            &request,
            ApiError::invalid(
                "Idempotency-Key",
                "must be one value of 1 to 255 visible characters",
            ),
        );
    };
    // The client of an OAuth request may stand in a header, which no key is bound to; and tokens are not kept.
    if NEVER_REPLAYED.contains(&method.path) || rest::oauth::is_spoken(method) {
        return next.run(request).await;
    }
    let failed = {
        let (form, request_id) = (Form::of(&request), observe::request_id(&request));
        move || refuse(form, &request_id, ApiError::internal())
    };
    let (parts, body) = request.into_parts();
    let body = match rpc::read(body).await {
        Ok(body) => body,
        Err(error) => return refuse_request(&Request::from_parts(parts, ()), error),
    };
    let scope = scope(&gateway, method, &parts, key);
    let fingerprint = fingerprint(parts.method.as_str(), &parts.uri.to_string(), &body);
    let running = match gateway.answers.begin(&scope, fingerprint, Instant::now()) {
        Found::New(running) => running,
        Found::Other => return refuse_request(&Request::from_parts(parts, ()), reused()),
        Found::Running => return refuse_request(&Request::from_parts(parts, ()), in_use()),
        Found::Stored(answer) => return replay(answer),
    };
    let unfinished = Unfinished {
        gateway: Arc::clone(&gateway),
        scope,
        running,
    };
    // A client that goes away in the middle is the one that will ask again: the call runs to its end all the same.
    let request = Request::from_parts(parts, Body::from(body));
    let call = async move { unfinished.keep(next.run(request).await).await };
    match gateway.calls.spawn(call.in_current_span()).await {
        Ok(Some(response)) => response,
        Ok(None) => failed(),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => failed(),
        },
    }
}

/// Whether a key of the request means anything: a writing method of HTTP.
fn is_keyed(request: &Request<Body>) -> bool {
    let writes = [
        http::Method::POST,
        http::Method::PUT,
        http::Method::PATCH,
        http::Method::DELETE,
    ];
    request.headers().contains_key(KEY) && writes.contains(request.method()) && !Form::of(request).is_grpc()
}

fn reused() -> ApiError {
    ApiError::new(
        Code::InvalidArgument,
        "IDEMPOTENCY_KEY_REUSED",
        "the idempotency key was used for another request",
    )
}

fn in_use() -> ApiError {
    let message = "the first request still runs";
    ApiError::new(Code::Aborted, "IDEMPOTENCY_KEY_IN_USE", message).retry_after(Duration::from_secs(1))
}

/// A call that runs. Its key is free again when it ends without an answer to keep.
struct Unfinished {
    gateway: Arc<Gateway>,
    scope: Scope,
    running: u64,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.gateway.answers.forget(&self.scope, self.running);
    }
}

impl Unfinished {
    /// Stores an answer that a repeat shall get. A stream, a failure that may pass and a huge answer are not kept.
    /// Nothing comes back when the answer breaks off.
    async fn keep(self, response: Response) -> Option<Response> {
        if streams(response.headers()) || may_pass(response.status()) {
            return Some(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        if body.len() <= LARGEST_ANSWER {
            let answer = Answer {
                status: parts.status,
                headers: parts.headers.clone(),
                body: body.clone(),
            };
            self.gateway
                .answers
                .finish(&self.scope, self.running, answer, Instant::now());
        }
        Some(Response::from_parts(parts, Body::from(body)))
    }
}

fn streams(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether the same request may get another answer a moment later.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::CONFLICT,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::FAILED_DEPENDENCY,
        ]
        .contains(&status)
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

/// Whose key it is. Who has no credential is known by address, by the session in the cookie and by the token to
/// exchange: two browsers behind one address must never get each other's answers.
fn scope(gateway: &Gateway, method: &Method, parts: &http::request::Parts, key: String) -> Scope {
    let caller = parts.extensions.get::<Caller>();
    if let Some(caller) = caller.filter(|caller| !caller.is_anonymous()) {
        let workspace = caller.workspace.map(|workspace| workspace.to_string());
        return Scope {
            tenant: workspace.unwrap_or_default(),
            caller: format!("{}/{}", caller.kind.as_str(), caller.id),
            key,
        };
    }
    let address = parts.extensions.get::<ClientAddr>();
    let subject = parts.extensions.get::<rest::Subject>();
    let subject = subject.map(|subject| format!("{:x?}", sha256(subject.as_str().as_bytes())));
    let session = match rest::refresh_cookie(&parts.headers, &gateway.config.cookie.name) {
        Ok(None) => String::new(),
        Ok(Some(token)) => format!("{:x?}", sha256(token.as_bytes())),
        Err(_) => "several".to_owned(),
    };
    Scope {
        tenant: address.map(|client| client.0.to_string()).unwrap_or_default(),
        caller: format!("{}/{session}/{}", method.path, subject.unwrap_or_default()),
        key,
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
