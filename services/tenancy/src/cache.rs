//! Unwrapped data keys, for a while: a key-encryption key may be a network away (KEY-07).
//!
//! What is here is given out without asking anybody, so that reads go on while a key service is away, until the end of
//! each key's time. What is not here is asked for once, however many wait for it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_crypto::{DataKey, KeyError, WrappedKey};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use crate::domain::{KeyPlace, WrappedDataKey};

const LIFETIME: Duration = Duration::from_secs(300);
const LARGEST_SIZE: usize = 1024;
/// For how long a key that could not be had is not asked for again: its service was asked several times already.
const HOLD_OFF: Duration = Duration::from_secs(1);

type Place = (WorkspaceId, KeyPlace);
type Unwrapped = Result<Arc<DataKey>, KeyError>;
type Flight = BoxFuture<'static, Unwrapped>;

/// A bounded number of keys, each for a bounded time; the one that was not used for longest goes first. A key is
/// overwritten when its last user drops it.
#[derive(Clone, Default)]
pub(crate) struct KeyCache(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: HashMap<Place, Entry>,
    /// Apart from the keys, so that an outage does not push out what still helps.
    failures: HashMap<Place, Failure>,
    flights: HashMap<Place, (WrappedKey, WeakShared<Flight>)>,
    /// Since when keys are known to be destroyed. That is for good: nobody has to be asked again.
    destroyed: HashMap<Place, Instant>,
}

struct Entry {
    /// Of what the key is the unwrapped form: the key was proven to belong to its workspace only for these bytes.
    wrapped: WrappedKey,
    key: Arc<DataKey>,
    since: Instant,
    used: Instant,
}

impl Entry {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < LIFETIME
    }
}

struct Failure {
    wrapped: WrappedKey,
    error: KeyError,
    since: Instant,
}

impl Failure {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < HOLD_OFF
    }
}

impl KeyCache {
    /// The key, if it was unwrapped lately; otherwise what `unwrap` gives, which is called at most once at a time for
    /// each key. It goes on as long as one caller waits.
    pub(crate) async fn get_or_unwrap<F>(
        &self,
        stored: &WrappedDataKey,
        unwrap: impl FnOnce() -> F,
    ) -> Unwrapped
    where
        F: Future<Output = Result<DataKey, KeyError>> + Send + 'static,
    {
        let flight = {
            let mut state = self.state();
            if let Some(known) = state.find(stored) {
                return known;
            }
            state.flight(stored).unwrap_or_else(|| {
                let flight = self.clone().unwrap_and_keep(stored.clone(), unwrap());
                state.begin(stored, flight)
            })
        };
        flight.await
    }

    fn unwrap_and_keep(
        self,
        stored: WrappedDataKey,
        unwrap: impl Future<Output = Result<DataKey, KeyError>> + Send + 'static,
    ) -> Shared<Flight> {
        let flight = async move {
            let key = unwrap.await.map(Arc::new);
            match &key {
                Ok(key) => self.put(&stored, Arc::clone(key)),
                Err(error) => self.state().hold_off(&stored, error.clone()),
            }
            key
        };
        flight.boxed().shared()
    }

    /// Keeps a key, unless it was destroyed while it was being unwrapped.
    pub(crate) fn put(&self, stored: &WrappedDataKey, key: Arc<DataKey>) {
        let (place, now) = (place(stored), Instant::now());
        let mut state = self.state();
        if state.is_destroyed(place) {
            return;
        }
        state.make_room();
        let entry = Entry {
            wrapped: stored.wrapped.clone(),
            key,
            since: now,
            used: now,
        };
        state.entries.insert(place, entry);
    }

    /// Remembers that a key is destroyed, and overwrites it here.
    pub(crate) fn destroy(&self, workspace: WorkspaceId, key: KeyPlace) {
        let place = (workspace, key);
        let mut state = self.state();
        state.entries.remove(&place);
        if state.destroyed.len() >= LARGEST_SIZE {
            state.destroyed.retain(|_, since| since.elapsed() < LIFETIME);
        }
        if state.destroyed.len() < LARGEST_SIZE {
            state.destroyed.insert(place, Instant::now());
        }
    }

    /// Whether a key is known to be destroyed; one that is not may be so all the same.
    pub(crate) fn is_destroyed(&self, workspace: WorkspaceId, key: KeyPlace) -> bool {
        self.state().is_destroyed((workspace, key))
    }

    /// Drops the keys whose time is over: nobody may ever ask for them again.
    pub(crate) fn forget_expired(&self) {
        let mut state = self.state();
        state.entries.retain(|_, entry| entry.is_fresh());
        state.failures.retain(|_, failure| failure.is_fresh());
        state.destroyed.retain(|_, since| since.elapsed() < LIFETIME);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_destroyed(&self, place: Place) -> bool {
        let since = self.destroyed.get(&place);
        since.is_some_and(|since| since.elapsed() < LIFETIME)
    }

    fn find(&mut self, stored: &WrappedDataKey) -> Option<Unwrapped> {
        let place = place(stored);
        if let Some(entry) = self.entries.get_mut(&place) {
            if entry.wrapped == stored.wrapped && entry.is_fresh() {
                entry.used = Instant::now();
                return Some(Ok(Arc::clone(&entry.key)));
            }
            self.entries.remove(&place);
        }
        let failure = self.failures.get(&place)?;
        (failure.wrapped == stored.wrapped && failure.is_fresh()).then(|| Err(failure.error.clone()))
    }

    fn hold_off(&mut self, stored: &WrappedDataKey, error: KeyError) {
        if self.failures.len() >= LARGEST_SIZE {
            self.failures.retain(|_, failure| failure.is_fresh());
        }
        if self.failures.len() < LARGEST_SIZE {
            let failure = Failure {
                wrapped: stored.wrapped.clone(),
                error,
                since: Instant::now(),
            };
            self.failures.insert(place(stored), failure);
        }
    }

    fn flight(&self, stored: &WrappedDataKey) -> Option<Shared<Flight>> {
        let (wrapped, flight) = self.flights.get(&place(stored))?;
        flight.upgrade().filter(|_| *wrapped == stored.wrapped)
    }

    fn begin(&mut self, stored: &WrappedDataKey, flight: Shared<Flight>) -> Shared<Flight> {
        // Also those whose callers all went away.
        self.flights.retain(|_, (_, flight)| flight.upgrade().is_some());
        if let Some(weak) = flight.downgrade() {
            self.flights.insert(place(stored), (stored.wrapped.clone(), weak));
        }
        flight
    }

    fn make_room(&mut self) {
        if self.entries.len() < LARGEST_SIZE {
            return;
        }
        self.entries.retain(|_, entry| entry.is_fresh());
        while self.entries.len() >= LARGEST_SIZE
            && let Some(idle) = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.used)
                .map(|(place, _)| *place)
        {
            self.entries.remove(&idle);
        }
    }
}

fn place(stored: &WrappedDataKey) -> Place {
    let WrappedDataKey {
        workspace,
        ring,
        version,
        ..
    } = *stored;
    (workspace, KeyPlace { ring, version })
}

#[cfg(test)]
mod tests;
