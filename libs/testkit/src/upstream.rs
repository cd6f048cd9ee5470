//! An OpenAI-compatible server that answers as it is told.

mod answer;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Method, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub use answer::Answer;
use answer::End;

/// A request that the server saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST`, mostly.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Seen {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The text of a header; empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    otherwise: Option<Answer>,
    seen: Vec<Seen>,
    abandoned: usize,
}

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<Script>>,
    changed: Arc<Notify>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server. Listens on a free port of 127.0.0.1 as long as the value lives.
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Shared,
    _server: JoinSet<()>,
}

impl ScriptedUpstream {
    /// Starts a server without any answer.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (address, shared) = (listener.local_addr().expect("bound"), Shared::default());
        let listener = listener.tap_io(|io| {
            // A stream's pieces leave one by one.
            let _ = io.set_nodelay(true);
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            shared,
            _server: server,
        }
    }

    /// What goes into `OPENAI_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Answers the next request that has no answer yet with this.
    pub fn then(&self, answer: Answer) -> &Self {
        self.shared.lock().answers.push_back(answer);
        self
    }

    /// Answers every request with this for which nothing else is left. Without it such a request gets 500.
    pub fn otherwise(&self, answer: Answer) -> &Self {
        self.shared.lock().otherwise = Some(answer);
        self
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// Waits for so many requests.
    ///
    /// # Panics
    /// When they do not come within ten seconds.
    pub async fn wait_for(&self, requests: usize) -> Vec<Seen> {
        self.wait_until("requests", |script| script.seen.len() >= requests)
            .await;
        self.seen()
    }

    /// Waits until so many clients went away before the end of their answers.
    ///
    /// # Panics
    /// When they do not within ten seconds.
    pub async fn wait_for_abandoned(&self, clients: usize) {
        self.wait_until("clients that go away", |script| script.abandoned >= clients)
            .await;
    }

    async fn wait_until(&self, what: &str, reached: impl Fn(&Script) -> bool) {
        let wait = async {
            loop {
                // Registered before the look, so that no change falls between.
                let changed = self.shared.changed.notified();
                if reached(&self.shared.lock()) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), wait).await.is_err() {
            panic!("no such number of {what} in ten seconds");
        }
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    // A body that breaks off is seen as empty.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let answer = {
        let mut script = shared.lock();
        script.seen.push(Seen {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
        });
        script.answers.pop_front().or_else(|| script.otherwise.clone())
    };
    shared.changed.notify_waiters();
    let answer = answer.unwrap_or_else(|| Answer::error(500, "no answer is scripted"));
    let watch = Watch {
        shared,
        complete: false,
    };
    if answer.delay == Duration::MAX {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::new(body_of(answer.chunks, answer.pause, answer.end, watch));
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    Ok(response)
}

/// Counts a client that went away before the end.
struct Watch {
    shared: Shared,
    complete: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.complete {
            self.shared.lock().abandoned += 1;
            self.shared.changed.notify_waiters();
        }
    }
}

fn body_of(chunks: Vec<Bytes>, pause: Duration, end: End, watch: Watch) -> Body {
    let state = (chunks.into_iter(), true, watch);
    Body::from_stream(stream::unfold(Some(state), move |state| async move {
        let (mut chunks, first, mut watch) = state?;
        if !first {
            // hyper sends what it has when the body has nothing more for now: so pieces leave one by one, and those
            // before a cut arrive.
            tokio::task::yield_now().await;
        }
        match chunks.next() {
            Some(chunk) => {
                if !first && !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Some((Ok(chunk), Some((chunks, false, watch))))
            }
            None if end == End::Hang => std::future::pending().await,
            None => {
                watch.complete = true;
                (end == End::Cut).then(|| (Err(io::Error::other("cut as scripted")), None))
            }
        }
    }))
}

#[cfg(test)]
mod tests;
