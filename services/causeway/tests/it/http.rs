//! An HTTP client that hides nothing.

use std::time::Duration;

use bytes::Bytes;
use causeway_egress::{Egress, EgressOptions};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;

/// Speaks to one gateway.
#[derive(Clone)]
pub(crate) struct Client {
    egress: Egress,
    base: String,
    headers: Vec<(String, String)>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            egress: Egress::new(EgressOptions::default()),
            base: base.to_owned(),
            headers: Vec::new(),
        }
    }

    /// The same client with one more header.
    pub(crate) fn header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// The same client with that credential.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(name, _)| name != "authorization");
        client.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &body.to_string(), Some("application/json"))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, &body.to_string(), Some("application/json"))
            .await
    }

    /// Any request, with its answer read whole.
    pub(crate) async fn send(&self, verb: &str, path: &str, body: &str, kind: Option<&str>) -> Answer {
        self.try_send(verb, path, body, kind)
            .await
            .unwrap_or_else(|error| panic!("{verb} {path}: {error:?}"))
    }

    /// Any request, if it was answered.
    pub(crate) async fn try_send(
        &self,
        verb: &str,
        path: &str,
        body: &str,
        kind: Option<&str>,
    ) -> Result<Answer, causeway_egress::EgressError> {
        let mut request = Request::builder()
            .method(verb)
            .uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Bytes::from(body.to_owned())).expect("a request");
        let response = self.egress.send(request, Duration::from_secs(30)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect(64 << 20).await?;
        Ok(Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Answer {
    /// The body as JSON, of an answer with that status.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The stable reason of an error with that status.
    #[track_caller]
    pub(crate) fn reason(&self, status: u16) -> String {
        let json = self.json(status);
        json["reason"]
            .as_str()
            .or_else(|| json["error"]["code"].as_str())
            .unwrap_or_default()
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}
