//! What is known of an issuer's keys, and what follows from it. No IO, no clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Keys by their ids.
pub type Keys<K> = HashMap<String, Arc<K>>;

/// How long keys are fresh (JWK-02). A key that the issuer took back verifies at most so long while it answers.
pub(super) const FRESH: Duration = Duration::from_secs(600);
/// When they are refreshed: at 80 % of that time.
const REFRESH: Duration = Duration::from_secs(FRESH.as_secs() * 4 / 5);
/// How long keys serve when the issuer cannot be asked (JWK-04).
pub(super) const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
/// The time after a failed fetch.
pub(super) const BACK_OFF: Duration = Duration::from_secs(10);
/// The time between two fetches for an unknown id (JWK-03).
pub(super) const COOL_DOWN: Duration = Duration::from_secs(30);
/// For how long an id that the issuer did not know is not asked for again.
const NEGATIVE: Duration = Duration::from_secs(60);
/// How many such ids are remembered; past it the cool-down alone protects the issuer.
pub(super) const MAX_NEGATIVE: usize = 1024;

#[derive(Debug)]
pub(super) struct State<K> {
    keys: Option<(Keys<K>, Instant)>,
    attempt: Option<Attempt>,
    unknown: HashMap<String, Instant>,
    back_off: Duration,
}

/// The last fetch.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Instant,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Running,
    Success,
    Failure,
}

/// What is known of a key.
pub(super) enum Found<K> {
    Key(Arc<K>),
    /// The issuer was asked a moment ago and has no such key.
    Unknown,
    /// Nothing is known, and it is too early to ask.
    Away(Duration),
    /// The issuer may be asked now, or is being asked.
    MayFetch,
}

impl<K> State<K> {
    /// Nothing is known, and after a failed fetch that time passes before the next one.
    pub(super) fn new(back_off: Duration) -> Self {
        Self {
            keys: None,
            attempt: None,
            unknown: HashMap::new(),
            back_off,
        }
    }

    pub(super) fn find(&self, kid: &str, now: Instant) -> Found<K> {
        let usable = self.usable(now);
        if let Some(key) = usable.and_then(|keys| keys.get(kid)) {
            return Found::Key(Arc::clone(key));
        }
        if usable.is_some() && self.is_negative(kid, now) {
            return Found::Unknown;
        }
        let Some(attempt) = self.attempt else {
            return Found::MayFetch;
        };
        let pause = if usable.is_some() {
            COOL_DOWN
        } else {
            self.back_off
        };
        let rest = (attempt.at + pause).saturating_duration_since(now);
        match attempt.outcome {
            Outcome::Running => Found::MayFetch,
            Outcome::Success | Outcome::Failure if rest.is_zero() => Found::MayFetch,
            Outcome::Success => Found::Unknown,
            Outcome::Failure => Found::Away(rest),
        }
    }

    /// How long until the keys should be fetched.
    pub(super) fn due(&self, now: Instant) -> Duration {
        let at = match (&self.keys, self.attempt) {
            (Some((_, fetched)), Some(attempt)) if attempt.outcome != Outcome::Failure => *fetched + REFRESH,
            (_, Some(attempt)) => attempt.at + self.back_off,
            (_, None) => return Duration::ZERO,
        };
        at.saturating_duration_since(now)
    }

    /// Whether there are keys that may verify.
    pub(super) fn is_known(&self, now: Instant) -> bool {
        self.usable(now).is_some()
    }

    /// How old the keys are.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.keys
            .as_ref()
            .map(|(_, fetched)| now.saturating_duration_since(*fetched))
    }

    pub(super) fn begin(&mut self, at: Instant) {
        let outcome = Outcome::Running;
        self.attempt = Some(Attempt { at, outcome });
    }

    /// The fetch ended. Without new keys it failed.
    pub(super) fn end(&mut self) {
        if let Some(attempt) = &mut self.attempt
            && attempt.outcome == Outcome::Running
        {
            attempt.outcome = Outcome::Failure;
        }
    }

    /// The keys that were asked for at `at` take the place of all that were there (JWK-05).
    pub(super) fn replace(&mut self, keys: Keys<K>, at: Instant) {
        self.keys = Some((keys, at));
        let outcome = Outcome::Success;
        self.attempt = Some(Attempt { at, outcome });
    }

    /// Notes that the issuer was just asked and does not know `kid`.
    pub(super) fn missed(&mut self, kid: &str, now: Instant) {
        if self.usable(now).is_some_and(|keys| keys.contains_key(kid)) {
            return;
        }
        self.unknown
            .retain(|_, at| now.saturating_duration_since(*at) < NEGATIVE);
        if self.unknown.len() < MAX_NEGATIVE {
            self.unknown.insert(kid.to_owned(), now);
        }
    }

    fn usable(&self, now: Instant) -> Option<&Keys<K>> {
        let (keys, fetched) = self.keys.as_ref()?;
        (now.saturating_duration_since(*fetched) <= MAX_STALE).then_some(keys)
    }

    fn is_negative(&self, kid: &str, now: Instant) -> bool {
        self.unknown
            .get(kid)
            .is_some_and(|at| now.saturating_duration_since(*at) < NEGATIVE)
    }

    #[cfg(test)]
    pub(super) fn negatives(&self) -> usize {
        self.unknown.len()
    }
}
