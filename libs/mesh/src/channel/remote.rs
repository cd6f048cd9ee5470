//! A service at one or more addresses: calls go round over those that answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

use super::LinkError;
use super::peer::{Failed, Peer};
use super::resolve::{Peers, follow};

const DEFAULT_PORT: u16 = 80;
/// How long a call waits for the first address of a name.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Remote {
    name: Arc<str>,
    peers: watch::Receiver<Peers>,
    turn: Arc<AtomicUsize>,
}

impl Remote {
    pub(super) fn new(target: Uri, stop: &CancellationToken) -> Self {
        let port = target.port_u16().unwrap_or(DEFAULT_PORT);
        let host = target.host().unwrap_or_default();
        // An IPv6 address stands in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = Arc::from(target.authority().map_or("", |authority| authority.as_str()));
        if let Ok(address) = host.parse::<IpAddr>() {
            let peer = Arc::new(Peer::new(SocketAddr::new(address, port), &target));
            let (_, peers) = watch::channel(Some(Arc::from([peer])));
            return Self::over(name, peers);
        }
        let (sender, peers) = watch::channel(None);
        let lookup = move || {
            let host = host.clone();
            async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }
        };
        let (stop, following) = (stop.clone(), follow(target, lookup, sender));
        #[expect(clippy::disallowed_methods, reason = "ends with the token of the program")]
        tokio::spawn(async move { stop.run_until_cancelled(following).await });
        Self::over(name, peers)
    }

    pub(super) fn over(name: Arc<str>, peers: watch::Receiver<Peers>) -> Self {
        Self {
            name,
            peers,
            turn: Arc::default(),
        }
    }

    /// Sends to the peer whose turn it is, and to the next one while nothing was sent.
    async fn send(mut self, mut request: Request<Body>) -> Result<Response<Body>, LinkError> {
        let peers = self.known().await?;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut error = LinkError::Unresolved(Arc::clone(&self.name));
        for offset in 0..peers.len() {
            let peer = &peers[first.wrapping_add(offset) % peers.len()];
            match peer.send(request).await {
                Ok(response) => return Ok(response),
                Err(Failed {
                    error: cause,
                    unsent: Some(back),
                }) => {
                    request = back;
                    // What an address that was tried says is worth more than that another one rests.
                    if offset == 0 || !matches!(cause, LinkError::Resting) {
                        error = cause;
                    }
                }
                Err(Failed {
                    error: cause,
                    unsent: None,
                }) => return Err(cause),
            }
        }
        Err(error)
    }

    async fn known(&mut self) -> Result<Arc<[Arc<Peer>]>, LinkError> {
        let found = tokio::time::timeout(RESOLVE_PATIENCE, self.peers.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(peers)) => Ok(peers.clone().unwrap_or_default()),
            Ok(Err(_)) | Err(_) => Err(LinkError::Unresolved(Arc::clone(&self.name))),
        }
    }
}

impl Service<Request<Body>> for Remote {
    type Response = Response<Body>;
    type Error = LinkError;
    type Future = BoxFuture<'static, Result<Response<Body>, LinkError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
