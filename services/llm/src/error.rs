//! What can go wrong at a provider, and what of it a caller sees.

use std::time::Duration;

use causeway_egress::EgressError;
use causeway_errors::{ApiError, Code};

/// What kind of failure it was: shown in `ListProviders` and in metrics, and the reason to try again or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// Too many requests.
    RateLimited,
    /// The key was refused.
    Auth,
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Connect,
    /// A failure of the provider.
    Server,
    /// The provider does not take the request.
    InvalidRequest,
    /// The provider does not know the model.
    UnknownModel,
    /// The address that the workspace chose is not a public one.
    Address,
    /// The answer is not what the API promises.
    Malformed,
}

impl ErrorClass {
    /// The word in messages and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Server => "server",
            Self::InvalidRequest | Self::UnknownModel => "invalid_request",
            Self::Malformed => "malformed",
            Self::Address => "address",
        }
    }

    /// Whether another attempt may succeed (B-LLM-10).
    pub(crate) const fn is_transient(self) -> bool {
        match self {
            Self::RateLimited | Self::Timeout | Self::Connect | Self::Server => true,
            Self::Auth | Self::InvalidRequest | Self::UnknownModel | Self::Malformed | Self::Address => false,
        }
    }

    /// The class of an HTTP status that is not a success.
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Auth,
            404 => Self::UnknownModel,
            408 => Self::Timeout,
            429 => Self::RateLimited,
            500..=599 => Self::Server,
            400..=499 => Self::InvalidRequest,
            _ => Self::Malformed,
        }
    }
}

/// A failed attempt. Holds neither keys nor what the provider wrote.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {what}")]
pub(crate) struct ProviderError {
    /// Whose failure.
    pub provider: &'static str,
    /// What kind of failure.
    pub class: ErrorClass,
    /// When the provider wants to be asked again.
    pub retry_after: Option<Duration>,
    what: What,
    #[source]
    source: Option<EgressError>,
}

#[derive(Debug, thiserror::Error)]
enum What {
    #[error("answered with status {0}")]
    Status(u16),
    #[error("{0}")]
    Said(&'static str),
}

impl ProviderError {
    /// A failure that we found ourselves; `what` is a fixed text.
    pub(crate) fn new(provider: &'static str, class: ErrorClass, what: &'static str) -> Self {
        Self {
            provider,
            class,
            retry_after: None,
            what: What::Said(what),
            source: None,
        }
    }

    /// A status that is not a success.
    pub(crate) fn status(provider: &'static str, status: u16, retry_after: Option<Duration>) -> Self {
        let class = ErrorClass::of_status(status);
        Self {
            provider,
            class,
            retry_after,
            what: What::Status(status),
            source: None,
        }
    }

    /// A failure on the way.
    pub(crate) fn egress(provider: &'static str, error: EgressError) -> Self {
        let class = match &error {
            EgressError::Connect(_) | EgressError::Tls(_) | EgressError::Body(_) => ErrorClass::Connect,
            EgressError::Timeout => ErrorClass::Timeout,
            EgressError::TooLarge { .. } | EgressError::Malformed { .. } => ErrorClass::Malformed,
            EgressError::InvalidRequest => ErrorClass::InvalidRequest,
            EgressError::NotPublic => ErrorClass::Address,
        };
        Self {
            provider,
            class,
            retry_after: None,
            what: What::Said("the exchange failed"),
            source: Some(error),
        }
    }

    /// A failure that the provider reported inside of a stream.
    pub(crate) fn in_stream(provider: &'static str, class: ErrorClass) -> Self {
        Self::new(provider, class, "reported an error inside of the stream")
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LlmError {
    /// The provider that the settings or the caller pin cannot be used.
    #[error("{provider} cannot be used: {why}")]
    Unusable {
        /// The pinned provider.
        provider: &'static str,
        /// Why; safe to show.
        why: &'static str,
    },
    /// The provider was asked and did not answer.
    #[error("no answer after {attempts} attempts")]
    Failed {
        /// How many attempts there were.
        attempts: u32,
        /// The last failure.
        #[source]
        last: ProviderError,
    },
    /// It cannot be said which provider the workspace chose.
    #[error("ask what the workspace chose")]
    Undecided(#[source] ApiError),
}

impl LlmError {
    /// Whose failure it is; empty if no provider was chosen.
    pub(crate) fn provider(&self) -> &'static str {
        match self {
            Self::Unusable { provider, .. } => provider,
            Self::Failed { last, .. } => last.provider,
            Self::Undecided(_) => "",
        }
    }

    /// What the caller sees.
    pub(crate) fn to_api(&self) -> ApiError {
        match self {
            Self::Unusable { provider, why } => {
                unavailable(format!("the provider {provider} cannot be used: {why}"))
            }
            Self::Failed { last, .. } => of_provider(last),
            Self::Undecided(error) => error.clone(),
        }
    }
}

fn unavailable(message: String) -> ApiError {
    ApiError::new(Code::FailedPrecondition, "PROVIDER_UNAVAILABLE", message)
}

fn of_provider(error: &ProviderError) -> ApiError {
    let provider = error.provider;
    let api = match error.class {
        ErrorClass::RateLimited => ApiError::new(
            Code::ResourceExhausted,
            "PROVIDER_RATE_LIMITED",
            format!("the provider {provider} takes no more requests now"),
        ),
        ErrorClass::Auth => unavailable(format!("the provider {provider} refused our credential")),
        ErrorClass::Address => unavailable(format!(
            "the provider {provider} is not at a public address, and no other may be reached"
        )),
        ErrorClass::Timeout => ApiError::new(
            Code::DeadlineExceeded,
            "PROVIDER_TIMEOUT",
            format!("the provider {provider} did not answer in time"),
        ),
        ErrorClass::Connect => ApiError::new(
            Code::Unavailable,
            "PROVIDER_UNREACHABLE",
            format!("the connection to the provider {provider} failed"),
        ),
        ErrorClass::Server => ApiError::new(
            Code::Unavailable,
            "PROVIDER_ERROR",
            format!("the provider {provider} failed"),
        ),
        ErrorClass::InvalidRequest => ApiError::new(
            Code::InvalidArgument,
            "PROVIDER_REFUSED_REQUEST",
            format!("the provider {provider} refused the request"),
        ),
        ErrorClass::UnknownModel => ApiError::not_found(
            "MODEL_NOT_FOUND",
            format!("the provider {provider} does not know this model"),
        ),
        ErrorClass::Malformed => ApiError::new(
            Code::Unavailable,
            "PROVIDER_MALFORMED_ANSWER",
            format!("the provider {provider} broke off or sent an answer that cannot be read"),
        ),
    };
    match error.retry_after {
        Some(delay) if error.class.is_transient() => api.retry_after(delay),
        Some(_) | None => api,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let transient = |status| ErrorClass::of_status(status).is_transient();
        assert!([408, 429, 500, 502, 503, 504, 529].into_iter().all(transient));
        assert!(![300, 400, 401, 403, 404, 413, 422].into_iter().any(transient));
    }

    #[test]
    fn a_refused_key_looks_like_an_unusable_provider() {
        let last = ProviderError::status("openai", 401, None);
        let api = LlmError::Failed { attempts: 1, last }.to_api();
        assert_eq!(
            (api.code, api.reason.as_ref()),
            (Code::FailedPrecondition, "PROVIDER_UNAVAILABLE")
        );
    }

    #[test]
    fn the_wish_of_the_provider_reaches_the_caller() {
        let last = ProviderError::status("openai", 429, Some(Duration::from_secs(7)));
        let api = LlmError::Failed { attempts: 3, last }.to_api();
        assert_eq!(
            (api.code, api.retry_after),
            (Code::ResourceExhausted, Some(Duration::from_secs(7)))
        );
    }
}
