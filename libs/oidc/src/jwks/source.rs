//! From where a key set comes.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;

use super::state::{BACK_OFF, Keys};

/// For name, connection, head and body together (JWK-01).
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// The most keys of a set (JWK-01).
pub(super) const MAX_KEYS: usize = 64;

/// The keys of one issuer, at the place where it publishes them.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// What verifies.
    type Key: Send + Sync + 'static;

    /// The time after a failed fetch (JWK-04). Shorter for a source that may be asked more often.
    const BACK_OFF: Duration = BACK_OFF;

    /// Whose keys they are, as a word of the metrics.
    fn kind(&self) -> &'static str;

    /// The issuer, for the log.
    fn issuer(&self) -> &str;

    /// The keys that are published there now, at least one. It is given up on after five seconds.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn fetch(&self) -> Result<Keys<Self::Key>, FetchError>;
}

/// A fetch that brought no keys. No variant shows what was answered.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer in time.
    #[error("the issuer did not answer in time")]
    Timeout,
    /// The issuer cannot be asked.
    #[error("ask the issuer")]
    Away(#[source] Box<dyn Error + Send + Sync>),
    /// Redirects too: the keys are at the address that was configured, or nowhere.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    /// No key set, or one with something in it that must not be there.
    #[error("the answer is not a key set")]
    Malformed,
    /// More keys than anybody needs.
    #[error("the set has more than {MAX_KEYS} keys")]
    TooMany,
    /// No key that may verify.
    #[error("the set has no key that may verify")]
    Empty,
}

impl FetchError {
    /// The word in the metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Away(_) => "request",
            Self::Status(_) => "status",
            Self::Malformed => "malformed",
            Self::TooMany => "too_many",
            Self::Empty => "empty",
        }
    }
}
