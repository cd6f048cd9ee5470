//! [`ApiError`]: what may cross a service border, and its gRPC and HTTP forms. Every field of it is safe to show.

mod grpc;
mod problem;

use std::borrow::Cow;
use std::time::Duration;

pub use problem::{Problem, http_status};
pub use tonic::Code;
use uuid::Uuid;

/// How many wrong fields an error tells of.
const MAX_VIOLATIONS: usize = 20;
/// The longest text about one of them.
const MAX_TEXT_BYTES: usize = 200;

fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push('…');
    }
}

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Violation {
    /// The path of the field, such as `offers[2].offer_id`.
    pub field: String,
    /// What is wrong with it; never the value.
    pub description: String,
}

/// What may cross a service border: a code, a stable reason, a message for people.
///
/// Causes are not part of it; they stay in the log line with the same [`ApiError::error_id`] (B-GW-29).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The gRPC code; the HTTP status follows from it.
    pub code: Code,
    /// A stable word such as `KEY_NOT_FOUND`, part of the API.
    pub reason: Cow<'static, str>,
    /// For people; says nothing that the caller may not know.
    pub message: Cow<'static, str>,
    /// Which fields of the request are wrong.
    pub violations: Vec<Violation>,
    /// When to try again, if that may help.
    pub retry_after: Option<Duration>,
    /// The id of this failure, made once and kept on the way out.
    pub error_id: Uuid,
}

impl ApiError {
    /// An error with a fresh id.
    pub fn new(
        code: Code,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            error_id: Uuid::new_v4(),
        }
    }

    /// A request whose field `field` is wrong: `INVALID_ARGUMENT`.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::violations([Violation {
            field: field.into(),
            description: description.into(),
        }])
    }

    /// A request with several wrong fields: `INVALID_ARGUMENT`.
    ///
    /// The first ones of many are told, and of a long path its beginning: an error travels in a header.
    pub fn violations(violations: impl IntoIterator<Item = Violation>) -> Self {
        let mut violations: Vec<Violation> = violations.into_iter().collect();
        let count = violations.len();
        violations.truncate(MAX_VIOLATIONS);
        for violation in &mut violations {
            shorten(&mut violation.field);
            shorten(&mut violation.description);
        }
        let message = match violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.description),
            _ => format!("{count} fields are invalid"),
        };
        Self {
            violations,
            ..Self::new(Code::InvalidArgument, "INVALID_ARGUMENT", message)
        }
    }

    /// A thing that is not there, or that the caller may not know of.
    pub fn not_found(reason: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotFound, reason, message)
    }

    /// A caller who is not known. One message for every cause (JWT-05).
    pub fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "UNAUTHENTICATED", "no valid credential")
    }

    /// A caller who is known and may not.
    pub fn forbidden(reason: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::PermissionDenied, reason, message)
    }

    /// A failure of ours; the causes are in the log.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "INTERNAL", "internal error")
    }

    /// A part that does not answer now; the call may be tried again.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unavailable, reason, "temporarily unavailable, please retry")
            .retry_after(Duration::from_secs(1))
    }

    /// The same error with a time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_fits_into_a_header() {
        let violation = Violation {
            field: "é".repeat(100_000),
            description: "is wrong".to_owned(),
        };
        let error = ApiError::violations(vec![violation; 1000]);
        assert_eq!(error.violations.len(), MAX_VIOLATIONS);
        assert_eq!(error.message, "1000 fields are invalid");
        let told: usize = error
            .violations
            .iter()
            .map(|violation| violation.field.len())
            .sum();
        assert!(told < 8 * 1024, "{told}");
    }
}
