//! What an answer of KMS means to whoever needs a data key.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId as _;
use causeway_crypto::{CryptoError, KeyCause, KeyError};

/// What KMS says of a request that it refuses. The raw answer is left out: nobody can know what is in it.
#[derive(Debug, thiserror::Error)]
#[error("AWS KMS answers {code}: {message} (request {request_id})")]
struct Refusal {
    code: String,
    message: String,
    request_id: String,
}

/// An answer that lacks what it must have.
#[derive(Debug, thiserror::Error)]
#[error("the answer of AWS KMS lacks its {0}")]
struct Incomplete(&'static str);

pub(crate) fn incomplete(part: &'static str) -> KeyError {
    KeyError::Unavailable(KeyCause::new(Incomplete(part)))
}

/// The error of a use of `key_id`.
pub(crate) fn failure<E>(error: SdkError<E>, key_id: &str) -> KeyError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let code = error.code().unwrap_or_default().to_owned();
    match code.as_str() {
        "DisabledException" | "KMSInvalidStateException" => KeyError::Disabled(key_id.to_owned()),
        "NotFoundException" => KeyError::Unknown(key_id.to_owned()),
        // Also what a wrapped key of another workspace, version or purpose gets.
        "InvalidCiphertextException" => KeyError::Refused(CryptoError::Altered),
        "IncorrectKeyException" => KeyError::Refused(CryptoError::WrongKey),
        _ if is_lasting(&code, status) => KeyError::Denied {
            key_id: key_id.to_owned(),
            cause: cause(error),
        },
        _ => KeyError::Unavailable(cause(error)),
    }
}

/// Whether the same request would fail later too: the service understood it, and its quotas are not the reason.
fn is_lasting(code: &str, status: u16) -> bool {
    let passing = ["Throttl", "TooManyRequests", "LimitExceeded", "RequestTimeout"];
    (400..500).contains(&status)
        && status != 408
        && status != 429
        && !code.is_empty()
        && !passing.iter().any(|part| code.contains(part))
}

fn cause<E>(error: SdkError<E>) -> KeyCause
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let SdkError::ServiceError(_) = &error {
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        return KeyCause::new(Refusal {
            code: text(error.code()),
            message: text(error.message()),
            request_id: text(error.request_id()),
        });
    }
    // The source alone: the error itself would show the raw answer, and with it perhaps a key.
    match error.into_source() {
        Ok(source) => KeyCause::new(source),
        Err(_) => KeyCause::new("the AWS SDK gives no reason"),
    }
}
