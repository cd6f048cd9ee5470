//! Tokens that GitHub found in public places and reports as its secret scanning partner programme says (TOK-05): a
//! signed list, answered with what each token was.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_context::CallContext;
use causeway_errors::{ApiError, Code};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::AuthService;
use crate::error::AuthError;
use crate::scanning::{NoKey, ScanningKeys};

/// More than that is no report of tokens of ours.
const MOST_TOKENS: usize = 1_000;
const LONGEST_TOKEN: usize = 16 << 10;
const LONGEST_PLACE: usize = 200;

/// A report as it was sent.
pub(crate) struct ScanReport<'a> {
    /// The bytes that were signed.
    pub(crate) body: &'a [u8],
    /// Whose key signed them.
    pub(crate) key_id: &'a str,
    /// The signature in base64.
    pub(crate) signature: &'a str,
}

/// What a reported token was.
pub(crate) struct Scanned {
    /// The token as it was reported.
    pub(crate) token: SecretString,
    /// Its type as it was reported.
    pub(crate) kind: String,
    /// Whether it is one of ours, in force or not any more.
    pub(crate) ours: bool,
}

/// One entry of a report.
struct Found {
    token: SecretString,
    kind: String,
    place: String,
}

impl AuthService {
    /// The same use cases, which believe who signs with those keys.
    pub(crate) fn with_scanning(self, keys: Option<Arc<ScanningKeys>>) -> Self {
        Self {
            scanning: keys,
            ..self
        }
    }

    /// Ends the tokens of a report; answers for each whether it is one of ours.
    ///
    /// # Errors
    /// 404 where nobody is believed; 403 for a signature that is nobody's; 503 while that cannot be told; 400 for a body
    /// that is no report; or a part that is away.
    pub(crate) async fn report_scanned(
        &self,
        ctx: &CallContext,
        report: ScanReport<'_>,
    ) -> Result<Vec<Scanned>, AuthError> {
        let Some(keys) = &self.scanning else {
            return Err(
                ApiError::not_found("SCANNING_DISABLED", "reports of a scanner are not taken here").into(),
            );
        };
        let signature = STANDARD.decode(report.signature.trim()).map_err(|_| unsigned())?;
        match keys.verify(report.key_id, report.body, &signature).await {
            Ok(true) => {}
            Ok(false) | Err(NoKey::Unknown) => return Err(unsigned()),
            Err(NoKey::Away) => return Err(ApiError::unavailable("SCANNER_KEYS_UNAVAILABLE").into()),
        }
        let mut scanned = Vec::new();
        for Found { token, kind, place } in read(report.body)? {
            let ours = self.end_leaked(ctx, &token, &place).await?;
            scanned.push(Scanned { token, kind, ours });
        }
        Ok(scanned)
    }
}

fn unsigned() -> AuthError {
    ApiError::forbidden(
        "SIGNATURE_REFUSED",
        "the report is not signed by a key that is known",
    )
    .into()
}

/// The entries of a report. Nothing of it is repeated in an error.
fn read(body: &[u8]) -> Result<Vec<Found>, AuthError> {
    let invalid =
        |what: &'static str| AuthError::from(ApiError::new(Code::InvalidArgument, "INVALID_ARGUMENT", what));
    let list =
        serde_json::from_slice::<Vec<Value>>(body).map_err(|_| invalid("the report is not a JSON list"))?;
    if list.len() > MOST_TOKENS {
        return Err(invalid("the report has more than 1000 entries"));
    }
    let entries = list.into_iter().map(|entry| {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let token = text("token");
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return Err(invalid("an entry has no token, or one that is too long"));
        }
        Ok(Found {
            token: token.into(),
            kind: text("type").to_owned(),
            place: place(text("url"), token),
        })
    });
    entries.collect()
}

/// Where it was found, as the log may show it: one line, not too long, and without a credential, be it this one or
/// another that was found there.
fn place(url: &str, token: &str) -> String {
    const UNSAID: &str = "GitHub";
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if path.is_empty() || path.contains(token) || path.contains("cw_") || path.chars().any(char::is_control) {
        return UNSAID.to_owned();
    }
    path.chars().take(LONGEST_PLACE).collect()
}

impl Scanned {
    /// The word of the partner programme.
    pub(crate) const fn label(&self) -> &'static str {
        match self.ours {
            true => "true_positive",
            false => "false_positive",
        }
    }

    /// The text of the token.
    pub(crate) fn text(&self) -> &str {
        self.token.expose_secret()
    }
}
