//! A service that does what its requests say, and ways to it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::llm::v1::llm_service_client::LlmServiceClient;
use causeway_contracts::llm::v1::llm_service_server::{LlmService, LlmServiceServer};
use causeway_contracts::llm::v1::{
    GenerateRequest, GenerateResponse, GenerateStreamRequest, GenerateStreamResponse, ListModelsRequest,
    ListModelsResponse, ListProvidersRequest, ListProvidersResponse, Model,
};
use causeway_contracts::{CallerKind, DESCRIPTOR_SET, Role, method};
use causeway_crypto::ServiceTokenKeys;
use causeway_errors::{ApiError, Code, Violation};
use causeway_mesh::{
    Guard, GuardOptions, Listener, Mesh, MeshChannel, ServiceIdentity, far, near, on_behalf,
};
use chrono::DateTime;
use futures::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

pub(crate) const ROOT: &str = "the root of the tests, as long as it has to be";
pub(crate) const PREVIOUS_ROOT: &str = "the root of last year, just as long as it was";
/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const GENERATE: &str = "/causeway.llm.v1.LlmService/Generate";

pub(crate) type Client = LlmServiceClient<MeshChannel>;

/// What a handler saw of a call.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) ctx: CallContext,
    pub(crate) headers: HeaderMap,
    /// The trace that the handler logs in.
    pub(crate) trace: Option<String>,
}

/// A service whose behaviour is named by the request: `model` of Generate and GenerateStream.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Inner>);

struct Inner {
    begun: watch::Sender<usize>,
    /// How many handlers and streams there are now.
    alive: watch::Sender<usize>,
    gate: Semaphore,
    seen: Mutex<Vec<Seen>>,
}

/// Counts a handler, or its stream, as alive.
struct Alive(Arc<Inner>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.send_modify(|alive| *alive -= 1);
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self(Arc::new(Inner {
            begun: watch::Sender::new(0),
            alive: watch::Sender::new(0),
            gate: Semaphore::new(0),
            seen: Mutex::default(),
        }))
    }
}

impl Fake {
    /// Waits until so many calls have begun.
    pub(crate) async fn has_begun(&self, calls: usize) {
        wait_for(&self.0.begun, |begun| *begun >= calls).await;
    }

    /// Waits until so many handlers and streams are there.
    pub(crate) async fn has_alive(&self, calls: usize) {
        wait_for(&self.0.alive, |alive| *alive == calls).await;
    }

    pub(crate) fn begun(&self) -> usize {
        *self.0.begun.borrow()
    }

    /// Lets so many calls that wait go on.
    pub(crate) fn release(&self, calls: usize) {
        self.0.gate.add_permits(calls);
    }

    pub(crate) fn last_seen(&self) -> Seen {
        self.0
            .seen
            .lock()
            .expect("no handler panics with it")
            .last()
            .expect("a call")
            .clone()
    }

    fn enter<T>(&self, request: &Request<T>) -> Result<Alive, Status> {
        let ctx = CallContext::of(request)?;
        let headers = request.metadata().as_ref().clone();
        let trace = causeway_telemetry::trace_id(&tracing::Span::current());
        self.0
            .seen
            .lock()
            .expect("no handler panics with it")
            .push(Seen { ctx, headers, trace });
        self.0.alive.send_modify(|alive| *alive += 1);
        self.0.begun.send_modify(|begun| *begun += 1);
        Ok(Alive(Arc::clone(&self.0)))
    }

    async fn behave(&self, word: &str) -> Result<(), Status> {
        match word {
            "echo" => Ok(()),
            "violations" => Err(violations().into()),
            "retry" => Err(ApiError::unavailable("PROVIDER_BUSY").into()),
            "plain" => Err(Status::failed_precondition("the password is 1234")),
            "panic" => panic!("the password is 1234"),
            "wait" => {
                self.0.gate.acquire().await.expect("open").forget();
                Ok(())
            }
            "hang" => std::future::pending().await,
            other => Err(ApiError::not_found("NO_SUCH_WORD", other.to_owned()).into()),
        }
    }
}

async fn wait_for<T>(watched: &watch::Sender<T>, holds: impl FnMut(&T) -> bool) {
    let mut receiver = watched.subscribe();
    tokio::time::timeout(PATIENCE, receiver.wait_for(holds))
        .await
        .expect("in time")
        .expect("the fake lives");
}

pub(crate) fn violations() -> ApiError {
    ApiError::violations(["messages[0].role", "top_p"].map(|field| Violation {
        field: field.to_owned(),
        description: "is wrong".to_owned(),
    }))
}

type Pieces = Pin<Box<dyn Stream<Item = Result<GenerateStreamResponse, Status>> + Send>>;

fn piece(delta: &str) -> Result<GenerateStreamResponse, Status> {
    Ok(GenerateStreamResponse {
        delta: delta.to_owned(),
        ..GenerateStreamResponse::default()
    })
}

#[tonic::async_trait]
impl LlmService for Fake {
    type GenerateStreamStream = Pieces;

    async fn generate(
        &self,
        request: Request<GenerateRequest>,
    ) -> Result<Response<GenerateResponse>, Status> {
        let _alive = self.enter(&request)?;
        let ctx = CallContext::of(&request)?;
        self.behave(&request.get_ref().model).await?;
        Ok(Response::new(GenerateResponse {
            id: ctx.request_id.to_string(),
            model: request.into_inner().model,
            provider: ctx.caller.kind.as_str().to_owned(),
            content: ctx.caller.id,
            ..GenerateResponse::default()
        }))
    }

    async fn generate_stream(
        &self,
        request: Request<GenerateStreamRequest>,
    ) -> Result<Response<Pieces>, Status> {
        let alive = self.enter(&request)?;
        let word = request.into_inner().request.unwrap_or_default().model;
        let pieces: Pieces = match word.as_str() {
            "three" => Box::pin(stream::iter(["a", "b", "c"].map(piece))),
            "broken" => Box::pin(stream::iter([piece("a"), Err(violations().into())])),
            "panic" => Box::pin(stream::iter([piece("a")]).chain(stream::once(async {
                // What is ready at once is sent together: the first piece goes out before the panic.
                tokio::task::yield_now().await;
                panic!("the password is 1234")
            }))),
            "hang" => Box::pin(stream::iter([piece("a")]).chain(stream::pending())),
            "busy" => Box::pin(stream::repeat_with(|| piece(&"a".repeat(4096)))),
            other => {
                self.behave(other).await?;
                Box::pin(stream::empty())
            }
        };
        // The stream is alive for as long as its handler's state is.
        let pieces = pieces.map(move |piece| {
            let _ = &alive;
            piece
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let _alive = self.enter(&request)?;
        Ok(Response::new(ListModelsResponse {
            object: "list".to_owned(),
            data: vec![Model::default()],
        }))
    }

    /// Is never able to.
    async fn list_providers(
        &self,
        request: Request<ListProvidersRequest>,
    ) -> Result<Response<ListProvidersResponse>, Status> {
        let _alive = self.enter(&request)?;
        Err(ApiError::unavailable("STORE_UNAVAILABLE").into())
    }
}

pub(crate) fn identity(name: &'static str, root: &str) -> ServiceIdentity {
    let (root, previous) = (SecretString::from(root), SecretString::from(PREVIOUS_ROOT));
    ServiceIdentity::new(name, Arc::new(ServiceTokenKeys::new(&root, Some(&previous))))
}

pub(crate) fn options() -> GuardOptions {
    GuardOptions {
        identity: identity("llm", ROOT),
        secrets: [ROOT, PREVIOUS_ROOT].map(SecretString::from).into(),
        open_reflection: false,
        max_in_flight: 64,
    }
}

pub(crate) fn guard(fake: &Fake, options: GuardOptions) -> Guard {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
        .build_v1()
        .expect("reflection");
    Guard::new(
        Routes::new(LlmServiceServer::new(fake.clone())).add_service(reflection),
        options,
    )
}

/// A listener with the service behind it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(fake: &Fake) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), guard(fake, options())).await
    }

    pub(crate) async fn at(address: SocketAddr, guard: Guard) -> Self {
        let listener = Listener::bind(address).await.expect("a free port");
        let (address, stop) = (listener.address(), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "the test owns the handle")]
        let task = tokio::spawn(listener.serve(guard, stop.clone()));
        Self { address, stop, task }
    }

    /// A channel to it, without the layers of a caller.
    pub(crate) fn channel(&self) -> MeshChannel {
        far(self.uri(), &self.stop)
    }

    pub(crate) fn uri(&self) -> http::Uri {
        format!("http://{}", self.address).parse().expect("a URI")
    }

    /// Stops it and waits for its end.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it drains")
            .expect("it does not panic");
    }
}

/// The way of the service `gateway` to the llm service over `channel`.
pub(crate) fn client(channel: MeshChannel) -> Client {
    let mesh = Mesh::new(identity("gateway", ROOT));
    mesh.link("llm", channel);
    LlmServiceClient::new(mesh.to("llm"))
}

/// The same service twice: in this process, and behind a socket.
pub(crate) struct Sides {
    pub(crate) fake: Fake,
    pub(crate) clients: [(&'static str, Client); 2],
    pub(crate) channels: [(&'static str, MeshChannel); 2],
    pub(crate) server: Server,
}

impl Sides {
    pub(crate) async fn start() -> Self {
        Self::with(options).await
    }

    pub(crate) async fn with(options: impl Fn() -> GuardOptions) -> Self {
        let fake = Fake::default();
        let server = Server::at(SocketAddr::from(([127, 0, 0, 1], 0)), guard(&fake, options())).await;
        let channels = [("near", near(guard(&fake, options()))), ("far", server.channel())];
        let clients = channels.clone().map(|(side, channel)| (side, client(channel)));
        Self {
            fake,
            clients,
            channels,
            server,
        }
    }
}

pub(crate) fn say(word: &str) -> GenerateRequest {
    GenerateRequest {
        model: word.to_owned(),
        ..GenerateRequest::default()
    }
}

pub(crate) fn say_in_pieces(word: &str) -> GenerateStreamRequest {
    GenerateStreamRequest {
        request: Some(say(word)),
    }
}

/// A call of a person, at the door.
pub(crate) fn person(role: Role) -> CallContext {
    let caller = Caller::person(
        CallerKind::User,
        UserId::generate(),
        WorkspaceId::generate(),
        &[role],
        &[],
        "session".to_owned(),
    );
    let method = method(GENERATE).expect("an RPC");
    CallContext::new(caller, method, RequestId::generate(), DateTime::UNIX_EPOCH)
}

/// A request of an editor, who may use the whole service.
pub(crate) fn by_editor<T>(message: T) -> Request<T> {
    on_behalf(&person(Role::Editor), message)
}

/// The error of an answer, but for its id, which is another one each time.
pub(crate) fn error_of<T: std::fmt::Debug>(
    answer: Result<T, Status>,
) -> (Code, String, String, Vec<Violation>) {
    let error = ApiError::from(answer.expect_err("an error"));
    (
        error.code,
        error.reason.into_owned(),
        error.message.into_owned(),
        error.violations,
    )
}

/// All pieces of a stream, and how it ended.
pub(crate) async fn pieces(
    mut client: Client,
    request: Request<GenerateStreamRequest>,
) -> (Vec<String>, Result<(), Status>) {
    let mut deltas = Vec::new();
    let mut stream = match client.generate_stream(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return (deltas, Err(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(piece)) => deltas.push(piece.delta),
            Ok(None) => return (deltas, Ok(())),
            Err(status) => return (deltas, Err(status)),
        }
    }
}
