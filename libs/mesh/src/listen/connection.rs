//! One connection, and how it ends without losing a request.
//!
//! HTTP/2 is told to go away: what it began ends, and the client knows which calls were not taken. HTTP/1.1 has no such
//! word: whoever sends a request just when its idle connection is closed cannot know what became of it. So while it
//! drains, every answer says `connection: close`, and an idle connection stays open a little for a last request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use super::PeerAddr;

/// How long a client may take to send the headers of a request, and a new one to send its first request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The most that headers may measure; a request with more is answered 431.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How many calls one connection carries at once: as many as a service answers. A smaller number would be a queue in
/// the client, which nobody sees.
const MAX_STREAMS: u32 = 4096;
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
/// For how long a draining connection takes a last request.
const LAST_REQUEST: Duration = Duration::from_millis(250);

/// What the first request showed the connection to be.
#[derive(Clone, Default)]
struct Kind(Arc<AtomicU8>);

impl Kind {
    const HTTP_1: u8 = 1;
    const HTTP_2: u8 = 2;

    fn learn(&self, version: Version) {
        let kind = if version == Version::HTTP_2 {
            Self::HTTP_2
        } else {
            Self::HTTP_1
        };
        self.0.store(kind, Ordering::Relaxed);
    }

    fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn is_http_2(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::HTTP_2
    }
}

/// Serves the connection until the client has gone, or after `stop` until its last request has ended.
pub(super) async fn serve<S>(stream: TcpStream, peer: SocketAddr, service: S, stop: CancellationToken)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    set_nodelay(&stream);
    let kind = Kind::default();
    let service = TowerToHyperService::new(on_connection(service, peer, kind.clone(), stop.clone()));
    let builder = builder();
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    // When it has to end, at the latest by going away: it never asked for anything, or it had its last chance.
    let mut end = Some(Instant::now() + HEADER_TIMEOUT);
    let mut is_draining = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                end = Some(if kind.is_http_2() { Instant::now() } else { Instant::now() + LAST_REQUEST });
            }
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                end = None;
                if is_draining || !kind.is_known() {
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Without it the tail of an answer waits for an acknowledgement of the client.
fn set_nodelay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY");
    }
}

/// The service as the requests of one connection see it.
fn on_connection<S>(
    service: S,
    peer: SocketAddr,
    kind: Kind,
    stop: CancellationToken,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    tower::service_fn(move |request: Request<Incoming>| {
        let version = request.version();
        kind.learn(version);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(PeerAddr(peer));
        let stop = stop.clone();
        service.clone().oneshot(request).map(move |answer| {
            answer.map(|mut response| {
                if stop.is_cancelled() && version != Version::HTTP_2 {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                response
            })
        })
    })
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Some(KEEPALIVE_EVERY));
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_do_not_wait_to_fill_a_packet() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        set_nodelay(&accepted);
        assert!(accepted.nodelay().unwrap());
    }
}
