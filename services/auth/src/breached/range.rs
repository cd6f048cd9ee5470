//! A list of breached passwords that lies elsewhere, asked so that it does not learn what is asked for: five digits of the
//! password's SHA-1 go out, and all that the list knows under them comes back, padded so that not even the length of the
//! answer says anything (k-anonymity).

use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use bytes::Bytes;
use causeway_egress::{Egress, EgressError};
use http::{Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::BreachedPasswords;

/// How long a choice of a password waits for the list.
const PATIENCE: Duration = Duration::from_secs(2);
/// A padded answer has some forty thousand bytes.
const MOST_BYTES: usize = 1 << 20;
/// How many are asked at once; more wait, as long as the list may take.
const AT_ONCE: usize = 16;
/// The digits that go out.
const PREFIX: usize = 5;

/// A list with a range address.
pub(crate) struct RangeList {
    url: String,
    egress: Egress,
    admission: Semaphore,
    patience: Duration,
}

/// Why the list did not answer.
#[derive(Debug, thiserror::Error)]
enum RangeError {
    #[error("ask for a range of breached passwords")]
    Ask(#[from] EgressError),
    #[error("address a range of breached passwords")]
    Address(#[from] http::Error),
    #[error("the list of breached passwords answered {0}")]
    Answer(StatusCode),
    #[error("the list of breached passwords did not answer in time")]
    Late,
}

impl RangeList {
    /// The list below that address.
    pub(crate) fn new(url: &str, egress: Egress) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            egress,
            admission: Semaphore::new(AT_ONCE),
            patience: PATIENCE,
        }
    }

    async fn holds(&self, hash: &str) -> Result<bool, RangeError> {
        let asked = async {
            // Never closed; if it were, asking on would do no harm.
            let _permit = self.admission.acquire().await.ok();
            self.ask(hash).await
        };
        tokio::time::timeout(self.patience, asked)
            .await
            .map_err(|_| RangeError::Late)?
    }

    async fn ask(&self, hash: &str) -> Result<bool, RangeError> {
        let (prefix, rest) = hash.split_at(PREFIX);
        let request = Request::get(format!("{}/{prefix}", self.url))
            .header("add-padding", "true")
            .body(Bytes::new())?;
        let answer = self.egress.send(request, self.patience).await?;
        if answer.status() != StatusCode::OK {
            return Err(RangeError::Answer(answer.status()));
        }
        let body = answer.into_body().collect(MOST_BYTES).await?;
        Ok(lists(&body, rest))
    }
}

#[async_trait]
impl BreachedPasswords for RangeList {
    async fn knows(&self, password: &SecretString) -> bool {
        let answer = self.holds(&sha1(password)).await;
        metrics::asked(match &answer {
            Ok(true) => "known",
            Ok(false) => "unknown",
            Err(_) => "unavailable",
        });
        answer.unwrap_or_else(|error| {
            causeway_telemetry::report(&error, Uuid::new_v4(), "a password is chosen without the list");
            false
        })
    }
}

/// Whether a line of the answer is the rest of the hash with a number above 0: padding has 0.
fn lists(body: &[u8], rest: &str) -> bool {
    let mut lines = body.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let line = line.trim_ascii();
        let (suffix, count) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => return false,
        };
        suffix.eq_ignore_ascii_case(rest.as_bytes())
            && count.iter().any(|digit| (b'1'..=b'9').contains(digit))
    })
}

/// In capital hexadecimal digits, as such lists have it. It protects nothing: it only finds.
fn sha1(password: &SecretString) -> String {
    let hash = digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        password.expose_secret().as_bytes(),
    );
    hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

mod metrics {
    use std::sync::LazyLock;

    use opentelemetry::KeyValue;
    use opentelemetry::metrics::Counter;

    static ASKED: LazyLock<Counter<u64>> = LazyLock::new(|| {
        causeway_telemetry::metrics::meter("causeway_auth")
            .u64_counter("causeway_auth_breached_passwords_total")
            .with_description("Passwords that a list of breached ones was asked for, by its answer.")
            .build()
    });

    pub(super) fn asked(answer: &'static str) {
        ASKED.add(1, &[KeyValue::new("answer", answer)]);
    }
}

#[cfg(test)]
mod tests {
    use causeway_egress::EgressOptions;
    use causeway_testkit::{Answer, ScriptedUpstream};

    use super::*;

    /// The SHA-1 of `password` is 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
    const REST: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";

    fn list(upstream: &ScriptedUpstream) -> RangeList {
        let egress = Egress::new(EgressOptions::default());
        RangeList {
            patience: Duration::from_millis(500),
            ..RangeList::new(&format!("{}/range/", upstream.base_url()), egress)
        }
    }

    fn range(lines: &[&str]) -> Answer {
        Answer::raw([lines.join("\r\n")])
    }

    #[tokio::test]
    async fn the_list_learns_five_digits_and_no_more() {
        let upstream = ScriptedUpstream::start().await;
        upstream.then(range(&[
            "0018A45C4D1DEF81644B54AB7F969B88D65:3",
            &format!("{REST}:52256179"),
        ]));
        upstream.then(range(&["0018A45C4D1DEF81644B54AB7F969B88D65:3"]));
        let list = list(&upstream);
        assert!(list.knows(&"password".into()).await);
        assert!(!list.knows(&"password".into()).await, "not under these digits");
        let seen = upstream.seen();
        assert_eq!(seen[0].uri.path(), "/v1/range/5BAA6");
        assert_eq!(seen[0].header("add-padding"), "true");
        assert!(!format!("{seen:?}").contains("1E4C9"), "{seen:?}");
    }

    #[tokio::test]
    async fn padding_is_no_password() {
        let upstream = ScriptedUpstream::start().await;
        upstream.then(range(&[&format!("{REST}:0"), "garbage", ""]));
        upstream.then(range(&[&format!("{}:10", REST.to_lowercase())]));
        let list = list(&upstream);
        assert!(!list.knows(&"password".into()).await);
        assert!(list.knows(&"password".into()).await, "whatever the case");
    }

    #[tokio::test]
    async fn a_list_that_is_away_keeps_nobody_out() {
        let upstream = ScriptedUpstream::start().await;
        let endless = vec![format!("{REST}:1,"); 100_000].join("");
        for answer in [
            Answer::error(500, "away"),
            Answer::error(429, "too often"),
            Answer::hang(),
            Answer::raw([endless]),
        ] {
            upstream.then(answer);
            assert!(!list(&upstream).knows(&"password".into()).await);
        }
        let nobody = RangeList::new("http://127.0.0.1:1", Egress::new(EgressOptions::default()));
        assert!(!nobody.knows(&"password".into()).await);
        let wrong = RangeList::new("not an address", Egress::new(EgressOptions::default()));
        assert!(!wrong.knows(&"password".into()).await);
    }
}
