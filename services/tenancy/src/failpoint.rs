//! Places where a test ends the process, as a crash would (ROT-01). In a release build there is nothing.

/// The name of the place where the process is to end.
#[cfg(debug_assertions)]
const SETTING: &str = "CAUSEWAY_ABORT_AT";

/// Ends the process if this is the place where a test wants it to: no destructor runs, no answer is sent, nothing is
/// rolled back by hand.
#[cfg(debug_assertions)]
pub(crate) fn reach(place: &str) {
    if std::env::var_os(SETTING).is_some_and(|wanted| wanted == place) {
        std::process::abort();
    }
}

/// As [`reach`], at a place that there is once for each of several parts.
#[cfg(debug_assertions)]
pub(crate) fn reach_in(place: &str, part: &str) {
    reach(&format!("{place}.{part}"));
}

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn reach(_: &str) {}

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn reach_in(_: &str, _: &str) {}
