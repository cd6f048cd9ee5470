//! Deadlines: `grpc-timeout` on the wire, and a body that ends when the time is up. No transport does that by itself.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use causeway_errors::{ApiError, Code};
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use crate::watched::trailers;

pub(crate) const HEADER: &str = "grpc-timeout";

/// The error of a call whose time is up.
pub(crate) fn exceeded() -> Status {
    ApiError::new(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline of the call passed",
    )
    .into()
}

/// Reads `grpc-timeout` (at most 8 digits and a unit, by the gRPC protocol). Nothing if absent or malformed.
pub fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Writes `grpc-timeout` in milliseconds, at least one.
pub(crate) fn write(headers: &mut HeaderMap, timeout: Duration) {
    let millis = timeout.as_millis().clamp(1, 99_999_999);
    if let Ok(value) = HeaderValue::try_from(format!("{millis}m")) {
        headers.insert(HEADER, value);
    }
}

/// `body`, ended with a DEADLINE_EXCEEDED trailer when `at` comes first.
pub(crate) fn bound(body: Body, at: Instant) -> Body {
    Body::new(Bounded {
        body,
        sleep: Box::pin(tokio::time::sleep_until(at)),
        over: false,
    })
}

struct Bounded {
    body: Body,
    sleep: Pin<Box<Sleep>>,
    over: bool,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        // The time first: a stream that is always ready would never be cut. The timer wakes one that is not; it does
        // not move while a task is busy, so the clock is asked too.
        let is_over = self.sleep.as_mut().poll(cx).is_ready() || self.sleep.deadline() <= Instant::now();
        if !is_over {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.over = true;
        self.body = Body::empty();
        Poll::Ready(Some(trailers(&exceeded())))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    // It may be cut: no size is promised.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        let read_text = |text: &'static str| {
            read(&HeaderMap::from_iter([(
                http::HeaderName::from_static(HEADER),
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(read_text("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read_text("2H"), Some(Duration::from_secs(7200)));
        for bad in ["", "m", "1", "-1S", "123456789S", "1x", "1.5S"] {
            assert_eq!(read_text(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_past_its_deadline_ends_with_a_status() {
        use http_body_util::BodyExt as _;
        let endless = Body::new(http_body_util::StreamBody::new(futures::stream::pending::<
            Result<Frame<Bytes>, Status>,
        >()));
        let body = bound(endless, Instant::now() + Duration::from_millis(300));
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap();
        assert_eq!(trailers["grpc-status"], "4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_always_ready_is_cut_too() {
        use http_body_util::BodyExt as _;
        let busy = futures::stream::repeat_with(|| Ok::<_, Status>(Frame::data(Bytes::from_static(b"x"))));
        let mut body = bound(
            Body::new(http_body_util::StreamBody::new(busy)),
            Instant::now() + Duration::from_millis(300),
        );
        assert!(body.frame().await.unwrap().unwrap().is_data());
        tokio::time::advance(Duration::from_millis(301)).await;
        let cut = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(cut["grpc-status"], "4");
        assert!(body.frame().await.is_none());
    }
}
