//! An audit log that does what it is told, and a relay to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_contracts::audit::v1 as wire;
use causeway_contracts::audit::v1::audit_service_server::{AuditService, AuditServiceServer};
use causeway_crypto::ServiceTokenKeys;
use causeway_errors::ApiError;
use causeway_mesh::{Guard, GuardOptions, Mesh, MeshChannel, ServiceIdentity, near};
use causeway_outbox::{OutboxEvent, OutboxStore, Outcome, Relay, RelayHandle};
use chrono::DateTime;
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the log does with a batch.
pub(crate) enum Does {
    Take,
    Refuse(ApiError),
    Panic,
    /// Neither answers nor takes.
    Hang,
}

type Rule = Box<dyn Fn(&[String]) -> Does + Send>;

/// A log that deduplicates by id, as the real one does.
#[derive(Clone)]
pub(crate) struct FakeLog(Arc<Inner>);

struct Inner {
    rule: Mutex<Rule>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// What the log has, by target, in its order.
    pub(crate) entries: Vec<String>,
    ids: Vec<String>,
    /// How many facts each batch had that was sent.
    pub(crate) batches: Vec<usize>,
}

impl Default for FakeLog {
    fn default() -> Self {
        Self(Arc::new(Inner {
            rule: Mutex::new(Box::new(|_| Does::Take)),
            state: watch::Sender::default(),
        }))
    }
}

impl FakeLog {
    /// Says what to do from now on, by the targets of a batch.
    pub(crate) fn on_batch(&self, rule: impl Fn(&[String]) -> Does + Send + 'static) {
        *self.0.rule.lock().expect("no rule panics") = Box::new(rule);
    }

    /// Refuses whatever holds the fact about `target`.
    pub(crate) fn refuses(&self, target: &'static str, error: impl Fn() -> ApiError + Send + 'static) {
        self.on_batch(move |targets| match targets.iter().any(|it| it == target) {
            true => Does::Refuse(error()),
            false => Does::Take,
        });
    }

    pub(crate) fn is_away(&self) {
        self.on_batch(|_| Does::Refuse(ApiError::unavailable("STORE_UNAVAILABLE")));
    }

    pub(crate) fn takes_everything(&self) {
        self.on_batch(|_| Does::Take);
    }

    pub(crate) fn state(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// Waits until that holds of the log.
    pub(crate) async fn wait_for(&self, holds: impl FnMut(&State) -> bool) {
        let mut state = self.0.state.subscribe();
        let waited = tokio::time::timeout(PATIENCE, state.wait_for(holds))
            .await
            .map(drop);
        assert!(waited.is_ok(), "{:?}", self.state());
    }

    /// Waits until the log has these entries and no others.
    pub(crate) async fn has(&self, expected: &[String]) {
        self.wait_for(|state| state.entries.len() >= expected.len()).await;
        assert_eq!(self.state().entries, expected);
    }

    pub(crate) async fn has_been_sent(&self, batches: usize) {
        self.wait_for(|state| state.batches.len() >= batches).await;
    }

    /// The way to it, as services have it.
    pub(crate) fn channel(&self) -> MeshChannel {
        let root = SecretString::from("the root of the tests, as long as it has to be");
        let identity = ServiceIdentity::new("tenancy", Arc::new(ServiceTokenKeys::new(&root, None)));
        let mesh = Mesh::new(identity.clone());
        let options = GuardOptions {
            identity,
            secrets: Vec::new(),
            open_reflection: false,
            max_in_flight: 8,
        };
        let routes = Routes::new(AuditServiceServer::new(self.clone()));
        mesh.link("audit", near(Guard::new(routes, options)));
        mesh.to("audit")
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AuditService for FakeLog {
    async fn relay_events(
        &self,
        request: Request<wire::RelayEventsRequest>,
    ) -> Answer<wire::RelayEventsResponse> {
        let events = request.into_inner().events;
        let events: Vec<wire::Event> = events.into_iter().filter_map(|row| row.event).collect();
        let targets: Vec<String> = events.iter().map(|event| event.target_id.clone()).collect();
        let does = (self.0.rule.lock().expect("no rule panics"))(&targets);
        self.0
            .state
            .send_modify(|state| state.batches.push(targets.len()));
        match does {
            Does::Refuse(error) => return Err(error.into()),
            Does::Panic => panic!("the log panics"),
            Does::Hang => std::future::pending().await,
            Does::Take => {}
        }
        self.0.state.send_modify(|state| {
            for event in events {
                if !state.ids.contains(&event.id) {
                    state.ids.push(event.id);
                    state.entries.push(event.target_id);
                }
            }
        });
        Ok(Response::new(wire::RelayEventsResponse {}))
    }

    async fn append_events(
        &self,
        _: Request<wire::AppendEventsRequest>,
    ) -> Answer<wire::AppendEventsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_events(&self, _: Request<wire::ListEventsRequest>) -> Answer<wire::ListEventsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_event(&self, _: Request<wire::GetEventRequest>) -> Answer<wire::GetEventResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_root(&self, _: Request<wire::GetRootRequest>) -> Answer<wire::GetRootResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_inclusion_proof(
        &self,
        _: Request<wire::GetInclusionProofRequest>,
    ) -> Answer<wire::GetInclusionProofResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_consistency_proof(
        &self,
        _: Request<wire::GetConsistencyProofRequest>,
    ) -> Answer<wire::GetConsistencyProofResponse> {
        Err(Status::unimplemented(""))
    }

    async fn verify_log(&self, _: Request<wire::VerifyLogRequest>) -> Answer<wire::VerifyLogResponse> {
        Err(Status::unimplemented(""))
    }
}

pub(crate) fn fact(target: &str) -> OutboxEvent {
    OutboxEvent {
        id: Uuid::now_v7(),
        workspace: WorkspaceId::generate(),
        action: "note.create".to_owned(),
        actor_kind: "user".to_owned(),
        actor_id: "u".to_owned(),
        target_kind: "note".to_owned(),
        target_id: target.to_owned(),
        outcome: Outcome::Success,
        occurred_at: DateTime::UNIX_EPOCH,
        request_id: "r".to_owned(),
        service: "tenancy".to_owned(),
        details: serde_json::Map::new(),
    }
}

/// The targets of so many facts.
pub(crate) fn targets(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// A relay that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) handle: RelayHandle,
    pub(crate) stop: CancellationToken,
    task: JoinSet<()>,
}

impl Running {
    pub(crate) fn start(store: Arc<dyn OutboxStore>, log: &FakeLog) -> Self {
        let (relay, handle) = Relay::new(store, log.channel());
        let (stop, mut task) = (CancellationToken::new(), JoinSet::new());
        task.spawn(relay.run(stop.clone()));
        Self { handle, stop, task }
    }

    /// Stops it and waits for its end.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task.join_next()).await;
        ended.expect("in time").expect("one task").expect("no panic");
    }
}

/// Waits until the store has nothing more to send.
pub(crate) async fn is_empty(store: &dyn OutboxStore) {
    let empty = async {
        while !store.unsent(1).await.expect("the store answers").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, empty)
        .await
        .expect("the outbox empties");
}
