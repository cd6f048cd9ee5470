//! A provider's server for tests: answers what it was told, remembers what it was asked.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::domain::{Role, Turn};
use crate::provider::ModelCall;

#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    chunks: Vec<String>,
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Complete,
    Cut,
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self {
            status,
            headers,
            chunks: vec![body.to_string()],
            ending: Ending::Complete,
        }
    }

    pub(crate) fn events(chunks: &[&str]) -> Self {
        let headers = vec![("content-type", "text/event-stream; charset=utf-8".to_owned())];
        let chunks = chunks.iter().map(|chunk| (*chunk).to_owned()).collect();
        Self {
            status: 200,
            headers,
            chunks,
            ending: Ending::Complete,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Breaks the connection after the last chunk.
    pub(crate) fn cut(self) -> Self {
        Self {
            ending: Ending::Cut,
            ..self
        }
    }

    /// Sends nothing after the last chunk, and does not end.
    pub(crate) fn hang(self) -> Self {
        Self {
            ending: Ending::Hang,
            ..self
        }
    }

    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let ending = self.ending;
        let tail = stream::once(async move {
            match ending {
                Ending::Complete => None,
                Ending::Cut => Some(Err(std::io::Error::other("cut"))),
                Ending::Hang => std::future::pending().await,
            }
        });
        let pieces = stream::iter(self.chunks).then(|chunk| async {
            tokio::task::yield_now().await;
            Some(Ok(chunk))
        });
        response
            .body(Body::from_stream(
                pieces.chain(tail).filter_map(std::future::ready),
            ))
            .unwrap()
    }
}

/// What was asked.
pub(crate) struct Asked {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[derive(Clone, Default)]
struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    script: Script,
    _server: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let script = Script::default();
        script.replies.lock().unwrap().extend(replies);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(serve).with_state(script.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            script,
            _server: server,
        }
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }
}

async fn serve(State(script): State<Script>, request: Request) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    script.asked.lock().unwrap().push(Asked {
        uri: parts.uri,
        headers: parts.headers,
        body,
    });
    let reply = script.replies.lock().unwrap().pop_front();
    let reply = reply.unwrap_or_else(|| Reply::json(599, &Value::String("the script is over".to_owned())));
    Ok(reply.into_response())
}

/// A call with one question.
pub(crate) fn call(model: &str) -> ModelCall {
    ModelCall {
        model: model.to_owned(),
        turns: [(Role::System, "Be kind."), (Role::User, "Hello")]
            .map(|(role, content)| Turn {
                role,
                content: content.to_owned(),
            })
            .into(),
        max_tokens: 100,
        temperature: Some(0.2),
        top_p: None,
        stop: Vec::new(),
        timeout: Duration::from_secs(5),
    }
}
