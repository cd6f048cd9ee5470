//! A small JSON client for the story.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use causeway_egress::{Egress, EgressOptions};
use http::{Request, StatusCode, header};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: usize = 16 << 20;

/// Speaks to one gateway, with or without a credential.
#[derive(Clone)]
pub(super) struct Client {
    egress: Egress,
    base: String,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(base: &str) -> Self {
        Self {
            egress: Egress::new(EgressOptions::default()),
            base: base.to_owned(),
            token: None,
        }
    }

    /// The same client with a credential.
    pub(super) fn with(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// A call that must succeed.
    pub(super) async fn call(&self, verb: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, text) = self.text(verb, path, body).await?;
        if !status.is_success() {
            bail!("{verb} {path} answered {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{verb} {path} answered no JSON"))
    }

    /// The status of a call.
    pub(super) async fn status(&self, verb: &str, path: &str) -> anyhow::Result<StatusCode> {
        Ok(self.text(verb, path, None).await?.0)
    }

    /// Any call, with its answer as text.
    pub(super) async fn text(
        &self,
        verb: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = Request::builder()
            .method(verb)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(json.to_string())
            }
            None => Bytes::new(),
        };
        let response = self
            .egress
            .send(request.body(bytes)?, PATIENCE)
            .await
            .context("call the gateway")?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect(LIMIT)
            .await
            .context("read the answer")?;
        Ok((
            status,
            String::from_utf8(bytes.to_vec()).context("read the answer")?,
        ))
    }
}
