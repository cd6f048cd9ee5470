//! The gRPC form: google.rpc details, so that the far side gets the same [`ApiError`] back.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use crate::{ApiError, Violation};

/// The `domain` of our ErrorInfo.
const DOMAIN: &str = "causeway";
const ERROR_ID: &str = "error_id";

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let metadata = HashMap::from([(ERROR_ID.to_owned(), error.error_id.to_string())]);
        let mut details = ErrorDetails::with_error_info(error.reason, DOMAIN, metadata);
        if !error.violations.is_empty() {
            for violation in error.violations {
                details.add_bad_request_violation(violation.field, violation.description);
            }
        }
        if let Some(delay) = error.retry_after {
            details.set_retry_info(Some(delay));
        }
        Self::with_error_details(error.code, error.message, details)
    }
}

impl From<Status> for ApiError {
    /// The error that the other side sent. A status without our ErrorInfo came from the transport: its code is kept,
    /// its text is not shown.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
            return from_transport(status.code());
        };
        Self {
            code: status.code(),
            reason: info.reason.clone().into(),
            message: status.message().to_owned().into(),
            violations: details
                .bad_request()
                .map(|bad| &bad.field_violations)
                .into_iter()
                .flatten()
                .map(|violation| Violation {
                    field: violation.field.clone(),
                    description: violation.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            error_id: info
                .metadata
                .get(ERROR_ID)
                .and_then(|id| Uuid::try_parse(id).ok())
                .unwrap_or_else(Uuid::new_v4),
        }
    }
}

fn from_transport(code: Code) -> ApiError {
    match code {
        // tonic reports an expired deadline as Cancelled.
        Code::DeadlineExceeded | Code::Cancelled => ApiError::new(
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            "the deadline of the call passed",
        ),
        Code::Unavailable => ApiError::unavailable("SERVICE_UNAVAILABLE"),
        Code::ResourceExhausted | Code::OutOfRange => ApiError::new(
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
            "the message is too large",
        ),
        Code::InvalidArgument => ApiError::new(
            Code::InvalidArgument,
            "MALFORMED_MESSAGE",
            "the message cannot be decoded",
        ),
        Code::Unimplemented => ApiError::new(Code::Unimplemented, "UNKNOWN_METHOD", "no such method"),
        Code::Unauthenticated => ApiError::unauthenticated(),
        Code::Ok
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss => ApiError::internal(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_far_side_gets_the_same_error() {
        let error = ApiError {
            violations: vec![Violation {
                field: "a.b".to_owned(),
                description: "too long".to_owned(),
            }],
            ..ApiError::new(Code::InvalidArgument, "NOPE", "no").retry_after(Duration::from_millis(1500))
        };
        assert_eq!(ApiError::from(Status::from(error.clone())), error);
    }

    #[test]
    fn text_of_the_transport_is_not_shown() {
        let error = ApiError::from(Status::internal("tcp connect error: 10.0.0.7"));
        assert_eq!(error.message, "internal error");
    }
}
