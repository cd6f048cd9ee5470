//! The one way a caught error gets into the log (B-OBS-2), and the warning for slow routes.

use std::error::Error;
use std::time::Duration;

use uuid::Uuid;

/// Longer chains are cut: an upstream may answer with pages.
const MAX_CHARS: usize = 2000;
const MARK: &str = "[redacted]";

/// Beginnings of things that are secrets whatever stands around them.
const SECRET_PREFIXES: [&str; 8] = ["sk-", "sk_", "cw_", "eyJ", "whsec_", "AKIA", "ASIA", "AIza"];

/// Logs `error` once, with its causes and the id that the caller was given. `what` says what was being done.
pub fn report(error: &(dyn Error + 'static), error_id: Uuid, what: &str) {
    tracing::error!(error_id = %error_id, error = %sanitise(&chain(error)), "{what}");
}

/// Warns about a route that took longer than it should; says nothing otherwise.
pub fn slow_api(route: &str, elapsed: Duration, threshold: Duration) {
    if elapsed > threshold {
        tracing::warn!(
            name: "slow_api",
            event = "slow_api",
            route,
            elapsed_ms = millis(elapsed),
            threshold_ms = millis(threshold),
            "slow_api"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Text that may be logged: one line, bounded, and without what looks like a credential.
pub fn sanitise(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_CHARS));
    let mut bearer = false;
    for word in text.split_inclusive(is_separator) {
        let core = word.trim_end_matches(is_separator);
        let hide = !core.is_empty() && (bearer || is_secret(core));
        if !core.is_empty() {
            bearer = core.eq_ignore_ascii_case("bearer") || core.eq_ignore_ascii_case("basic");
        }
        let shown = if hide { MARK } else { core };
        safe.push_str(shown);
        safe.extend(
            word[core.len()..]
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c }),
        );
    }
    match safe.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", &safe[..end]),
        None => safe,
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '"' | '\'' | '`' | ',' | ';' | '=' | '(' | ')' | '<' | '>' | '&' | '?'
        )
}

fn is_secret(word: &str) -> bool {
    let userinfo = word.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '#'])
            .next()
            .is_some_and(|authority| authority.contains('@'))
    });
    userinfo
        || SECRET_PREFIXES
            .iter()
            .any(|prefix| word.starts_with(prefix) && word.len() > prefix.len() + 7)
}
