//! One address of a service: its connection, which is made when it is needed and shared by all calls, and its breaker.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tonic::body::Body;

use super::LinkError;
use crate::breaker::Breaker;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that the headers or trailers of an answer may measure.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The system's reason.
    #[error("open a socket")]
    Socket(#[source] io::Error),
    /// Nobody answered in time.
    #[error("nobody answered within {0:?}")]
    Slow(Duration),
    /// The other side does not speak HTTP/2.
    #[error("begin HTTP/2")]
    Handshake(#[source] hyper::Error),
    /// The attempt was dropped, with its runtime.
    #[error("the attempt was dropped")]
    Dropped,
}

/// A call that failed. One that was not sent comes with its request, for another peer.
pub(super) struct Failed {
    pub(super) error: LinkError,
    pub(super) unsent: Option<Request<Body>>,
}

type Sender = SendRequest<Body>;
/// A connection, or the attempt at one. All calls that wait for it share its end.
type Attempt = Shared<BoxFuture<'static, Result<Sender, Arc<ConnectError>>>>;

pub(super) struct Peer {
    address: SocketAddr,
    /// What the service is called in requests: the name and not the address.
    origin: Uri,
    breaker: Arc<Breaker>,
    attempt: Mutex<Option<Attempt>>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, origin: &Uri) -> Self {
        Self {
            address,
            origin: origin.clone(),
            breaker: Arc::default(),
            attempt: Mutex::default(),
        }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        let Some(admission) = self.breaker.admit() else {
            return Err(Failed {
                error: LinkError::Resting,
                unsent: Some(request),
            });
        };
        let mut request = addressed(request, &self.origin);
        loop {
            let attempt = self.attempt();
            let is_new = attempt.peek().is_none();
            let mut sender = match attempt.clone().await {
                Ok(sender) => sender,
                // The attempt itself has told the breaker: once, however many calls waited for it.
                Err(error) => {
                    return Err(Failed {
                        error: LinkError::Connect(error),
                        unsent: Some(request),
                    });
                }
            };
            let mut failed = match sender.try_send_request(request).await {
                Ok(response) => {
                    admission.answered();
                    return Ok(response.map(Body::new));
                }
                Err(failed) => failed,
            };
            let Some(back) = failed.take_message() else {
                admission.failed();
                return Err(Failed {
                    error: classify(failed.into_error()),
                    unsent: None,
                });
            };
            // Closed since it was last used: a new one is made. A new one that is closed already is a failure.
            self.forget(&attempt);
            if is_new {
                admission.failed();
                return Err(Failed {
                    error: LinkError::Refused(failed.into_error()),
                    unsent: Some(back),
                });
            }
            request = back;
        }
    }

    fn forget(&self, attempt: &Attempt) {
        let mut slot = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|current| current.ptr_eq(attempt)) {
            *slot = None;
        }
    }

    /// The connection, or the attempt that is under way, or a new one.
    fn attempt(&self) -> Attempt {
        let mut slot = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = slot.as_ref().filter(|attempt| match attempt.peek() {
            None => true,
            Some(Ok(sender)) => !sender.is_closed(),
            Some(Err(_)) => false,
        });
        if let Some(attempt) = usable {
            return attempt.clone();
        }
        let (address, breaker) = (self.address, Arc::clone(&self.breaker));
        // A task of its own: an attempt goes on when the call that began it is given up.
        #[expect(clippy::disallowed_methods, reason = "ends by itself, within the timeout")]
        let task = tokio::spawn(async move {
            let made = connect(address).await;
            if made.is_err() {
                breaker.failed();
            }
            made.map_err(Arc::new)
        });
        let made = task.map(|ended| ended.unwrap_or_else(|_| Err(Arc::new(ConnectError::Dropped))));
        slot.insert(made.boxed().shared()).clone()
    }
}

/// A socket to `address`.
pub(super) async fn dial(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let dialled = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = dialled
        .map_err(|_| ConnectError::Slow(CONNECT_TIMEOUT))?
        .map_err(ConnectError::Socket)?;
    // Without it the tail of a request waits for an acknowledgement of the other side.
    stream.set_nodelay(true).map_err(ConnectError::Socket)?;
    Ok(stream)
}

async fn connect(address: SocketAddr) -> Result<Sender, ConnectError> {
    let stream = dial(address).await?;
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .max_header_list_size(MAX_HEADER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ConnectError::Handshake)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "ends when the last call and the peer are gone"
    )]
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, error = &error as &dyn Error, "a connection to a service ended");
        }
    });
    Ok(sender)
}

/// The request with the name of the service in its URI, as HTTP/2 wants it.
fn addressed(mut request: Request<Body>, origin: &Uri) -> Request<Body> {
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(origin.scheme().cloned().unwrap_or(Scheme::HTTP));
    parts.authority = origin.authority().cloned();
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    request
}

/// HTTP/2 says of a call whether it was taken: a refused stream was not, nor one that is numbered after the last that
/// a closing connection names.
fn classify(error: hyper::Error) -> LinkError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(h2) = cause.downcast_ref::<h2::Error>() {
            let refused = h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
            let gone = h2.is_remote() && h2.is_go_away() && h2.reason() == Some(h2::Reason::NO_ERROR);
            if refused || gone {
                return LinkError::Refused(error);
            }
        }
        source = cause.source();
    }
    LinkError::Transport(error)
}
