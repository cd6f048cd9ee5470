//! The panic guard: what panics below is an internal error to the caller and an error in the log. Unguarded, a panic
//! would take the whole connection with it, and near its caller.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use causeway_errors::ApiError;
use futures::FutureExt as _;
use http::Response;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::watched::trailers;

/// What `answer` answers; its panics, and those of its body later, become INTERNAL.
pub(crate) async fn guarded(
    answer: impl Future<Output = Response<Body>>,
    service: &'static str,
    method: &'static str,
) -> Response<Body> {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response.map(|body| {
            Body::new(Guarded {
                body,
                service,
                method,
                over: false,
            })
        }),
        Err(_) => panicked(service, method).into_http(),
    }
}

/// The panic's own text is for the panic hook and nobody else.
fn panicked(service: &'static str, method: &'static str) -> Status {
    let error = ApiError::internal();
    tracing::error!(error_id = %error.error_id, service, method, "a handler panicked");
    error.into()
}

struct Guarded {
    body: Body,
    service: &'static str,
    method: &'static str,
    over: bool,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        let polled = AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(cx));
        std::panic::catch_unwind(polled).unwrap_or_else(|_| {
            this.over = true;
            this.body = Body::empty();
            Poll::Ready(Some(trailers(&panicked(this.service, this.method))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
