//! The body of an answer: a stream, or collected up to a limit.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http_body::Body as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::EgressError;

/// The body of an answer. Dropping it early gives the connection up.
#[derive(Debug)]
pub struct EgressBody(Incoming);

impl EgressBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(body)
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`EgressError::TooLarge`] over `limit` bytes, [`EgressError::Body`] when it breaks.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, EgressError> {
        let announced = self.0.size_hint().lower();
        if announced > limit as u64 {
            return Err(EgressError::TooLarge { limit });
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                return Err(EgressError::TooLarge { limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// Those of [`EgressBody::collect`], and [`EgressError::Malformed`].
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, EgressError> {
        let bytes = self.collect(limit).await?;
        serde_json::from_slice(&bytes).map_err(|error| EgressError::Malformed {
            line: error.line(),
            column: error.column(),
        })
    }
}

impl Stream for EgressBody {
    type Item = Result<Bytes, EgressError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(EgressError::Body(Box::new(error))))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}
