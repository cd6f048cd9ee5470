//! Follows the addresses of a name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::sync::watch;

use super::peer::Peer;

/// How often the name is looked up again.
const EVERY: Duration = Duration::from_secs(5);
/// How often while it has no address: services of one fleet start at the same time.
const EVERY_UNTIL_FOUND: Duration = Duration::from_millis(250);

/// The addresses of a service; nothing until they are known.
pub(super) type Peers = Option<Arc<[Arc<Peer>]>>;

/// Keeps `peers` at the addresses that `lookup` finds. A peer that stays keeps its connection and its breaker. When
/// the look-up fails, the last addresses stay: they are the best guess.
pub(super) async fn follow<L, F>(target: Uri, lookup: L, peers: watch::Sender<Peers>)
where
    L: Fn() -> F + Send,
    F: Future<Output = io::Result<Vec<SocketAddr>>> + Send,
{
    let mut known: HashMap<SocketAddr, Arc<Peer>> = HashMap::new();
    loop {
        match lookup().await {
            Ok(found) if found.is_empty() => tracing::warn!(%target, "a service's name has no address"),
            Ok(found) => {
                let found: HashSet<SocketAddr> = found.into_iter().collect();
                let changed =
                    known.len() != found.len() || found.iter().any(|address| !known.contains_key(address));
                known = found
                    .into_iter()
                    .map(|address| {
                        let peer = known.get(&address).cloned();
                        (
                            address,
                            peer.unwrap_or_else(|| Arc::new(Peer::new(address, &target))),
                        )
                    })
                    .collect();
                if changed {
                    peers.send_replace(Some(known.values().cloned().collect()));
                }
            }
            Err(error) => tracing::warn!(%target, %error, "look up a service's name"),
        }
        let pause = if known.is_empty() {
            EVERY_UNTIL_FOUND
        } else {
            EVERY
        };
        tokio::select! {
            () = peers.closed() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
