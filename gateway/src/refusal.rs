//! Errors at the door, in the shape of the surface that was called.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use causeway_context::RequestId;
use causeway_errors::{ApiError, Code, Problem, http_status};
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::json;
use tonic::Status;

use crate::door::observe;
use crate::rest::oauth;
use crate::wire::Wire;

/// The shape of a surface's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/problem+json`.
    Problem,
    /// OpenAI's error object.
    Openai,
    /// OAuth's error object.
    Oauth,
    /// gRPC and gRPC-web: the status is in the headers.
    Grpc(Wire),
}

/// Where clients of OpenAI expect its error object.
pub(crate) const OPENAI_PATHS: [&str; 2] = ["/v1/chat/completions", "/v1/models"];

impl Form {
    /// The form that a request's caller understands.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let path = path.strip_prefix("/api").unwrap_or(path);
        match Wire::of(request.headers()) {
            Some(Wire::Foreign) => Self::Problem,
            Some(wire) => Self::Grpc(wire),
            None if OPENAI_PATHS.contains(&path) => Self::Openai,
            None if oauth::is_spoken_at(path) => Self::Oauth,
            None => Self::Problem,
        }
    }

    /// Whether the answer is a gRPC status.
    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc(_))
    }
}

/// The answer to `request` that says `error`.
pub(crate) fn refuse(form: Form, request_id: &RequestId, error: ApiError) -> Response {
    let status = http_status(&error);
    let code = error.code;
    let retry_after = error.retry_after;
    if let Form::Grpc(wire) = form {
        return refuse_status(wire, error.into());
    }
    let mut response = if form == Form::Openai {
        (status, axum::Json(openai(&error, request_id))).into_response()
    } else if form == Form::Oauth {
        let (status, body, headers) = oauth::refusal(&error);
        (status, headers, axum::Json(body)).into_response()
    } else {
        let mut response = (status, axum::Json(Problem::new(&error, request_id.as_str()))).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    };
    let headers = response.headers_mut();
    if let Some(delay) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
    }
    if code == Code::Unauthenticated && form != Form::Oauth {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer realm="causeway""#),
        );
    }
    response
}

/// The same to a gRPC client.
pub(crate) fn refuse_status(wire: Wire, status: Status) -> Response {
    let mut response = status.into_http::<Body>();
    if let Some(kind) = wire.media_type() {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// The answer to a request whose id and form the outer layers left in its extensions.
pub(crate) fn refuse_request<B>(request: &Request<B>, error: ApiError) -> Response {
    refuse(Form::of(request), &observe::request_id(request), error)
}

/// A delay in whole seconds, at least one: who comes back then is not too early.
pub(crate) fn whole_seconds(delay: Duration) -> u64 {
    delay
        .as_secs()
        .saturating_add(u64::from(delay.subsec_nanos() > 0))
        .max(1)
}

/// OpenAI's error object.
pub(crate) fn openai(error: &ApiError, request_id: &RequestId) -> serde_json::Value {
    let status = http_status(error);
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    };
    json!({"error": {
        "message": error.message,
        "type": kind,
        "param": error.violations.first().map(|violation| &violation.field),
        "code": error.reason,
        "error_id": error.error_id,
        "request_id": request_id.as_str(),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(path: &str, kind: &str) -> Form {
        Form::of(
            &Request::builder()
                .uri(path)
                .header("content-type", kind)
                .body(())
                .unwrap(),
        )
    }

    #[test]
    fn the_shape_follows_the_surface() {
        assert_eq!(form("/v1/models", "application/json"), Form::Openai);
        assert_eq!(form("/api/v1/chat/completions", ""), Form::Openai);
        assert_eq!(form("/elsewhere/v1/models", ""), Form::Problem);
        assert_eq!(form("/v1/models", "application/grpc-web"), Form::Grpc(Wire::Web));
        assert_eq!(form("/v1/tokens", "application/grpc+json"), Form::Problem);
    }

    #[test]
    fn what_the_client_did_wrong_is_not_an_api_error() {
        let id = RequestId::generate();
        for (code, reason, kind) in [
            (Code::Unimplemented, "METHOD_NOT_ALLOWED", "invalid_request_error"),
            (
                Code::ResourceExhausted,
                "PAYLOAD_TOO_LARGE",
                "invalid_request_error",
            ),
            (Code::Internal, "INTERNAL", "api_error"),
            (Code::Unavailable, "OVERLOADED", "api_error"),
        ] {
            let error = ApiError::new(code, reason, "text");
            assert_eq!(openai(&error, &id)["error"]["type"], kind, "{reason}");
        }
    }

    #[test]
    fn a_delay_is_never_rounded_down() {
        let seconds = |millis| whole_seconds(Duration::from_millis(millis));
        assert_eq!(
            [seconds(0), seconds(1), seconds(1000), seconds(1001)],
            [1, 1, 1, 2]
        );
    }
}
