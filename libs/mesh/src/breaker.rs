//! A breaker: after a few transport failures in a row nothing is tried for a moment, then one call at a time is let
//! through as a probe, until one is answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many failures in a row open it.
const FAILURES: u32 = 3;
/// How long it then stays open. Short: a connection attempt costs little, and a service restarts within seconds.
const REST: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass.
    Closed { failures: u32 },
    /// No call passes before that time; then one does.
    Open { until: Instant },
    /// That one is under way.
    Probing,
}

/// A call that may pass. Dropped without a verdict it leaves the breaker as it was before.
#[must_use = "the call counts as given up when this is dropped"]
pub(crate) struct Admission<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }
}

impl Breaker {
    /// Asks to pass; nothing while the breaker is open.
    pub(crate) fn admit(&self) -> Option<Admission<'_>> {
        let mut state = self.state();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if until <= Instant::now() => {
                *state = State::Probing;
                true
            }
            State::Open { .. } | State::Probing => return None,
        };
        Some(Admission {
            breaker: self,
            is_probe,
        })
    }

    /// The transport failed.
    pub(crate) fn failed(&self) {
        let mut state = self.state();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => State::Closed {
                failures: failures + 1,
            },
            State::Closed { .. } | State::Probing => State::Open {
                until: Instant::now() + REST,
            },
            open @ State::Open { .. } => open,
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// The other side answered, whatever it said.
    pub(crate) fn answered(self) {
        *self.breaker.state() = State::Closed { failures: 0 };
    }

    /// The transport failed.
    pub(crate) fn failed(self) {
        self.breaker.failed();
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        if self.is_probe && *state == State::Probing {
            // Given up, by the caller or by its deadline: that says nothing, the next one is the probe.
            *state = State::Open {
                until: Instant::now(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            breaker.admit().expect("closed").failed();
        }
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it() {
        let breaker = opened();
        assert!(breaker.admit().is_none());
        tokio::time::advance(REST - Duration::from_millis(1)).await;
        assert!(breaker.admit().is_none(), "not before its time");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_between_starts_the_count_anew() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES * 3 {
            breaker.admit().expect("closed").failed();
            breaker.admit().expect("closed").answered();
        }
        assert!(breaker.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_passes_and_its_answer_closes_it() {
        let breaker = opened();
        tokio::time::advance(REST).await;
        let probe = breaker.admit().expect("the probe");
        assert!(breaker.admit().is_none(), "one at a time");
        probe.answered();
        let both = (breaker.admit(), breaker.admit());
        assert!(both.0.is_some() && both.1.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_again() {
        let breaker = opened();
        tokio::time::advance(REST).await;
        breaker.admit().expect("the probe").failed();
        assert!(breaker.admit().is_none());
        tokio::time::advance(REST).await;
        assert!(breaker.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_makes_room_for_the_next() {
        let breaker = opened();
        tokio::time::advance(REST).await;
        drop(breaker.admit().expect("the probe"));
        breaker.admit().expect("the next one").answered();
        assert!(breaker.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_while_it_is_open_do_not_keep_it_open() {
        let breaker = opened();
        tokio::time::advance(REST / 2).await;
        breaker.failed();
        tokio::time::advance(REST / 2).await;
        assert!(breaker.admit().is_some());
    }
}
