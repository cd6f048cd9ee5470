//! What providers over HTTP share: sending JSON, reading JSON or events, and what a bad status means.

use std::time::Duration;

use bytes::Bytes;
use causeway_egress::{Egress, EgressBody};
use futures::{Stream, StreamExt as _, stream};
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sse::{Decoder, Event, NotAnEventStream};
use super::{Piece, Pieces};
use crate::error::{ErrorClass, ProviderError};

/// An answer of a model is text; this is far more than any of them can write.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// A provider that wants more patience than this is as good as gone.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Where a provider answers and with which headers, the credential among them.
#[derive(Clone)]
pub(crate) struct Target {
    /// Whose errors.
    pub provider: &'static str,
    /// The full URL.
    pub url: String,
    /// What is sent with every request; sensitive values are marked as such.
    pub headers: HeaderMap,
    /// The way out.
    pub egress: Egress,
}

impl Target {
    /// Sends `body` and reads the JSON answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, ProviderError> {
        let exchange = async {
            let response = self.send(body, "application/json", timeout).await?;
            response
                .into_body()
                .json(MAX_ANSWER_BYTES)
                .await
                .map_err(|error| self.failed(error))
        };
        self.within(timeout, exchange).await
    }

    /// Sends `body` and reads the events of the answer with `read`, until it gives [`Piece::End`]. A body that ends
    /// before is an error.
    pub(crate) async fn ask_for_stream<R: ReadEvent>(
        &self,
        body: &impl Serialize,
        timeout: Duration,
        read: R,
    ) -> Result<Pieces, ProviderError> {
        let response = self
            .within(timeout, self.send(body, "text/event-stream", timeout))
            .await?;
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(|value| value.starts_with("text/event-stream")) {
            return Err(self.malformed("answered without an event stream"));
        }
        let state = Reading {
            target: self.clone(),
            body: Some(response.into_body()),
            decoder: Decoder::default(),
            waiting: Vec::new().into_iter(),
            read,
            timeout,
        };
        Ok(stream::unfold(state, Reading::next).boxed())
    }

    async fn send(
        &self,
        body: &impl Serialize,
        accept: &'static str,
        timeout: Duration,
    ) -> Result<Response<EgressBody>, ProviderError> {
        let invalid = |what| ProviderError::new(self.provider, ErrorClass::InvalidRequest, what);
        let body = serde_json::to_vec(body).map_err(|_| invalid("the request cannot be written"))?;
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, accept)
            .body(Bytes::from(body))
            .map_err(|_| invalid("the base URL is not a URL"))?;
        request.headers_mut().extend(self.headers.clone());
        let response = self
            .egress
            .send(request, timeout)
            .await
            .map_err(|error| self.failed(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        // The body is not read: what a provider writes there may repeat the key or the conversation.
        let status = response.status().as_u16();
        Err(ProviderError::status(
            self.provider,
            status,
            retry_after(response.headers()),
        ))
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        exchange: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(ProviderError::new(
                self.provider,
                ErrorClass::Timeout,
                "did not answer in time",
            )),
        }
    }

    fn failed(&self, error: causeway_egress::EgressError) -> ProviderError {
        ProviderError::egress(self.provider, error)
    }

    /// An answer that is not what the API promises.
    pub(crate) fn malformed(&self, what: &'static str) -> ProviderError {
        ProviderError::new(self.provider, ErrorClass::Malformed, what)
    }
}

/// Understands the events of one provider.
pub(crate) trait ReadEvent: Send + 'static {
    /// The piece that an event is, if it is one. After [`Piece::End`] no more events are read.
    fn read(&mut self, event: &Event) -> Result<Option<Piece>, ProviderError>;
}

struct Reading<R> {
    target: Target,
    body: Option<EgressBody>,
    decoder: Decoder,
    waiting: std::vec::IntoIter<Event>,
    read: R,
    timeout: Duration,
}

impl<R: ReadEvent> Reading<R> {
    async fn next(mut self) -> Option<(Result<Piece, ProviderError>, Self)> {
        // After an error or the end there is nothing more.
        self.body.as_ref()?;
        let target = self.target.clone();
        let piece = target.within(self.timeout, self.piece()).await;
        if matches!(piece, Err(_) | Ok(Piece::End { .. })) {
            self.body = None;
        }
        Some((piece, self))
    }

    async fn piece(&mut self) -> Result<Piece, ProviderError> {
        loop {
            for event in self.waiting.by_ref() {
                if let Some(piece) = self.read.read(&event)? {
                    return Ok(piece);
                }
            }
            let bytes = match next_bytes(self.body.as_mut()).await {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => return Err(self.target.failed(error)),
                None => {
                    return Err(self
                        .target
                        .malformed("ended the stream before the answer was complete"));
                }
            };
            let mut events = Vec::new();
            self.decoder
                .feed(&bytes, &mut events)
                .map_err(|NotAnEventStream| {
                    self.target.malformed("sent an event that is too long or no text")
                })?;
            self.waiting = events.into_iter();
        }
    }
}

async fn next_bytes<S: Stream + Unpin>(body: Option<&mut S>) -> Option<S::Item> {
    match body {
        Some(body) => body.next().await,
        None => None,
    }
}

/// `Retry-After` in seconds (also `retry-after-ms`, which OpenAI sends); dates are not worth a clock here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| {
        headers
            .get(name)?
            .to_str()
            .ok()?
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|number| *number >= 0.0)
    };
    let seconds = number("retry-after-ms")
        .map(|millis| millis / 1000.0)
        .or_else(|| number(RETRY_AFTER.as_str()))?;
    Some(
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(MAX_RETRY_AFTER)
            .min(MAX_RETRY_AFTER),
    )
}

/// A header value that no `Debug` shows; nothing for a text that cannot be one.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        retry_after(
            &pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
        )
    }

    #[test]
    fn the_wish_of_a_provider_is_read_in_seconds_or_milliseconds() {
        assert_eq!(wish(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(
            wish(&[("retry-after", "3"), ("retry-after-ms", "250")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(wish(&[("retry-after", "1e300")]), Some(MAX_RETRY_AFTER));
        for nonsense in ["", "-1", "soon", "NaN", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(wish(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }
}
