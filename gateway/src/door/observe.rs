//! Request id, trace, metrics, and the warning about slow answers.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::RequestId;
use causeway_mesh::REQUEST_ID_HEADER;
use http::{HeaderName, HeaderValue, Method, Request};
use tracing::Instrument as _;

use crate::Gateway;
use crate::target::Label;

/// The id again, under the name that clients of model gateways look for.
const CAUSEWAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-causeway-request-id");

/// The id that this layer gave a request.
pub(crate) fn request_id<B>(request: &Request<B>) -> RequestId {
    request
        .extensions()
        .get::<RequestId>()
        .cloned()
        .unwrap_or_else(RequestId::generate)
}

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let started = Instant::now();
    let given = request
        .headers()
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok());
    let request_id = given
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::generate);
    request.extensions_mut().insert(request_id.clone());

    let span = tracing::info_span!(
        "request",
        otel.name = tracing::field::Empty,
        otel.kind = "server",
        http.request.method = known(request.method()),
        http.response.status_code = tracing::field::Empty,
        request_id = %request_id,
    );
    causeway_telemetry::continue_trace(&span, request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;

    let label = response
        .extensions()
        .get::<Label>()
        .copied()
        .unwrap_or(Label::UNKNOWN);
    span.record("otel.name", label.name);
    span.record("http.response.status_code", response.status().as_u16());
    let elapsed = started.elapsed();
    causeway_telemetry::metrics::record_call(
        "http",
        label.owner,
        label.name,
        class(response.status().as_u16()),
        elapsed.as_secs_f64(),
    );
    span.in_scope(|| {
        let status = response.status().as_u16();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            service = label.owner,
            rpc = label.name,
            status,
            millis,
            "answered"
        );
    });
    span.in_scope(|| causeway_telemetry::slow_api(label.name, elapsed, gateway.config.slow_after));

    if let Ok(value) = HeaderValue::from_str(request_id.as_str()) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value.clone());
        response.headers_mut().insert(CAUSEWAY_REQUEST_ID, value);
    }
    response
}

/// A method of the standard; what else a client writes there stays out of the logs.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS
        | Method::TRACE
        | Method::CONNECT => method.as_str(),
        _ => "_OTHER",
    }
}

fn class(status: u16) -> &'static str {
    match status {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}
