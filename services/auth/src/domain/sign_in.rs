//! When and how people came in, or others tried to.

use causeway_context::{Remote, SessionId, UserId, WorkspaceId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Session;

/// How somebody came, and from where, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trace {
    /// How, such as `password` or `clerk`.
    pub(crate) method: String,
    /// The network: an address without its end.
    pub(crate) network: String,
    /// The family of the program, such as `Firefox on Linux`.
    pub(crate) agent: String,
}

impl Trace {
    /// What is kept of a way in.
    pub(crate) fn of(method: &str, remote: Option<&Remote>) -> Self {
        Self {
            method: method.to_owned(),
            network: remote.map(Remote::network).unwrap_or_default(),
            agent: remote.map(|remote| family(&remote.agent)).unwrap_or_default(),
        }
    }
}

/// One time that somebody came in as a person, or tried to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// Sorts by time.
    pub(crate) id: Uuid,
    /// The person.
    pub(crate) user: UserId,
    /// The workspace entered; for a failure the person's first one.
    pub(crate) workspace: WorkspaceId,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// How.
    pub(crate) trace: Trace,
    /// The session that was opened; none for a failure.
    pub(crate) session: Option<SessionId>,
}

impl SignIn {
    /// The sign-in that opened a session.
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            id: session.id.0,
            user: session.user,
            workspace: session.workspace,
            at: session.opened_at,
            trace: session.trace.clone(),
            session: Some(session.id),
        }
    }
}

/// The first of these words that a browser's name holds says which it is: others claim to be several.
const BROWSERS: [(&str, &str); 6] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// The family of a program out of what it calls itself: enough to be recognised by its user, too little to follow one.
fn family(agent: &str) -> String {
    let first = |words: &[(&str, &'static str)]| {
        let found = words.iter().find(|(word, _)| agent.contains(word));
        found.map(|(_, name)| *name)
    };
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => product(agent),
    }
}

/// The product of a program that is no browser, without its version.
fn product(agent: &str) -> String {
    let product = agent.split(['/', ' ']).next().unwrap_or_default();
    product
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter))
        .take(40)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_family() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0";
        let phone =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(family(firefox), "Firefox on Linux");
        assert_eq!(family(edge), "Edge on Windows");
        assert_eq!(family(phone), "Safari on iOS");
        assert_eq!(family("curl/8.5.0"), "curl");
        assert_eq!(family("python-requests/2.32 <script>"), "python-requests");
        assert_eq!(family(""), "");
    }
}
