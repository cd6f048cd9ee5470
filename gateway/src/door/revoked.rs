//! Credentials that ended before their time (REF-06, TOK-04, RBAC-04). Auth and tenancy are asked each second for what is
//! new; an access token whose session, person, membership, client or workspace ended is refused, though its signature is
//! good. While one of them is away the door goes on with what it knows.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use causeway_context::{Caller, TokenId};
use causeway_contracts::auth::v1::revocation_service_client::RevocationServiceClient as AuthClient;
use causeway_contracts::common::v1::{ListRevocationsRequest, ListRevocationsResponse};
use causeway_contracts::tenancy::v1::revocation_service_client::RevocationServiceClient as TenancyClient;
use causeway_crypto::AccessClaims;
use causeway_revocation::{Ended, Revocation, from_wire};
use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry::KeyValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::Gateway;
use crate::door::authenticate::Cache;
use crate::door::machine::Standings;

/// How often each service is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take: then the next one is asked for.
const PATIENCE: Duration = Duration::from_secs(2);
/// From when on what is known is said to be stale: later than this a revocation was to hold everywhere.
const STALE: Duration = Duration::from_secs(5);
/// By how much the clocks of the door and of a service may differ before an entry is dropped too early.
const SLACK: TimeDelta = TimeDelta::minutes(1);

/// What ended, and until when that has to be known.
#[derive(Default)]
pub(crate) struct Revoked(RwLock<HashMap<Ended, Void>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Void {
    /// Tokens issued before that, in milliseconds since 1970; every one without it.
    before: Option<i64>,
    until: DateTime<Utc>,
}

impl Void {
    fn and(self, other: Self) -> Self {
        Self {
            before: self.before.zip(other.before).map(|(one, other)| one.max(other)),
            until: self.until.max(other.until),
        }
    }
}

impl Revoked {
    /// Whether an access token ended before its time. With `after_erasure` the end of its workspace is not one.
    pub(crate) fn includes(&self, claims: &AccessClaims, after_erasure: bool) -> bool {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() {
            return false;
        }
        let issued = issued_at(claims);
        let mut subjects = subjects(claims).into_iter().flatten();
        subjects.any(|subject| {
            if after_erasure && matches!(subject, Ended::Workspace(_)) {
                return false;
            }
            let void = entries.get(&subject);
            void.is_some_and(|void| void.before.is_none_or(|before| issued < before))
        })
    }

    /// Adds what is new; answers what of it was not known.
    fn add(&self, revocations: Vec<Revocation>) -> Vec<Ended> {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for revocation in revocations {
            let void = Void {
                before: revocation.valid_after.map(|time| time.timestamp_millis()),
                until: revocation.expires_at,
            };
            let known = entries.get(&revocation.ended).copied();
            let merged = known.map_or(void, |known| known.and(void));
            if known != Some(merged) {
                entries.insert(revocation.ended, merged);
                news.push(revocation.ended);
            }
        }
        news
    }

    /// Drops what no token can be older than.
    fn forget(&self, now: DateTime<Utc>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, void| now < void.until + SLACK);
    }
}

/// When a token was issued. Its id tells it to the millisecond, if it agrees with the seconds that the token says.
fn issued_at(claims: &AccessClaims) -> i64 {
    let made = Uuid::try_parse(&claims.jti)
        .ok()
        .and_then(|id| id.get_timestamp());
    let exact = made.map(|made| made.to_unix()).and_then(|(seconds, nanos)| {
        let seconds = i64::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds == claims.iat)?;
        Some(seconds * 1000 + i64::from(nanos / 1_000_000))
    });
    exact.unwrap_or_else(|| claims.iat.saturating_mul(1000))
}

/// Everything whose end is the end of a token.
fn subjects(claims: &AccessClaims) -> [Option<Ended>; 7] {
    let workspace = claims.workspace_id.parse().ok();
    let user = claims.sub.parse().ok();
    let credential = claims.client_id.as_deref();
    [
        claims.sid.parse().ok().map(Ended::Session),
        user.map(Ended::User),
        workspace
            .zip(user)
            .map(|(workspace, user)| Ended::Member(workspace, user)),
        workspace.map(Ended::Workspace),
        credential.and_then(client_of).map(Ended::Client),
        credential.and_then(token_of).map(Ended::Token),
        // A member has one role; built-in ones are no ids.
        claims
            .roles
            .iter()
            .find_map(|role| Uuid::try_parse(role).ok())
            .map(Ended::Role),
    ]
}

/// The client that a machine's credential names.
fn client_of(credential: &str) -> Option<Uuid> {
    Uuid::try_parse(credential.strip_prefix("cw_client_")?).ok()
}

/// The opaque token that a machine's credential names.
fn token_of(credential: &str) -> Option<TokenId> {
    Uuid::try_parse(credential.strip_prefix("cw_token_")?)
        .ok()
        .map(TokenId)
}

/// Whether something that ended is what a machine's credential is, or what it stands on.
fn concerns_machine(credential: &str, caller: Option<&Caller>, ended: &Ended) -> bool {
    match ended {
        Ended::Client(client) => client_of(credential) == Some(*client),
        Ended::Token(token) => token_of(credential) == Some(*token),
        _ => caller.is_some_and(|caller| concerns(caller, ended)),
    }
}

/// Whether something that ended is what a caller of an opaque token stands on.
fn concerns(caller: &Caller, ended: &Ended) -> bool {
    match ended {
        Ended::Token(token) => caller.credential_id == token.to_string(),
        Ended::User(user) => caller.user() == Some(*user),
        Ended::Member(workspace, user) => {
            caller.user() == Some(*user) && caller.workspace == Some(*workspace)
        }
        Ended::Workspace(workspace) => caller.workspace == Some(*workspace),
        Ended::Role(role) => caller.roles.contains(&role.to_string()),
        Ended::Session(_) | Ended::Client(_) => false,
    }
}

/// Asks both services until it is stopped.
pub(crate) async fn watch(gateway: Arc<Gateway>, stop: CancellationToken) {
    let (auth, tenancy) = (
        AuthClient::new(gateway.mesh.to("auth")),
        TenancyClient::new(gateway.mesh.to("tenancy")),
    );
    let ask_auth = |request| {
        let mut client = auth.clone();
        async move { client.list_revocations(request).await }
    };
    let ask_tenancy = |request| {
        let mut client = tenancy.clone();
        async move { client.list_revocations(request).await }
    };
    tokio::join!(
        Source::new("auth", &gateway).run(ask_auth, &stop),
        Source::new("tenancy", &gateway).run(ask_tenancy, &stop),
    );
}

/// A service that is asked.
struct Source<'a> {
    service: &'static str,
    revoked: &'a Revoked,
    credentials: &'a Cache,
    machines: &'a Standings,
    place: String,
    asked: Option<Instant>,
    is_stale: bool,
}

impl<'a> Source<'a> {
    fn new(service: &'static str, gateway: &'a Gateway) -> Self {
        Self {
            service,
            revoked: &gateway.revoked,
            credentials: &gateway.credentials,
            machines: &gateway.machines,
            place: String::new(),
            asked: None,
            is_stale: false,
        }
    }

    async fn run<A, F>(mut self, ask: A, stop: &CancellationToken)
    where
        A: Fn(Request<ListRevocationsRequest>) -> F,
        F: Future<Output = Result<Response<ListRevocationsResponse>, Status>>,
    {
        let started = Instant::now();
        let polls = async {
            loop {
                let answer = self.ask_all(&ask).await;
                self.note(answer, started);
                tokio::time::sleep(pause()).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(polls).await;
    }

    /// Everything that is new, in as many parts as it takes.
    async fn ask_all<A, F>(&mut self, ask: &A) -> Result<(), Status>
    where
        A: Fn(Request<ListRevocationsRequest>) -> F,
        F: Future<Output = Result<Response<ListRevocationsResponse>, Status>>,
    {
        let mut after = self.place.clone();
        let mut resume = None;
        loop {
            let mut request = Request::new(ListRevocationsRequest { after });
            request.set_timeout(PATIENCE);
            let answer = ask(request).await?.into_inner();
            // The first part's: what was open then may have committed between the parts.
            let resume = resume.get_or_insert(answer.resume);
            let news = self
                .revoked
                .add(answer.revocations.iter().filter_map(from_wire).collect());
            if !news.is_empty() {
                self.credentials
                    .forget(|caller| news.iter().any(|ended| concerns(caller, ended)));
                self.machines.forget(|credential, caller| {
                    let mut news = news.iter();
                    news.any(|ended| concerns_machine(credential, caller, ended))
                });
            }
            if answer.next.is_empty() {
                self.place.clone_from(resume);
                return Ok(());
            }
            after = answer.next;
        }
    }

    fn note(&mut self, answer: Result<(), Status>, started: Instant) {
        match answer {
            Ok(()) => {
                self.asked = Some(Instant::now());
                #[expect(clippy::disallowed_methods, reason = "what has ended is told by the clock")]
                let now = Utc::now();
                self.revoked.forget(now);
            }
            Err(status) => tracing::debug!(
                service = self.service,
                code = ?status.code(),
                "what ended cannot be asked for"
            ),
        }
        let age = self.asked.unwrap_or(started).elapsed();
        metrics::age(self.service, age);
        let is_stale = age > STALE;
        if is_stale && !self.is_stale {
            tracing::warn!(
                service = self.service,
                age_seconds = age.as_secs(),
                "what was revoked lately is not known here: the service does not answer"
            );
        } else if self.is_stale && !is_stale {
            tracing::info!(service = self.service, "what was revoked is known again");
        }
        self.is_stale = is_stale;
    }
}

/// About a second: gateways that were started together do not ask together for ever.
fn pause() -> Duration {
    let spread = RandomState::new().hash_one(0_u8) % 200;
    EVERY * 9 / 10 + Duration::from_millis(spread)
}

/// Counts a token that was refused.
pub(crate) fn refused() {
    metrics::REFUSED.add(1, &[]);
}

mod metrics {
    use std::sync::LazyLock;

    use opentelemetry::metrics::{Counter, Gauge};

    use super::{Duration, KeyValue};

    pub(super) static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
        causeway_telemetry::metrics::meter("causeway_gateway")
            .u64_counter("causeway_gateway_revoked_tokens_total")
            .with_description("Access tokens that were refused because they ended before their time.")
            .build()
    });
    static AGE: LazyLock<Gauge<f64>> = LazyLock::new(|| {
        causeway_telemetry::metrics::meter("causeway_gateway")
            .f64_gauge("causeway_gateway_revocations_age_seconds")
            .with_description(
                "How old what the door knows of revocations is, by the service that tells them.",
            )
            .build()
    });

    pub(super) fn age(service: &'static str, age: Duration) {
        AGE.record(age.as_secs_f64(), &[KeyValue::new("service", service)]);
    }
}

#[cfg(test)]
mod tests;
