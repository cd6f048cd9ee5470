//! Trying again: two more times, after transient errors only (B-LLM-9, B-LLM-10), and never past the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use rand::RngExt as _;
use tokio::time::Instant;

use crate::error::{ErrorClass, LlmError, ProviderError};
use crate::provider::{Completion, ModelCall, Piece, Pieces, Provider};

const MAX_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How many attempts a call took so far; still readable when the call is given up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts(Arc<AtomicU32>);

impl Attempts {
    /// The number.
    pub(crate) fn made(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits before the next attempt, if there is one.
    async fn pause(&self, error: ProviderError, deadline: Instant) -> Result<(), LlmError> {
        let made = self.made();
        let pause = pause_after(made, error.retry_after);
        // Waiting for an answer that would come too late helps nobody.
        if !error.class.is_transient() || made >= MAX_ATTEMPTS || Instant::now() + pause >= deadline {
            return Err(LlmError::Failed {
                attempts: made,
                last: error,
            });
        }
        tracing::debug!(
            provider = error.provider,
            class = error.class.as_str(),
            attempt = made,
            "try again"
        );
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Doubles, and spreads by a half in both directions; what the provider asks for is the least.
fn pause_after(made: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = FIRST_PAUSE * 2_u32.saturating_pow(made.saturating_sub(1));
    let spread = doubled.mul_f64(rand::rng().random_range(0.5..1.5));
    retry_after.map_or(spread, |wish| wish + spread / 4)
}

/// Asks for a whole answer.
///
/// # Errors
/// [`LlmError::Failed`] with the last failure.
pub(crate) async fn generate(
    provider: &dyn Provider,
    call: &ModelCall,
    deadline: Instant,
    attempts: &Attempts,
) -> Result<Completion, LlmError> {
    loop {
        attempts.begin();
        match within(provider, call.timeout, provider.generate(call)).await {
            Ok(completion) => return Ok(completion),
            Err(error) => attempts.pause(error, deadline).await?,
        }
    }
}

/// Asks for a stream and waits for its first piece; after that nothing is tried again.
///
/// # Errors
/// [`LlmError::Failed`] with the last failure.
pub(crate) async fn stream(
    provider: &dyn Provider,
    call: &ModelCall,
    deadline: Instant,
    attempts: &Attempts,
) -> Result<(Piece, Pieces), LlmError> {
    loop {
        attempts.begin();
        match within(provider, call.timeout, open(provider, call)).await {
            Ok(opened) => return Ok(opened),
            Err(error) => attempts.pause(error, deadline).await?,
        }
    }
}

async fn open(provider: &dyn Provider, call: &ModelCall) -> Result<(Piece, Pieces), ProviderError> {
    let mut pieces = provider.stream(call).await?;
    match pieces.next().await {
        Some(first) => Ok((first?, pieces)),
        None => Err(broken(provider.name())),
    }
}

/// A stream that just stops.
pub(crate) fn broken(provider: &'static str) -> ProviderError {
    ProviderError::new(
        provider,
        ErrorClass::Malformed,
        "ended the stream before the answer was complete",
    )
}

async fn within<T>(
    provider: &dyn Provider,
    timeout: Duration,
    attempt: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    match tokio::time::timeout(timeout, attempt).await {
        Ok(answer) => answer,
        Err(_) => Err(ProviderError::new(
            provider.name(),
            ErrorClass::Timeout,
            "did not answer in time",
        )),
    }
}

#[cfg(test)]
mod tests;
