//! Which pages of other origins may call (B-GW-4 to B-GW-6, B-GW-22, B-GW-35).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, Request, header};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::Config;

const REQUEST_HEADERS: [HeaderName; 14] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ACCEPT,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-tenant-id"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("connect-protocol-version"),
    HeaderName::from_static("connect-timeout-ms"),
];

const RESPONSE_HEADERS: [HeaderName; 13] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-causeway-request-id"),
    HeaderName::from_static("x-causeway-provider"),
    HeaderName::from_static("x-causeway-model"),
    HeaderName::from_static("x-causeway-attempts"),
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// Answers preflights. `OPTIONS` without the question of a browser goes on: to the route that knows its methods.
pub(crate) async fn layer(State(cors): State<CorsLayer>, request: Request<Body>, next: Next) -> Response {
    let asks = request
        .headers()
        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !asks {
        return next.run(request).await;
    }
    let inner = service_fn(move |request: Request<Body>| {
        let next = next.clone();
        async move { Ok::<Response, Infallible>(next.run(request).await) }
    });
    match cors.layer(inner).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The rules of the settings.
pub(crate) fn rules(config: &Config) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(Duration::from_secs(600));
    if config.origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(tower_http::cors::Any);
    }
    let origins: Vec<HeaderValue> = config
        .origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    layer
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
}
