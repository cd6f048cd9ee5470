use std::time::Duration;

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use secrecy::SecretString;

/// Which key, where, as whom, and with how much patience.
pub struct KmsOptions {
    /// The key that wraps: its ARN, its id, the ARN of an alias, or `alias/name`.
    pub key_id: String,
    /// The region, where the key's name does not say it.
    pub region: String,
    /// Another address than the region's own: a private endpoint, or a stand-in for AWS.
    pub endpoint_url: Option<String>,
    /// A fixed access key. Without one the usual places are asked in their usual order: environment, profile, web
    /// identity, container, instance.
    pub access_key: Option<AccessKey>,
    /// How long to try.
    pub patience: Patience,
}

/// A long-lived access key of AWS.
#[derive(Clone)]
pub struct AccessKey {
    /// Its public half.
    pub id: String,
    /// Its secret half.
    pub secret: SecretString,
}

/// How long an operation may take and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The time for name, TCP and TLS together.
    pub connect: Duration,
    /// The time for one attempt.
    pub attempt: Duration,
    /// The time for all attempts of an operation and the waits between them.
    pub operation: Duration,
    /// The most attempts, the first included.
    pub attempts: u32,
    /// The longest first wait after being throttled; it doubles each time, and the wait is a random part of it.
    pub first_wait: Duration,
    /// The longest wait between two attempts.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(1_500),
            attempt: Duration::from_secs(3),
            operation: Duration::from_secs(8),
            attempts: 4,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(2),
        }
    }
}

impl Patience {
    pub(crate) fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }

    /// Adaptive: once throttled, the whole process slows down, because the quota is the account's and not the call's.
    pub(crate) fn retries(&self) -> RetryConfig {
        RetryConfig::adaptive()
            .with_max_attempts(self.attempts.max(1))
            .with_initial_backoff(self.first_wait)
            .with_max_backoff(self.longest_wait)
    }
}
