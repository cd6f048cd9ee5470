//! The channel that every generated client is made with: an in-process router or a remote one.

mod peer;
mod remote;
mod resolve;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response, Uri};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

pub use peer::ConnectError;
use remote::Remote;

/// What every generated client is instantiated with. A named error on purpose: with a boxed error, calls inside of
/// `#[tonic::async_trait]` methods do not type-check.
pub type MeshChannel = BoxCloneSyncService<Request<Body>, Response<Body>, LinkError>;

/// A call that did not reach the other side, or whose answer did not come back.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No channel leads to that service.
    #[error("no link to {0}")]
    Unknown(&'static str),
    /// The name has no address.
    #[error("{0} has no address")]
    Unresolved(Arc<str>),
    /// It failed a moment ago, and is left alone for another.
    #[error("the service failed a moment ago")]
    Resting,
    /// No connection could be made: nothing was sent.
    #[error("connect to the service")]
    Connect(#[source] Arc<ConnectError>),
    /// The other side did not take the call: it is going away.
    #[error("the service does not take new calls")]
    Refused(#[source] hyper::Error),
    /// The connection failed under the call, which may have been taken.
    #[error("reach the service")]
    Transport(#[source] hyper::Error),
}

impl LinkError {
    /// Whether the other side certainly did not take the call.
    pub const fn is_untaken(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Unresolved(_) | Self::Resting | Self::Connect(_) | Self::Refused(_) => {
                true
            }
            Self::Transport(_) => false,
        }
    }
}

impl From<Infallible> for LinkError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A channel into a router of this process: no socket, no HTTP/2; still protobuf, so that nothing leaks through.
pub fn near<S>(service: S) -> MeshChannel
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service.map_err(LinkError::from))
}

/// A channel to `target`: connected when it is first used, kept alive, reconnected, balanced over every address that
/// the name has, with a breaker for each. Must be called inside of the runtime; the resolver ends with `stop`.
pub fn far(target: Uri, stop: &CancellationToken) -> MeshChannel {
    BoxCloneSyncService::new(Remote::new(target, stop))
}
