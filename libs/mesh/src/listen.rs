//! A listening socket that serves HTTP/1.1 and HTTP/2 (with prior knowledge) and drains when it is told to stop.

mod connection;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

/// The other end of a connection, in every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl From<PeerAddr> for SocketAddr {
    fn from(peer: PeerAddr) -> Self {
        peer.0
    }
}

const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);

/// A socket that is bound and listens.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The system's, when the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then takes what already waits in the backlog, lets open requests end, and returns. Whoever
    /// waits for it bounds the wait; dropped, it drops its connections.
    pub async fn serve<S>(self, service: S, stop: CancellationToken)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let mut connections = JoinSet::new();
        let take = |accepted: io::Result<(TcpStream, SocketAddr)>, connections: &mut JoinSet<()>| {
            accepted.map(|(stream, peer)| {
                connections.spawn(connection::serve(stream, peer, service.clone(), stop.clone()));
            })
        };
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => if let Err(error) = take(accepted, &mut connections) {
                    // Out of descriptors, or a connection that was gone before it was taken: neither ends the listener.
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
                },
            }
        }
        for accepted in backlog(self.listener) {
            if let Err(error) = take(accepted, &mut connections) {
                tracing::debug!(%error, "take a waiting connection");
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

/// What waits to be accepted. It asks the system, and not the runtime, which may not have heard of the last ones yet.
fn backlog(listener: TcpListener) -> impl Iterator<Item = io::Result<(TcpStream, SocketAddr)>> {
    let listener = listener.into_std();
    std::iter::from_fn(move || {
        let (stream, peer) = listener.as_ref().ok()?.accept().ok()?;
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        Some(stream.map(|stream| (stream, peer)))
    })
}
