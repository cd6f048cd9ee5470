//! The channel that every generated client is made with: an in-process router or a remote one.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response, Uri};
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

/// What every generated client is instantiated with. A named error on purpose: with a boxed error, calls inside of
/// `#[tonic::async_trait]` methods do not type-check.
pub type MeshChannel = BoxCloneSyncService<Request<Body>, Response<Body>, LinkError>;

/// A call that did not reach the other side, or whose answer did not come back.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No channel leads to that service.
    #[error("no link to {0}")]
    Unknown(&'static str),
    /// The transport failed.
    #[error("reach the service")]
    Transport(#[source] tonic::transport::Error),
}

impl From<Infallible> for LinkError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const KEEPALIVE: Duration = Duration::from_secs(20);
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// A channel into a router of this process: no socket, no HTTP/2; still protobuf, so that nothing leaks through.
pub fn near<S>(service: S) -> MeshChannel
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service.map_err(LinkError::from))
}

/// A channel to `target`: lazily connected, kept alive, reconnected, balanced over every address that the name has.
/// Must be called inside of the runtime; the resolver ends with `stop`.
pub fn far(target: Uri, stop: &CancellationToken) -> MeshChannel {
    let port = target.port_u16().unwrap_or(80);
    let channel = match target.host() {
        Some(name) if name.parse::<std::net::IpAddr>().is_err() && name != "localhost" => {
            let (channel, changes) = Channel::balance_channel(64);
            let follow = follow(target.clone(), name.to_owned(), port, changes);
            let stop = stop.clone();
            #[expect(clippy::disallowed_methods, reason = "ends with the token of the program")]
            tokio::spawn(async move { stop.run_until_cancelled(follow).await });
            channel
        }
        _ => endpoint(target).connect_lazy(),
    };
    BoxCloneSyncService::new(channel.map_err(LinkError::Transport))
}

fn endpoint(target: Uri) -> Endpoint {
    Endpoint::from(target)
        // Without it the tail of a stream waits 40 ms for an acknowledgement.
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_while_idle(true)
}

/// Keeps the balanced channel at the addresses that the name has now.
async fn follow(target: Uri, name: String, port: u16, changes: Sender<Change<SocketAddr, Endpoint>>) {
    let mut present = HashSet::new();
    loop {
        match tokio::net::lookup_host((name.as_str(), port)).await {
            Ok(found) => {
                let found: HashSet<SocketAddr> = found.collect();
                for gone in present.difference(&found) {
                    if changes.send(Change::Remove(*gone)).await.is_err() {
                        return;
                    }
                }
                for new in found.difference(&present) {
                    let Some(endpoint) = at(&target, *new) else {
                        continue;
                    };
                    if changes.send(Change::Insert(*new, endpoint)).await.is_err() {
                        return;
                    }
                }
                present = found;
            }
            Err(error) => tracing::warn!(%name, %error, "resolve a service's name"),
        }
        tokio::time::sleep(RESOLVE_EVERY).await;
    }
}

fn at(target: &Uri, address: SocketAddr) -> Option<Endpoint> {
    let scheme = target.scheme_str().unwrap_or("http");
    let uri: Uri = format!("{scheme}://{address}").parse().ok()?;
    Some(endpoint(uri).origin(target.clone()))
}
