//! How often: a sliding window per address and per workspace, in memory. Replicas count apart (C-14).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::{Caller, RateTier, WorkspaceId};
use causeway_errors::{ApiError, Code};
use http::{HeaderName, HeaderValue, Request};
use tokio::time::Instant;

use crate::door::strip::ClientAddr;
use crate::refusal::{refuse_request, whole_seconds};
use crate::target::Target;
use crate::tenants::Tenant;
use crate::{Config, Gateway};

const WINDOW: Duration = Duration::from_secs(60);
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Keys that are counted at once. Past it those who come new are let through uncounted (docs/decisions/0007).
const KEYS: usize = 100_000;
/// How often idle keys are looked for: it means to look at all of them.
const PRUNE_EVERY: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Workspace(WorkspaceId),
}

/// Counts of the present and the last minute, per key. The last one fades as the present one grows.
pub(crate) struct Limiter(Mutex<Counts>);

struct Counts {
    most: usize,
    by_key: HashMap<Key, Count>,
    pruned: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    began: Instant,
    before: u32,
    now: u32,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self::of(KEYS)
    }

    fn of(most: usize) -> Self {
        Self(Mutex::new(Counts {
            most,
            by_key: HashMap::new(),
            pruned: None,
        }))
    }

    /// Counts one request; answers how long to wait when there were `limit` in the last minute.
    fn take(&self, key: Key, limit: u32, now: Instant) -> Option<Duration> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.of(key, now)?.take(limit, now)
    }
}

impl Counts {
    fn of(&mut self, key: Key, now: Instant) -> Option<&mut Count> {
        if self.by_key.len() >= self.most && !self.by_key.contains_key(&key) {
            self.prune(now);
            if self.by_key.len() >= self.most {
                return None;
            }
        }
        Some(self.by_key.entry(key).or_insert(Count::from(now)))
    }

    fn prune(&mut self, now: Instant) {
        if self.pruned.is_some_and(|at| now.duration_since(at) < PRUNE_EVERY) {
            return;
        }
        self.pruned = Some(now);
        self.by_key
            .retain(|_, count| now.duration_since(count.began) < 2 * WINDOW);
    }
}

impl From<Instant> for Count {
    fn from(began: Instant) -> Self {
        Self {
            began,
            before: 0,
            now: 0,
        }
    }
}

impl Count {
    fn take(&mut self, limit: u32, now: Instant) -> Option<Duration> {
        let limit = limit.max(1);
        let elapsed = now.duration_since(self.began);
        if elapsed >= 2 * WINDOW {
            *self = Self::from(now);
        } else if elapsed >= WINDOW {
            self.before = self.now;
            self.now = 0;
            self.began += WINDOW;
        }
        let into = now.duration_since(self.began).as_secs_f64() / WINDOW.as_secs_f64();
        let used = f64::from(self.before) * (1.0 - into) + f64::from(self.now);
        if used + 1.0 > f64::from(limit) {
            return Some(WINDOW.mul_f64((self.room(limit) - into).max(0.0)));
        }
        self.now += 1;
        None
    }

    /// When there is room for one more, in windows since this one began. Nobody else comes until then.
    fn room(&self, limit: u32) -> f64 {
        let free = f64::from(limit) - 1.0;
        let (before, now) = (f64::from(self.before), f64::from(self.now));
        if now <= free {
            // The last minute has to fade until it fits beside the present one.
            1.0 - (free - now) / before
        } else {
            1.0 + 1.0 - free / now
        }
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
    match (workspace, tier(&gateway.config, &request).per_minute()) {
        (Some(workspace), Some(limit)) => {
            let wait = gateway
                .workspaces
                .take(Key::Workspace(workspace), limit, Instant::now());
            limited(wait, limit, request, next).await
        }
        _ => next.run(request).await,
    }
}

/// The tier that counts: that of all workspaces, or the workspace's own, or the usual one while that is not known.
fn tier<B>(config: &Config, request: &Request<B>) -> RateTier {
    let own = request.extensions().get::<Arc<Tenant>>();
    config
        .rate_tier
        .or_else(|| own.map(|tenant| tenant.rate_tier))
        .unwrap_or(RateTier::Standard)
}

async fn limited(wait: Option<Duration>, limit: u32, request: Request<Body>, next: Next) -> Response {
    let Some(wait) = wait else {
        return next.run(request).await;
    };
    let error = ApiError::new(Code::ResourceExhausted, "RATE_LIMITED", "too many requests").retry_after(wait);
    let mut response = refuse_request(&request, error);
    let policy = format!("\"default\";q={limit};w={}", WINDOW.as_secs());
    let state = format!("\"default\";r=0;t={}", whole_seconds(wait));
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
    fn who_waits_as_long_as_told_is_let_in_and_not_before() {
        let key = Key::Address(IpAddr::from([1, 2, 3, 4]));
        for (limit, pause) in [(1, 0), (2, 0), (10, 0), (10, 30), (600, 45), (10, 70), (600, 100)] {
            let (limiter, start) = (Limiter::new(), Instant::now());
            let _ = limiter.take(key, limit, start);
            let then = start + Duration::from_secs(pause);
            let wait = (0..=2 * limit)
                .find_map(|_| limiter.take(key, limit, then))
                .unwrap();
            assert!(
                wait > Duration::ZERO && wait <= 2 * WINDOW,
                "{limit} {pause}: {wait:?}"
            );
            let millisecond = Duration::from_millis(1);
            assert!(limiter.take(key, limit, then + wait - millisecond).is_some());
            assert_eq!(
                limiter.take(key, limit, then + wait + millisecond),
                None,
                "{limit} {pause}"
            );
        }
    }

    #[test]
    fn memory_is_bounded_and_a_stranger_is_not_refused_for_others() {
        let (limiter, start) = (Limiter::of(3), Instant::now());
        let key = |last| Key::Address(IpAddr::from([10, 0, 0, last]));
        for last in 0..3 {
            assert_eq!(limiter.take(key(last), 2, start), None);
        }
        assert!((3..9).all(|last| limiter.take(key(last), 2, start).is_none()));
        assert_eq!(limiter.take(key(0), 2, start), None);
        assert!(
            limiter.take(key(0), 2, start).is_some(),
            "who was there is counted"
        );
        assert_eq!(limiter.0.lock().unwrap().by_key.len(), 3);
        // Idle keys make room.
        assert_eq!(limiter.take(key(9), 2, start + 2 * WINDOW), None);
        assert_eq!(limiter.0.lock().unwrap().by_key.len(), 1);
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let [one, other]: [IpAddr; 2] = ["2001:db8::1", "2001:db8::2:3"].map(|text| text.parse().unwrap());
        assert_eq!(network(one), network(other));
    }
}
