//! OpenAI's chat completions, and everything that speaks the same: Ollama, LM Studio, gateways, vLLM.

use async_trait::async_trait;
use causeway_egress::Egress;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::http::{ReadEvent, Target, sensitive};
use super::sse::Event;
use super::{Completion, ModelCall, Piece, Pieces, Provider};
use crate::domain::{Finish, Turn, Usage};
use crate::error::{ErrorClass, ProviderError};

/// Where OpenAI itself answers.
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// A provider that speaks chat completions.
pub(crate) struct OpenAi {
    target: Target,
}

impl OpenAi {
    /// A provider called `name` at `base_url`; a base without a path gets `/v1`. `key` is left out where none is needed.
    pub(crate) fn new(
        name: &'static str,
        base_url: &str,
        key: Option<&SecretString>,
        egress: Egress,
    ) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(value) = key.and_then(|key| sensitive(&format!("Bearer {}", key.expose_secret()))) {
            headers.insert(AUTHORIZATION, value);
        }
        let url = format!("{}/chat/completions", with_version(base_url));
        Self {
            target: Target {
                provider: name,
                url,
                headers,
                egress,
            },
        }
    }
}

fn with_version(base_url: &str) -> String {
    let base = base_url.trim_end_matches('/');
    let has_path = base.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if has_path {
        base.to_owned()
    } else {
        format!("{base}/v1")
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        self.target.provider
    }

    async fn generate(&self, call: &ModelCall) -> Result<Completion, ProviderError> {
        let answer: Answer = self.target.ask(&Ask::new(call, false), call.timeout).await?;
        let Some(choice) = answer.choices.into_iter().next() else {
            return Err(self.target.malformed("answered without a choice"));
        };
        Ok(Completion {
            model: answer
                .model
                .filter(|model| !model.is_empty())
                .unwrap_or_else(|| call.model.clone()),
            content: choice
                .message
                .and_then(|message| message.content)
                .unwrap_or_default(),
            finish: choice.finish_reason.as_deref().map_or(Finish::Stop, finish),
            usage: answer.usage.map(Into::into),
        })
    }

    async fn stream(&self, call: &ModelCall) -> Result<Pieces, ProviderError> {
        let read = Chunks {
            provider: self.target.provider,
            finish: None,
            usage: None,
        };
        self.target
            .ask_for_stream(&Ask::new(call, true), call.timeout, read)
            .await
    }
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: Vec<AskMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct AskMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Ask<'a> {
    fn new(call: &'a ModelCall, stream: bool) -> Self {
        let reasons = is_reasoning_model(&call.model);
        Self {
            model: &call.model,
            messages: call.turns.iter().map(AskMessage::from).collect(),
            max_tokens: (!reasons).then_some(call.max_tokens),
            max_completion_tokens: reasons.then_some(call.max_tokens),
            temperature: call.temperature.filter(|_| !reasons),
            top_p: call.top_p.filter(|_| !reasons),
            stop: &call.stop,
            stream: stream.then_some(true),
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

impl<'a> From<&'a Turn> for AskMessage<'a> {
    fn from(turn: &'a Turn) -> Self {
        Self {
            role: turn.role.as_str(),
            content: &turn.content,
        }
    }
}

/// The o-series and GPT-5 refuse `max_tokens` and any sampling parameter.
fn is_reasoning_model(model: &str) -> bool {
    ["o1", "o3", "o4", "gpt-5"].iter().any(|family| {
        model
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    })
}

#[derive(Deserialize)]
struct Answer {
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Said>,
    delta: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Deserialize)]
struct AnswerUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl From<AnswerUsage> for Usage {
    fn from(usage: AnswerUsage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
            estimated: false,
        }
    }
}

fn finish(word: &str) -> Finish {
    match word {
        "length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        // `stop`, and the reasons of features that are never asked for.
        _ => Finish::Stop,
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<AnswerUsage>,
    error: Option<serde_json::Value>,
}

/// The answer is complete when a finish reason was read; the stream is when `[DONE]` was. The usage comes between.
struct Chunks {
    provider: &'static str,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl ReadEvent for Chunks {
    fn read(&mut self, event: &Event) -> Result<Option<Piece>, ProviderError> {
        let malformed = |what| ProviderError::new(self.provider, ErrorClass::Malformed, what);
        if event.data == "[DONE]" {
            let finish = self
                .finish
                .ok_or_else(|| malformed("ended the stream without a finish reason"))?;
            return Ok(Some(Piece::End {
                finish,
                usage: self.usage,
            }));
        }
        let chunk: Chunk =
            serde_json::from_str(&event.data).map_err(|_| malformed("sent a chunk that is no JSON"))?;
        if let Some(error) = chunk.error {
            return Err(ProviderError::in_stream(self.provider, class_of(&error)));
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(None);
        };
        if let Some(word) = choice.finish_reason.as_deref() {
            self.finish = Some(finish(word));
        }
        let text = choice
            .delta
            .and_then(|delta| delta.content)
            .filter(|text| !text.is_empty());
        Ok(text.map(Piece::Text))
    }
}

/// Servers that imitate the API also send a bare text, or a number as the code.
fn class_of(error: &serde_json::Value) -> ErrorClass {
    match error["type"].as_str().or(error["code"].as_str()) {
        Some("rate_limit_error" | "rate_limit_exceeded" | "tokens" | "requests") => ErrorClass::RateLimited,
        Some("authentication_error" | "permission_error") => ErrorClass::Auth,
        Some("invalid_request_error") => ErrorClass::InvalidRequest,
        Some(_) | None => ErrorClass::Server,
    }
}

#[cfg(test)]
mod tests;
