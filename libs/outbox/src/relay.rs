//! The relay: carries facts from a service's outbox to the audit log, in batches and in order, until the log has them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use causeway_contracts::audit::v1::RelayEventsRequest;
use causeway_contracts::audit::v1::audit_service_client::AuditServiceClient;
use causeway_errors::{ApiError, Code};
use causeway_mesh::MeshChannel;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::handle::{RelayHandle, Shared};
use crate::{OutboxError, OutboxEvent, OutboxStore};

const BATCH: usize = 500;
/// How long the log may take for a batch. After that smaller ones are tried.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the relay looks without being woken: finds rows that another process or a crash left.
const IDLE: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Short enough for those who may not answer before the log has their fact.
const LAST_BACKOFF: Duration = Duration::from_secs(2);
/// How long the last facts may take when the process ends.
const LAST_CHANCE: Duration = Duration::from_secs(3);
/// How often the log may fail at the same fact before that counts against the fact.
const SUSPICIONS: u32 = 5;

/// Carries facts to the log.
pub struct Relay {
    store: Arc<dyn OutboxStore>,
    audit: AuditServiceClient<MeshChannel>,
    shared: Arc<Shared>,
    batch: usize,
    /// The fact at which the log failed last, and how often in a row.
    suspect: Option<(Uuid, u32)>,
}

/// At what a failed batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blame {
    /// At the log, its way, or our credentials: the batch may be sent again as it is.
    Log,
    /// At a fact of it, for good.
    Fact,
    /// At a fact of it or at the log.
    Unclear,
}

impl Blame {
    fn of(status: &Status) -> Self {
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Self::Fact,
            Code::ResourceExhausted if is_too_large(status) => Self::Fact,
            Code::Ok
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Unimplemented
            | Code::Unavailable
            | Code::Unauthenticated => Self::Log,
            Code::Unknown
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Internal
            | Code::DataLoss => Self::Unclear,
        }
    }
}

fn is_too_large(status: &Status) -> bool {
    ApiError::from(status.clone()).reason == "MESSAGE_TOO_LARGE"
}

impl Relay {
    /// A relay from `store` to the audit service behind `channel`, and the handle that its service keeps.
    pub fn new(store: Arc<dyn OutboxStore>, channel: MeshChannel) -> (Self, RelayHandle) {
        let shared = Arc::new(Shared::default());
        let handle = RelayHandle::of(Arc::clone(&shared), Arc::clone(&store));
        let relay = Self {
            store,
            audit: AuditServiceClient::new(channel),
            shared,
            batch: BATCH,
            suspect: None,
        };
        (relay, handle)
    }

    /// Carries facts until `stop`, then those that are left, unless the log is away.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        // A pass that is cut is done again: what the log took of it, it knows by its ids.
        while let Some(passed) = stop.run_until_cancelled(self.pass()).await {
            match passed {
                Ok(0) => {
                    backoff = FIRST_BACKOFF;
                    // A wake-up during the pass is kept by `Notify`: no fact waits for the next look.
                    tokio::select! {
                        () = self.shared.wake.notified() => {}
                        () = tokio::time::sleep(IDLE) => {}
                        () = stop.cancelled() => {}
                    }
                }
                Ok(_) => backoff = FIRST_BACKOFF,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "facts wait for the audit log"
                    );
                    stop.run_until_cancelled(tokio::time::sleep(backoff)).await;
                    backoff = (backoff * 2).min(LAST_BACKOFF);
                }
            }
        }
        match tokio::time::timeout(LAST_CHANCE, self.rest()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "facts stay in the outbox at shutdown"
            ),
            Err(_) => {
                tracing::warn!("facts stay in the outbox at shutdown: there was no time for all of them")
            }
        }
    }

    async fn rest(&mut self) -> Result<(), RelayError> {
        while self.pass().await? > 0 {}
        Ok(())
    }

    /// Sends one batch; answers how many facts it had.
    async fn pass(&mut self) -> Result<usize, RelayError> {
        let facts = self.store.unsent(self.batch).await?;
        let sent = self.deliver(&facts).await;
        self.batch = match &sent {
            Err(RelayError::Audit(status)) if status.code() == Code::DeadlineExceeded => {
                (self.batch / 2).max(1)
            }
            Err(_) => self.batch,
            Ok(()) => (self.batch * 2).min(BATCH),
        };
        sent.map(|()| facts.len())
    }

    /// Sends facts in their order. What the log refuses because of a fact in it is sent in halves, until that one is
    /// alone; then it is parked, and those behind it go on.
    async fn deliver(&mut self, facts: &[OutboxEvent]) -> Result<(), RelayError> {
        // What is still to be sent, the next part last.
        let mut parts: Vec<Range<usize>> = std::iter::once(0..facts.len()).collect();
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            let Err(status) = self.send(&facts[part.clone()]).await? else {
                continue;
            };
            let blame = Blame::of(&status);
            if blame == Blame::Log {
                return Err(Box::new(status).into());
            }
            if part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.push(middle..part.end);
                parts.push(part.start..middle);
                continue;
            }
            let fact = &facts[part.start];
            if blame == Blame::Unclear && !self.is_to_blame(fact, facts.get(part.end)).await? {
                return Err(Box::new(status).into());
            }
            self.park(fact, &status).await?;
        }
        Ok(())
    }

    /// Whether it is this fact at which the log fails: it did so again and again, and takes the next one. While nothing
    /// waits behind it, or the log fails at everything, the fact stays: it blocks nobody, or it is not the cause.
    async fn is_to_blame(
        &mut self,
        fact: &OutboxEvent,
        next: Option<&OutboxEvent>,
    ) -> Result<bool, RelayError> {
        let times = match self.suspect {
            Some((id, times)) if id == fact.id => times + 1,
            Some(_) | None => 1,
        };
        self.suspect = Some((fact.id, times));
        match next {
            Some(next) if times >= SUSPICIONS => Ok(self.send(std::slice::from_ref(next)).await?.is_ok()),
            Some(_) | None => Ok(false),
        }
    }

    /// Sends facts to the log, and marks them when it has them. The outer error is the store's.
    async fn send(&mut self, facts: &[OutboxEvent]) -> Result<Result<(), Status>, OutboxError> {
        let mut request = Request::new(RelayEventsRequest {
            events: facts.iter().cloned().map(Into::into).collect(),
        });
        request.set_timeout(SEND_TIMEOUT);
        if let Err(status) = self.audit.relay_events(request).await {
            return Ok(Err(status));
        }
        let ids: Vec<Uuid> = facts.iter().map(|fact| fact.id).collect();
        self.shared.delivered(ids.iter().copied());
        self.store.mark_sent(&ids).await?;
        crate::metrics::delivered(ids.len());
        Ok(Ok(()))
    }

    async fn park(&self, fact: &OutboxEvent, status: &Status) -> Result<(), OutboxError> {
        let error = ApiError::from(status.clone());
        let because = format!("{}: {}", error.reason, error.message);
        self.store.park(fact.id, &because).await?;
        crate::metrics::parked();
        tracing::error!(
            fact = %fact.id,
            action = fact.action,
            service = fact.service,
            error_id = %error.error_id,
            because,
            "a fact that the audit log refuses is parked, and is not in the log"
        );
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("read or mark the outbox")]
    Store(#[from] OutboxError),
    #[error("append to the audit log")]
    Audit(#[from] Box<Status>),
}
