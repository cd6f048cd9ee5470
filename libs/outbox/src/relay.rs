//! The relay: carries facts from a service's outbox to the audit log, in batches, until the log has them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_contracts::audit::v1::RelayEventsRequest;
use causeway_contracts::audit::v1::audit_service_client::AuditServiceClient;
use causeway_mesh::MeshChannel;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{OutboxError, OutboxStore};

const BATCH: usize = 500;
/// How long an answer waits for its fact to be in the log.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the relay looks without being woken: finds rows that another process or a crash left.
const IDLE: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// How many delivered ids are remembered, for those who ask late.
const REMEMBERED: usize = 4096;

/// Carries facts to the log.
pub struct Relay {
    store: Arc<dyn OutboxStore>,
    audit: AuditServiceClient<MeshChannel>,
    shared: Arc<Shared>,
}

/// Asks whether a fact is in the log, and wakes the relay.
#[derive(Clone)]
pub struct RelayHandle(Option<Arc<Shared>>);

#[derive(Default)]
struct Shared {
    wake: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Uuid, oneshot::Sender<()>>,
    recent: VecDeque<Uuid>,
    known: HashSet<Uuid>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn delivered(&mut self, id: Uuid) {
        if let Some(waiter) = self.waiting.remove(&id) {
            // The waiter may have given up: then nobody wants to know.
            let _ = waiter.send(());
        }
        if self.known.insert(id) {
            self.recent.push_back(id);
        }
        while self.recent.len() > REMEMBERED {
            if let Some(oldest) = self.recent.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

impl RelayHandle {
    /// A handle without a relay, for tests: every fact counts as delivered.
    pub fn detached() -> Self {
        Self(None)
    }

    /// Wakes the relay and waits, for at most 250 ms, until the log has the fact. False means "not yet": the row is
    /// kept and sent later.
    pub async fn delivered(&self, id: Uuid) -> bool {
        let Some(shared) = &self.0 else { return true };
        let receiver = {
            let mut state = shared.state();
            if state.known.contains(&id) {
                return true;
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.insert(id, sender);
            receiver
        };
        shared.wake.notify_one();
        let delivered = tokio::time::timeout(PATIENCE, receiver)
            .await
            .is_ok_and(|sent| sent.is_ok());
        if !delivered {
            shared.state().waiting.remove(&id);
        }
        delivered
    }
}

impl Relay {
    /// A relay from `store` to the audit service behind `channel`, and the handle that its service keeps.
    pub fn new(store: Arc<dyn OutboxStore>, channel: MeshChannel) -> (Self, RelayHandle) {
        let shared = Arc::new(Shared::default());
        let handle = RelayHandle(Some(Arc::clone(&shared)));
        (
            Self {
                store,
                audit: AuditServiceClient::new(channel),
                shared,
            },
            handle,
        )
    }

    /// Carries facts until `stop`, then those that are left, unless the log is away.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.pass().await {
                Ok(0) => {
                    backoff = FIRST_BACKOFF;
                    // A wake-up during the pass is kept by `Notify`: no fact waits for the next look.
                    tokio::select! {
                        () = self.shared.wake.notified() => {}
                        () = tokio::time::sleep(IDLE) => {}
                        () = stop.cancelled() => break,
                    }
                }
                Ok(_) => backoff = FIRST_BACKOFF,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "facts wait for the audit log"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(LAST_BACKOFF),
                        () = stop.cancelled() => break,
                    }
                }
            }
        }
        loop {
            match self.pass().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "facts stay in the outbox at shutdown"
                    );
                    break;
                }
            }
        }
    }

    /// Sends one batch; answers how many facts it had.
    async fn pass(&mut self) -> Result<usize, RelayError> {
        let events = self.store.unsent(BATCH).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let request = RelayEventsRequest {
            events: events.into_iter().map(Into::into).collect(),
        };
        self.audit.relay_events(request).await.map_err(Box::new)?;
        {
            let mut state = self.shared.state();
            ids.iter().for_each(|id| state.delivered(*id));
        }
        self.store.mark_sent(&ids).await?;
        Ok(ids.len())
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("read or mark the outbox")]
    Store(#[from] OutboxError),
    #[error("append to the audit log")]
    Audit(#[from] Box<tonic::Status>),
}
