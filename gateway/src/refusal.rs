//! Errors at the door, in the shape of the surface that was called.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use causeway_context::RequestId;
use causeway_errors::{ApiError, Code, Problem, http_status};
use http::{HeaderValue, Request, header};
use serde_json::json;
use tonic::Status;

use crate::door::observe;

/// The shape of a surface's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/problem+json`.
    Problem,
    /// OpenAI's error object.
    Openai,
    /// gRPC: the status is in the headers.
    Grpc,
    /// gRPC-web, binary.
    GrpcWeb,
    /// gRPC-web, text.
    GrpcWebText,
}

impl Form {
    /// Whether the answer is a gRPC status, and as which media type.
    pub(crate) fn grpc_type(self) -> Option<&'static str> {
        match self {
            Self::Problem | Self::Openai => None,
            Self::Grpc => Some("application/grpc"),
            Self::GrpcWeb => Some("application/grpc-web+proto"),
            Self::GrpcWebText => Some("application/grpc-web-text+proto"),
        }
    }

    /// The form that a request's caller understands.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let path = request.uri().path();
        if kind.starts_with(b"application/grpc-web-text") {
            Self::GrpcWebText
        } else if kind.starts_with(b"application/grpc-web") {
            Self::GrpcWeb
        } else if kind.starts_with(b"application/grpc") {
            Self::Grpc
        } else if path.ends_with("/v1/chat/completions") || path.ends_with("/v1/models") {
            Self::Openai
        } else {
            Self::Problem
        }
    }
}

/// The answer to `request` that says `error`.
pub(crate) fn refuse(form: Form, request_id: &RequestId, error: ApiError) -> Response {
    let status = http_status(&error);
    let code = error.code;
    let retry_after = error.retry_after;
    if let Some(kind) = form.grpc_type() {
        let mut response = Status::from(error).into_http::<Body>();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        return response;
    }
    let mut response = if form == Form::Openai {
        (status, axum::Json(openai(&error, request_id))).into_response()
    } else {
        let mut response = (status, axum::Json(Problem::new(&error, request_id.as_str()))).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    };
    let headers = response.headers_mut();
    if let Some(delay) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    if code == Code::Unauthenticated {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer realm="causeway""#),
        );
    }
    response
}

/// The answer to a request whose id and form the outer layers left in its extensions.
pub(crate) fn refuse_request<B>(request: &Request<B>, error: ApiError) -> Response {
    refuse(Form::of(request), &observe::request_id(request), error)
}

/// OpenAI's error object.
pub(crate) fn openai(error: &ApiError, request_id: &RequestId) -> serde_json::Value {
    let kind = match error.code {
        Code::Unauthenticated => "authentication_error",
        Code::PermissionDenied => "permission_error",
        Code::ResourceExhausted => "rate_limit_error",
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => "invalid_request_error",
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => "api_error",
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
