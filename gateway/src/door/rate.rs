//! How often: a sliding window per address and per workspace, in memory. Replicas count apart (C-14).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::{Caller, WorkspaceId};
use causeway_errors::{ApiError, Code};
use http::{HeaderName, HeaderValue, Request};
use tokio::time::Instant;

use crate::Gateway;
use crate::door::strip::ClientAddr;
use crate::refusal::refuse_request;
use crate::target::Target;

const WINDOW: Duration = Duration::from_secs(60);
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Keys that are counted at once; past it idle ones are forgotten, and then new ones are let through uncounted.
const KEYS: usize = 100_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Workspace(WorkspaceId),
}

/// Counts of the present and the last minute, per key. The last one fades as the present one grows.
pub(crate) struct Limiter {
    counts: Mutex<HashMap<Key, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    began: Instant,
    before: u32,
    now: u32,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            counts: Mutex::new(HashMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one request; answers how long to wait when there were `limit` in the last minute.
    fn take(&self, key: Key, limit: u32, now: Instant) -> Option<Duration> {
        let mut counts = self.lock();
        if counts.len() >= KEYS && !counts.contains_key(&key) {
            counts.retain(|_, count| now.duration_since(count.began) < 2 * WINDOW);
            if counts.len() >= KEYS {
                return None;
            }
        }
        let count = counts.entry(key).or_insert(Count {
            began: now,
            before: 0,
            now: 0,
        });
        let elapsed = now.duration_since(count.began);
        if elapsed >= 2 * WINDOW {
            *count = Count {
                began: now,
                before: 0,
                now: 0,
            };
        } else if elapsed >= WINDOW {
            *count = Count {
                began: count.began + WINDOW,
                before: count.now,
                now: 0,
            };
        }
        let into = now.duration_since(count.began).as_secs_f64() / WINDOW.as_secs_f64();
        let used = f64::from(count.before) * (1.0 - into) + f64::from(count.now);
        if used + 1.0 > f64::from(limit) {
            return Some(WINDOW.mul_f64((1.0 - into).max(1.0 / 60.0)));
        }
        count.now += 1;
        None
    }
}

pub(crate) async fn by_address(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let limit = gateway.config.rate_per_address;
    let client = request
        .extensions()
        .get::<ClientAddr>()
        .map(|client| Key::Address(network(client.0)));
    let counted = request
        .extensions()
        .get::<Target>()
        .is_some_and(Target::is_limited);
    match client {
        Some(key) if limit > 0 && counted => {
            limited(
                gateway.addresses.take(key, limit, Instant::now()),
                limit,
                request,
                next,
            )
            .await
        }
        _ => next.run(request).await,
    }
}

pub(crate) async fn by_workspace(
    State(gateway): State<Arc<Gateway>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let workspace = request
        .extensions()
        .get::<Caller>()
        .and_then(|caller| caller.workspace);
    match (workspace, gateway.config.rate_tier.per_minute()) {
        (Some(workspace), Some(limit)) => {
            let wait = gateway
                .workspaces
                .take(Key::Workspace(workspace), limit, Instant::now());
            limited(wait, limit, request, next).await
        }
        _ => next.run(request).await,
    }
}

async fn limited(wait: Option<Duration>, limit: u32, request: Request<Body>, next: Next) -> Response {
    let Some(wait) = wait else {
        return next.run(request).await;
    };
    let error = ApiError::new(Code::ResourceExhausted, "RATE_LIMITED", "too many requests").retry_after(wait);
    let mut response = refuse_request(&request, error);
    let policy = format!("\"default\";q={limit};w={}", WINDOW.as_secs());
    let state = format!("\"default\";r=0;t={}", wait.as_secs().max(1));
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// One network of IPv6 belongs to one customer: it counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let (limiter, key, start) = (
            Limiter::new(),
            Key::Address(IpAddr::from([1, 2, 3, 4])),
            Instant::now(),
        );
        assert!((0..10).all(|_| limiter.take(key, 10, start).is_none()));
        assert!(limiter.take(key, 10, start).is_some());
        // Half of the next minute: half of the last one still counts.
        let later = start + WINDOW + WINDOW / 2;
        assert_eq!(
            (0..10).filter(|_| limiter.take(key, 10, later).is_none()).count(),
            5
        );
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let [one, other]: [IpAddr; 2] = ["2001:db8::1", "2001:db8::2:3"].map(|text| text.parse().unwrap());
        assert_eq!(network(one), network(other));
    }
}
