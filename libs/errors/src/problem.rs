//! The HTTP form: problem details (RFC 9457).

use http::StatusCode;
use serde::Serialize;
use tonic::Code;

use crate::{ApiError, Violation};

/// A problem document, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A URI reference that names the kind of problem; the stable reason in lower case.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// For people.
    pub detail: String,
    /// The stable reason.
    pub reason: String,
    /// The id of this failure.
    pub error_id: String,
    /// The request that failed.
    pub request_id: String,
    /// Which fields are wrong.
    pub violations: Vec<Violation>,
    /// When to try again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// The document of `error` for the request with that id.
    pub fn new(error: &ApiError, request_id: &str) -> Self {
        let status = http_status(error);
        Self {
            kind: format!(
                "urn:causeway:problem:{}",
                error.reason.to_lowercase().replace('_', "-")
            ),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: error.message.clone().into_owned(),
            reason: error.reason.clone().into_owned(),
            error_id: error.error_id.to_string(),
            request_id: request_id.to_owned(),
            violations: error.violations.clone(),
            retry_after_ms: error
                .retry_after
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// The HTTP status of an error. A few reasons have a status that their gRPC code cannot say.
pub fn http_status(error: &ApiError) -> StatusCode {
    match error.reason.as_ref() {
        "PAYLOAD_TOO_LARGE" | "MESSAGE_TOO_LARGE" => return StatusCode::PAYLOAD_TOO_LARGE,
        "HEADERS_TOO_LARGE" => return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "METHOD_NOT_ALLOWED" => return StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED_MEDIA_TYPE" => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "LAST_OWNER" | "ERASURE_BEGUN" | "EXPORT_NOT_READY" => return StatusCode::CONFLICT,
        "RANGE_NOT_SATISFIABLE" => return StatusCode::RANGE_NOT_SATISFIABLE,
        "IDEMPOTENCY_KEY_REUSED" => return StatusCode::UNPROCESSABLE_ENTITY,
        "OTHER_REGION" => return StatusCode::TEMPORARY_REDIRECT,
        "REGION_UNKNOWN" => return StatusCode::MISDIRECTED_REQUEST,
        "PROVIDER_UNAVAILABLE" => return StatusCode::FAILED_DEPENDENCY,
        _ => {}
    }
    match error.code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
