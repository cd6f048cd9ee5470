//! The published keys of one issuer. Keys of two issuers never meet, whatever their ids (EXC-01): each has its own
//! [`Jwks`].

pub(crate) mod fetch;
mod source;
mod state;
pub(crate) mod url;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use causeway_egress::Egress;
use causeway_telemetry::metrics::meter;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio_util::sync::CancellationToken;

pub use fetch::Published;
pub(crate) use source::DEADLINE;
pub use source::{FetchError, KeySource};
pub use state::Keys;
use state::{Found, State};
pub use url::{JwksUrl, UrlError};

const METER: &str = "causeway_oidc";

/// Tells the time that has passed. Tests move it by hand.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The clock of the machine, which never goes back.
pub fn system_clock() -> Clock {
    Arc::new(Instant::now)
}

/// Why there is no key for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The issuer publishes no usable key of that id.
    #[error("the issuer has no such key")]
    Unknown,
    /// The issuer cannot be asked, and what is known of it does not decide.
    #[error("the keys of the issuer cannot be had")]
    Away {
        /// When it is asked again.
        retry_after: Duration,
    },
}

/// The keys of one issuer.
pub struct Jwks<S: KeySource = Published> {
    source: S,
    clock: Clock,
    state: Arc<Mutex<State<S::Key>>>,
    fetching: tokio::sync::Mutex<()>,
    fetches: Counter<u64>,
}

impl Jwks {
    /// The keys that an identity provider publishes at `url`. Nothing is fetched yet: see [`Jwks::run`].
    pub fn new(url: JwksUrl, egress: Egress, clock: Clock) -> Self {
        Self::of(Published::new(url, egress), clock)
    }
}

impl Jwks<Published> {
    /// Where the keys come from.
    pub(crate) const fn url(&self) -> &JwksUrl {
        self.source.url()
    }
}

impl<S: KeySource> Jwks<S> {
    /// The keys of `source`. Nothing is fetched yet: see [`Jwks::run`].
    pub fn of(source: S, clock: Clock) -> Self {
        let fetches = meter(METER)
            .u64_counter("causeway_oidc_jwks_fetches_total")
            .with_description("How often published keys were fetched, by whose they are and by outcome.")
            .build();
        Self {
            source,
            clock,
            state: Arc::new(Mutex::new(State::new(S::BACK_OFF))),
            fetching: tokio::sync::Mutex::default(),
            fetches,
        }
    }

    /// The key of that id. Fetches only for an id that is not known, and then at most once in 30 s for all callers
    /// together (JWK-03).
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn find(&self, kid: &str) -> Result<Arc<S::Key>, KeyError> {
        if let Some(answer) = self.known(kid) {
            return answer;
        }
        let _alone = self.fetching.lock().await;
        // Another caller may have fetched while this one waited.
        if let Some(answer) = self.known(kid) {
            return answer;
        }
        if self.fetch().await {
            self.state().missed(kid, (self.clock)());
        }
        self.known(kid).unwrap_or(Err(KeyError::Away {
            retry_after: Duration::ZERO,
        }))
    }

    /// Keeps the keys fresh until `stop`: fetches at once, and then long before they are old, so that no request waits
    /// for it (JWK-02).
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.measure();
        let rounds = async {
            loop {
                let wait = self.due();
                tokio::time::sleep(wait).await;
                self.refresh().await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Fetches the keys if it is time.
    pub async fn refresh(&self) {
        let _alone = self.fetching.lock().await;
        if self.due().is_zero() {
            self.fetch().await;
        }
    }

    /// Whether there are keys that may verify.
    pub fn is_known(&self) -> bool {
        let now = (self.clock)();
        self.state().is_known(now)
    }

    /// How long until the keys should be fetched.
    pub(crate) fn due(&self) -> Duration {
        let now = (self.clock)();
        self.state().due(now)
    }

    /// What can be said of a key without asking the issuer; nothing if it may be asked now.
    fn known(&self, kid: &str) -> Option<Result<Arc<S::Key>, KeyError>> {
        let now = (self.clock)();
        match self.state().find(kid, now) {
            Found::Key(key) => Some(Ok(key)),
            Found::Unknown => Some(Err(KeyError::Unknown)),
            Found::Away(retry_after) => Some(Err(KeyError::Away { retry_after })),
            Found::MayFetch => None,
        }
    }

    /// Fetches, and answers whether there are new keys. The old ones stay otherwise (JWK-04, JWK-06).
    async fn fetch(&self) -> bool {
        let began = (self.clock)();
        self.state().begin(began);
        let _ends = Ends(self);
        let answer = tokio::time::timeout(DEADLINE, self.source.fetch()).await;
        match answer.unwrap_or(Err(FetchError::Timeout)) {
            Ok(keys) => {
                self.count("success");
                self.state().replace(keys, began);
                true
            }
            Err(error) => {
                self.count(error.as_str());
                let age = self.state().age(began);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    issuer = self.source.issuer(),
                    age_seconds = age.map(|age| age.as_secs()),
                    "published keys were not refreshed, the old ones stay"
                );
                false
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<S::Key>> {
        // Nothing panics between two changes of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &'static str) {
        let labels = [
            KeyValue::new("keys", self.source.kind()),
            KeyValue::new("outcome", outcome),
        ];
        self.fetches.add(1, &labels);
    }

    /// Shows the age of the keys among the metrics.
    fn measure(&self) {
        let (state, clock) = (Arc::downgrade(&self.state), Arc::clone(&self.clock));
        let label = [KeyValue::new("keys", self.source.kind())];
        meter(METER)
            .f64_observable_gauge("causeway_oidc_jwks_age_seconds")
            .with_description("How old published keys are, by whose they are; they serve for a day at most.")
            .with_callback(move |observer| {
                let age = state.upgrade().and_then(|state| {
                    let now = clock();
                    state.lock().unwrap_or_else(PoisonError::into_inner).age(now)
                });
                if let Some(age) = age {
                    observer.observe(age.as_secs_f64(), &label);
                }
            })
            .build();
    }
}

/// Ends a fetch, also one whose caller gave up: then it failed.
struct Ends<'a, S: KeySource>(&'a Jwks<S>);

impl<S: KeySource> Drop for Ends<'_, S> {
    fn drop(&mut self) {
        self.0.state().end();
    }
}

impl<S: KeySource> fmt::Debug for Jwks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("issuer", &self.source.issuer())
            .finish_non_exhaustive()
    }
}
