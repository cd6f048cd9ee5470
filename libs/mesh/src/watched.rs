//! An answer, watched to its end: a call is over when its body is, not when its headers come. Until then it counts as
//! running, holds its permit and logs in its span; then its code and its time are recorded.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use causeway_telemetry::metrics::{InFlight, in_flight, record_call};
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

/// The name of an RPC that is not in the method table.
const UNKNOWN: &str = "unknown";

/// A running call. It is recorded when this is dropped: as cancelled, unless it ended.
pub(crate) struct Running {
    side: &'static str,
    service: &'static str,
    method: &'static str,
    started: Instant,
    code: Code,
    _in_flight: InFlight,
}

impl Running {
    pub(crate) fn begin(side: &'static str, service: &'static str, method: Option<&'static str>) -> Self {
        Self {
            side,
            service,
            method: method.unwrap_or(UNKNOWN),
            started: Instant::now(),
            code: Code::Cancelled,
            _in_flight: in_flight(side, service),
        }
    }

    /// The answer, which takes the call with it, the permit to answer it, and the span it logs in.
    pub(crate) fn answered(
        mut self,
        response: Response<Body>,
        permit: Option<OwnedSemaphorePermit>,
        span: Span,
    ) -> Response<Body> {
        if let Some(code) = code_in(response.headers()) {
            self.code = code;
        }
        response.map(|body| {
            Body::new(Watched {
                body,
                span,
                running: Some(self),
                permit,
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        record_call(
            self.side,
            self.service,
            self.method,
            code_name(self.code),
            seconds,
        );
    }
}

struct Watched {
    body: Body,
    span: Span,
    running: Option<Running>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Watched {
    fn end(&mut self, code: Option<Code>) {
        if let (Some(mut running), Some(code)) = (self.running.take(), code) {
            running.code = code;
        }
        self.permit = None;
        // The handler's stream ends with the call, though somebody may hold its empty shell.
        self.body = Body::empty();
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.running.is_none() {
            return Poll::Ready(None);
        }
        let polled = this.span.in_scope(|| Pin::new(&mut this.body).poll_frame(cx));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.end(None),
            Poll::Ready(Some(Err(status))) => this.end(Some(status.code())),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(Some(code_in(trailers).unwrap_or(Code::Ok)));
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The end of a stream, with that status.
pub(crate) fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

/// The code that headers or trailers tell of. The headers of a good answer tell none: its trailers do.
fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers
        .get("grpc-status")
        .map(|value| Code::from_bytes(value.as_bytes()))
}

/// The code as a metric label.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
