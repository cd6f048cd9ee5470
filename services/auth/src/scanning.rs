//! The keys of GitHub's secret scanning: what it sends is believed only with a signature by one of them (TOK-05).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use causeway_crypto::P256Key;
use causeway_egress::{Egress, EgressError};
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::Value;
use tokio::time::Instant;

/// For so long keys count without a look at whether they are still published.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// For so long they count while they cannot be fetched.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// They are fetched no more often than that, whatever ids are asked for.
const PAUSE: Duration = Duration::from_secs(30);
/// For name, connection, head and body together.
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 18;
const MOST_KEYS: usize = 64;
const LONGEST_ID: usize = 128;

/// A fetch that brought no keys. No variant shows what was answered.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the keys' address cannot be asked")]
    Address,
    #[error("ask for the keys")]
    Request(#[source] EgressError),
    /// Redirects too: the keys are at the address that was configured, or nowhere.
    #[error("asked for its keys, the scanner answered {0}")]
    Status(StatusCode),
    #[error("the answer holds no keys")]
    NoKeys,
}

/// There is no key of that id that is known now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// It is not published.
    Unknown,
    /// What is published cannot be had.
    Away,
}

type Keys = BTreeMap<String, P256Key>;

#[derive(Default)]
struct State {
    keys: Keys,
    /// When the keys came.
    fetched: Option<Instant>,
    /// When they were asked for last, with whatever outcome.
    asked: Option<Instant>,
}

/// The keys that are published at one address.
pub(crate) struct ScanningKeys {
    url: String,
    egress: Egress,
    state: Mutex<State>,
    fetching: tokio::sync::Mutex<()>,
}

impl ScanningKeys {
    /// Nothing is fetched before a key is asked for.
    pub(crate) fn new(url: String, egress: Egress) -> Self {
        Self {
            url,
            egress,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the key of that id signed `message`.
    ///
    /// # Errors
    /// [`NoKey`] without such a key.
    pub(crate) async fn verify(&self, id: &str, message: &[u8], signature: &[u8]) -> Result<bool, NoKey> {
        if id.is_empty() || id.len() > LONGEST_ID {
            return Err(NoKey::Unknown);
        }
        Ok(self.key(id).await?.verifies(message, signature))
    }

    async fn key(&self, id: &str) -> Result<P256Key, NoKey> {
        if let Some(answer) = self.state().find(id, Instant::now()) {
            return answer;
        }
        let _alone = self.fetching.lock().await;
        // Another call may have fetched while this one waited.
        if let Some(answer) = self.state().find(id, Instant::now()) {
            return answer;
        }
        let fetched = self.fetch().await;
        let mut state = self.state();
        let now = Instant::now();
        state.asked = Some(now);
        match fetched {
            Ok(keys) => (state.keys, state.fetched) = (keys, Some(now)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "fetch the keys of secret scanning"
                );
            }
        }
        state.find(id, now).unwrap_or(Err(NoKey::Away))
    }

    async fn fetch(&self) -> Result<Keys, FetchError> {
        let request =
            Request::get(&self.url).header(header::ACCEPT, HeaderValue::from_static("application/json"));
        let request = request.body(Bytes::new()).map_err(|_| FetchError::Address)?;
        let asking = async {
            let response = self
                .egress
                .send(request, DEADLINE)
                .await
                .map_err(FetchError::Request)?;
            match response.status() {
                StatusCode::OK => response
                    .into_body()
                    .json(MAX_BYTES)
                    .await
                    .map_err(FetchError::Request),
                status => Err(FetchError::Status(status)),
            }
        };
        let answer = tokio::time::timeout(DEADLINE, asking).await;
        let answer = answer.map_err(|_| FetchError::Request(EgressError::Timeout))??;
        published(&answer).ok_or(FetchError::NoKeys)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ScanningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanningKeys").finish_non_exhaustive()
    }
}

impl State {
    /// What can be said of a key without asking; nothing if it is time to ask.
    fn find(&self, id: &str, now: Instant) -> Option<Result<P256Key, NoKey>> {
        let age = self.fetched.map(|fetched| now.duration_since(fetched));
        let known = self.keys.get(id).filter(|_| age.is_some_and(|age| age < STALE));
        let may_ask = self.asked.is_none_or(|asked| now.duration_since(asked) >= PAUSE);
        let is_fresh = age.is_some_and(|age| age < FRESH);
        match known {
            Some(key) if is_fresh || !may_ask => Some(Ok(key.clone())),
            None if !may_ask && is_fresh => Some(Err(NoKey::Unknown)),
            None if !may_ask => Some(Err(NoKey::Away)),
            Some(_) | None => None,
        }
    }
}

/// The keys of an answer: those that can be read, of which there is at least one.
fn published(answer: &Value) -> Option<Keys> {
    let listed = answer.get("public_keys")?.as_array()?;
    let key = |entry: &Value| {
        let id = entry.get("key_identifier")?.as_str()?;
        let key = P256Key::from_pem(entry.get("key")?.as_str()?).ok()?;
        Some((id.to_owned(), key))
    };
    let keys: Keys = listed.iter().take(MOST_KEYS).filter_map(key).collect();
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
pub(crate) mod tests;
