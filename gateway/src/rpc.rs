//! Calls an RPC with a message that is known by its descriptor only.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use causeway_context::{Caller, Remote, RequestId};
use causeway_contracts::{Method, descriptors};
use causeway_errors::ApiError;
use causeway_mesh::{Mesh, OnBehalf};
use futures::Stream;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::ServiceExt as _;

/// One byte of flags and four of length before every gRPC message.
const PREFIX: usize = 5;
/// How long the next piece of a request's body may take, and the whole of it: a client that trickles keeps a
/// connection and memory for nothing.
const NEXT_PIECE: Duration = Duration::from_secs(15);
const WHOLE_BODY: Duration = Duration::from_secs(120);
/// The most that an answer's message may measure.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Who calls, and at the door as which request.
pub(crate) struct Origin {
    pub(crate) caller: Caller,
    pub(crate) request_id: RequestId,
    /// From where the request came.
    pub(crate) remote: Option<Remote>,
}

impl Origin {
    /// The origin that the layers left in a request.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            caller: request
                .extensions()
                .get::<Caller>()
                .cloned()
                .unwrap_or_else(Caller::anonymous),
            request_id: crate::door::observe::request_id(request),
            remote: crate::door::strip::remote(request),
        }
    }
}

/// The descriptor of a message of the contracts.
pub(crate) fn message(name: &str) -> Result<MessageDescriptor, ApiError> {
    descriptors()
        .get_message_by_name(name)
        .ok_or_else(ApiError::internal)
}

/// Calls `method`; the answers come as a stream, of one message for a unary RPC.
pub(crate) async fn call(
    mesh: &Mesh,
    method: &'static Method,
    origin: Origin,
    input: &DynamicMessage,
) -> Result<Answers, ApiError> {
    let mut request = Request::new(tonic::body::Body::new(http_body_util::Full::new(frame(input))));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(method.path);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    request.extensions_mut().insert(OnBehalf {
        caller: origin.caller,
        request_id: origin.request_id,
    });
    if let Some(remote) = origin.remote {
        request.extensions_mut().insert(remote);
    }
    let response = mesh.to(method.owner).oneshot(request).await.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            service = method.owner,
            "a service is not reachable"
        );
        ApiError::unavailable("SERVICE_UNAVAILABLE")
    })?;
    if let Some(error) = failure(response.headers()) {
        return Err(error);
    }
    let output = message(method.output)?;
    let (parts, body) = response.into_parts();
    Ok(Answers {
        headers: parts.headers,
        body,
        buffer: BytesMut::new(),
        output,
        ended: false,
    })
}

/// Calls a unary RPC.
pub(crate) async fn unary(
    mesh: &Mesh,
    method: &'static Method,
    origin: Origin,
    input: &DynamicMessage,
) -> Result<DynamicMessage, ApiError> {
    let mut answers = call(mesh, method, origin, input).await?;
    let answer = futures::StreamExt::next(&mut answers)
        .await
        .ok_or_else(ApiError::internal)??;
    // The trailers may still say that the call failed.
    match futures::StreamExt::next(&mut answers).await {
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(answer),
    }
}

/// The messages that a call is answered with.
pub(crate) struct Answers {
    headers: HeaderMap,
    body: tonic::body::Body,
    buffer: BytesMut,
    output: MessageDescriptor,
    ended: bool,
}

impl Answers {
    /// What the service said ahead of the first message.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn decode(&mut self) -> Option<Result<DynamicMessage, ApiError>> {
        let length =
            usize::try_from(u32::from_be_bytes(self.buffer.get(1..PREFIX)?.try_into().ok()?)).ok()?;
        if length > MAX_MESSAGE_BYTES {
            return Some(Err(ApiError::internal()));
        }
        if self.buffer.len() < PREFIX + length {
            return None;
        }
        self.buffer.advance(PREFIX);
        let bytes = self.buffer.split_to(length).freeze();
        Some(DynamicMessage::decode(self.output.clone(), bytes).map_err(|_| ApiError::internal()))
    }
}

impl Stream for Answers {
    type Item = Result<DynamicMessage, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(message) = self.decode() {
                return Poll::Ready(Some(message));
            }
            match std::task::ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx)) {
                None => {
                    // A stream without a status in its end was cut.
                    self.ended = true;
                    return Poll::Ready(Some(Err(ApiError::unavailable("STREAM_CUT"))));
                }
                Some(Err(status)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(broken(status))));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.ended = true;
                            return Poll::Ready(failure(&trailers).map(Err));
                        }
                    }
                },
            }
        }
    }
}

/// What a body that broke off means. The service itself speaks in trailers, so these come from a connection that ended in the
/// middle of an answer: nobody knows whether the call was done.
fn broken(status: Status) -> ApiError {
    match status.code() {
        Code::Unknown | Code::Internal | Code::Cancelled => ApiError::unavailable("STREAM_CUT"),
        _ => ApiError::from(status),
    }
}

/// The error that headers or trailers tell of.
fn failure(headers: &HeaderMap) -> Option<ApiError> {
    let status = Status::from_header_map(headers)?;
    (status.code() != Code::Ok).then(|| ApiError::from(status))
}

fn frame(message: &DynamicMessage) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// Reads a request's body whole.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` past the limit that the door has set, `BODY_TIMEOUT` when it does not come, `BODY_CUT` when the
/// client went away.
pub(crate) async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    let end = Instant::now() + WHOLE_BODY;
    let mut bytes = BytesMut::new();
    loop {
        let next = (Instant::now() + NEXT_PIECE).min(end);
        match tokio::time::timeout_at(next, body.frame()).await {
            Err(_) => return Err(overdue()),
            Ok(None) => return Ok(bytes.freeze()),
            Ok(Some(Err(error))) => return Err(unreadable(&error)),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    bytes.extend_from_slice(&data);
                }
            }
        }
    }
}

fn overdue() -> ApiError {
    ApiError::new(Code::Cancelled, "BODY_TIMEOUT", "the body did not come in time")
}

fn unreadable(error: &axum::Error) -> ApiError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<http_body_util::LengthLimitError>() {
            return crate::door::limits::too_large();
        }
        cause = inner.source();
    }
    ApiError::new(Code::InvalidArgument, "BODY_CUT", "the body ended early")
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        let endless = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(endless).await.unwrap_err().reason, "BODY_TIMEOUT");
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_failure_of_ours() {
        assert_eq!(broken(Status::unknown("h2")).reason, "STREAM_CUT");
        assert_eq!(broken(Status::internal("h2")).reason, "STREAM_CUT");
        assert_ne!(broken(Status::deadline_exceeded("late")).reason, "STREAM_CUT");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_ends_too() {
        let started = Instant::now();
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(NEXT_PIECE / 2).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"a")), ()))
        });
        let error = read(Body::from_stream(trickle)).await.unwrap_err();
        assert_eq!(
            (error.reason.as_ref(), started.elapsed()),
            ("BODY_TIMEOUT", WHOLE_BODY)
        );
    }

    #[tokio::test]
    async fn pieces_become_one_body() {
        let pieces = ["{\"a\"", ":1}"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        assert_eq!(
            read(Body::from_stream(stream::iter(pieces))).await.unwrap(),
            "{\"a\":1}"
        );
        let cut = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("reset"))];
        let error = read(Body::from_stream(stream::iter(cut))).await.unwrap_err();
        assert_eq!(error.reason, "BODY_CUT");
    }
}
