//! What is sent again, and what is not: only idempotent calls, and only when the other side did not take them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use causeway_contracts::llm::v1::{ListModelsRequest, ListProvidersRequest};
use causeway_errors::Code;
use causeway_mesh::{LinkError, MeshChannel, far, near};
use http::Request;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::service_fn;

use crate::fixture::{Client, Fake, Sides, by_editor, client, error_of, guard, options, say};

/// A channel that fails so many times before a call gets through, and how often it was asked.
fn failing(fake: &Fake, times: usize) -> (Client, Arc<AtomicUsize>) {
    let (asked, inner) = (Arc::new(AtomicUsize::new(0)), near(guard(fake, options())));
    let counter = Arc::clone(&asked);
    let channel = service_fn(move |request: Request<Body>| {
        let (mut inner, number) = (inner.clone(), counter.fetch_add(1, Ordering::Relaxed));
        async move {
            if number < times {
                return Err(LinkError::Resting);
            }
            tower::Service::call(&mut inner, request).await
        }
    });
    (client(MeshChannel::new(channel)), asked)
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_that_was_not_taken_is_sent_again() {
    let fake = Fake::default();
    let (mut client, asked) = failing(&fake, 2);
    let answer = client.list_models(by_editor(ListModelsRequest {})).await;
    assert_eq!(answer.expect("an answer").into_inner().object, "list");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_three_times_and_not_more() {
    let fake = Fake::default();
    let (mut client, asked) = failing(&fake, usize::MAX);
    let error = error_of(client.list_models(by_editor(ListModelsRequest {})).await);
    assert_eq!(
        (error.0, error.1.as_str()),
        (Code::Unavailable, "SERVICE_UNAVAILABLE")
    );
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_idempotent_is_sent_once() {
    let fake = Fake::default();
    let (mut client, asked) = failing(&fake, 1);
    let error = error_of(client.generate(by_editor(say("echo"))).await);
    assert_eq!(error.0, Code::Unavailable);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_the_service_itself_answers_is_not_sent_again() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let begun = sides.fake.begun();
        let error = error_of(client.list_providers(by_editor(ListProvidersRequest {})).await);
        assert_eq!(
            (error.0, error.1.as_str()),
            (Code::Unavailable, "STORE_UNAVAILABLE"),
            "{side}"
        );
        assert_eq!(sides.fake.begun(), begun + 1, "{side}");
    }
}

/// A server of our own making, and how many calls it was sent.
struct Raw {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Raw {
    async fn client(&self) -> Client {
        let uri = format!("http://{}", self.address).parse().expect("a URI");
        client(far(uri, &CancellationToken::new()))
    }

    async fn bind() -> (TcpListener, SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        (listener, address, Arc::default())
    }

    /// Takes each call and cuts the connection.
    async fn cutting() -> Self {
        let (listener, address, calls) = Self::bind().await;
        let (mut tasks, counter) = (JoinSet::new(), Arc::clone(&calls));
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).await.unwrap_or(0);
                counter.fetch_add(usize::from(read > 0), Ordering::Relaxed);
            }
        });
        Self {
            address,
            calls,
            _tasks: tasks,
        }
    }

    /// Speaks HTTP/2 and refuses each call as not taken.
    async fn refusing() -> Self {
        let (listener, address, calls) = Self::bind().await;
        let (mut tasks, counter) = (JoinSet::new(), Arc::clone(&calls));
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    counter.fetch_add(1, Ordering::Relaxed);
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                }
            }
        });
        Self {
            address,
            calls,
            _tasks: tasks,
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_taken_is_not_sent_again() {
    let server = Raw::cutting().await;
    let error = error_of(
        server
            .client()
            .await
            .list_models(by_editor(ListModelsRequest {}))
            .await,
    );
    assert_eq!(
        (error.0, error.1.as_str()),
        (Code::Unavailable, "SERVICE_UNAVAILABLE")
    );
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_refused_call_is_sent_again_if_it_is_idempotent() {
    let server = Raw::refusing().await;
    let mut client = server.client().await;
    assert_eq!(
        error_of(client.generate(by_editor(say("echo"))).await).0,
        Code::Unavailable
    );
    assert_eq!(server.calls(), 1);
    let server = Raw::refusing().await;
    let mut client = server.client().await;
    assert_eq!(
        error_of(client.list_models(by_editor(ListModelsRequest {})).await).0,
        Code::Unavailable
    );
    assert_eq!(server.calls(), 3);
}
