//! A provider that remembers the class of its last error and counts its attempts.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use futures::StreamExt as _;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use tokio::time::Instant;

use super::{Completion, ModelCall, Piece, Pieces, Provider};
use crate::domain::Usage;
use crate::error::{ErrorClass, ProviderError};

struct Instruments {
    attempts: Histogram<f64>,
    tokens: Counter<u64>,
}

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(|| {
    let meter = causeway_telemetry::metrics::meter("causeway_llm");
    Instruments {
        attempts: meter
            .f64_histogram("causeway_llm_attempt_seconds")
            .with_description(
                "How long attempts at a provider took until the answer or the first piece, by outcome.",
            )
            .with_boundaries(vec![0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
            .build(),
        tokens: meter
            .u64_counter("causeway_llm_tokens_total")
            .with_description("Tokens as the providers count them, by direction.")
            .build(),
    }
});

/// All classes, for [`LastError`].
const CLASSES: [ErrorClass; 9] = [
    ErrorClass::RateLimited,
    ErrorClass::Auth,
    ErrorClass::Timeout,
    ErrorClass::Connect,
    ErrorClass::Server,
    ErrorClass::InvalidRequest,
    ErrorClass::UnknownModel,
    ErrorClass::Malformed,
    ErrorClass::Address,
];

/// The place in [`CLASSES`] plus one, or 0.
#[derive(Debug, Clone, Default)]
struct LastError(Arc<AtomicU8>);

impl LastError {
    fn set(&self, class: ErrorClass) {
        let place = CLASSES
            .iter()
            .position(|known| *known == class)
            .map_or(0, |place| place + 1);
        self.0.store(u8::try_from(place).unwrap_or(0), Ordering::Relaxed);
    }

    fn get(&self) -> Option<ErrorClass> {
        let place = usize::from(self.0.load(Ordering::Relaxed)).checked_sub(1)?;
        CLASSES.get(place).copied()
    }
}

/// Watches a provider.
pub(crate) struct Observed {
    inner: Box<dyn Provider>,
    last_error: LastError,
}

impl Observed {
    /// `inner`, watched.
    pub(crate) fn new(inner: impl Provider) -> Self {
        Self {
            inner: Box::new(inner),
            last_error: LastError::default(),
        }
    }

    /// The class of the last error, if there was one.
    pub(crate) fn last_error(&self) -> Option<ErrorClass> {
        self.last_error.get()
    }

    fn ended<T>(&self, begun: Instant, answer: &Result<T, ProviderError>) {
        let outcome = answer
            .as_ref()
            .map_or_else(|error| error.class.as_str(), |_| "ok");
        if let Err(error) = answer {
            self.last_error.set(error.class);
        }
        let labels = [
            KeyValue::new("provider", self.inner.name()),
            KeyValue::new("outcome", outcome),
        ];
        INSTRUMENTS
            .attempts
            .record(begun.elapsed().as_secs_f64(), &labels);
    }
}

fn count(provider: &'static str, usage: Option<Usage>) {
    let Some(usage) = usage else { return };
    for (direction, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
        let labels = [
            KeyValue::new("provider", provider),
            KeyValue::new("direction", direction),
        ];
        INSTRUMENTS.tokens.add(tokens, &labels);
    }
}

#[async_trait]
impl Provider for Observed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn generate(&self, call: &ModelCall) -> Result<Completion, ProviderError> {
        let begun = Instant::now();
        let answer = self.inner.generate(call).await;
        self.ended(begun, &answer);
        count(self.name(), answer.as_ref().ok().and_then(|answer| answer.usage));
        answer
    }

    async fn stream(&self, call: &ModelCall) -> Result<Pieces, ProviderError> {
        let begun = Instant::now();
        let answer = self.inner.stream(call).await;
        self.ended(begun, &answer);
        let (provider, last_error) = (self.name(), self.last_error.clone());
        let watch = move |piece: &Result<Piece, ProviderError>| match piece {
            Ok(Piece::Text(_)) => {}
            Ok(Piece::End { usage, .. }) => count(provider, *usage),
            Err(error) => last_error.set(error.class),
        };
        Ok(answer?.inspect(watch).boxed())
    }
}
