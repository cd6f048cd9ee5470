//! What a service crate hands to the program.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// Work beside the requests; ends soon after its token is cancelled. One that ends earlier is an error.
pub type Background = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>;

/// Asks whether a service can do its work now: its store answers.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// A service that was started but is not yet reachable.
pub struct Service {
    /// Its name, such as `auth`: the audience of its service tokens.
    pub name: &'static str,
    /// Its RPCs, without any layer.
    pub routes: tonic::service::Routes,
    /// Its work beside the requests.
    pub background: Vec<Background>,
    /// Whether it can do its work.
    pub ready: Readiness,
}

/// The readiness of a service whose store cannot fail.
pub fn always_ready() -> Readiness {
    Arc::new(|| Box::pin(async { true }))
}
