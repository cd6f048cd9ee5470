//! Anthropic's messages.

use async_trait::async_trait;
use causeway_egress::Egress;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::http::{ReadEvent, Target, sensitive};
use super::sse::Event;
use super::{Completion, ModelCall, Piece, Pieces, Provider};
use crate::domain::{Finish, Role, Usage};
use crate::error::{ErrorClass, ProviderError};

/// The name of the provider.
pub(crate) const ANTHROPIC: &str = "anthropic";
/// Where Anthropic itself answers.
pub(crate) const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";
const VERSION: &str = "2023-06-01";
/// Their temperature ends where ours is in the middle.
const MAX_TEMPERATURE: f64 = 1.0;

/// Claude.
pub(crate) struct Anthropic {
    target: Target,
}

impl Anthropic {
    /// The provider at `base_url`, which may or may not end with `/v1`: both are in use.
    pub(crate) fn new(base_url: &str, key: &SecretString, egress: Egress) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::from_static("anthropic-version"),
            HeaderValue::from_static(VERSION),
        );
        if let Some(value) = sensitive(key.expose_secret()) {
            headers.insert(HeaderName::from_static("x-api-key"), value);
        }
        let base = base_url.trim_end_matches('/').trim_end_matches("/v1");
        Self {
            target: Target {
                provider: ANTHROPIC,
                url: format!("{base}/v1/messages"),
                headers,
                egress,
            },
        }
    }

    fn ask<'a>(&self, call: &'a ModelCall, stream: bool) -> Result<Ask<'a>, ProviderError> {
        let turns = call.turns.iter().filter(|turn| turn.role != Role::System);
        let messages: Vec<_> = turns
            .map(|turn| AskMessage {
                role: turn.role.as_str(),
                content: &turn.content,
            })
            .collect();
        if messages.is_empty() {
            let what = "needs a message that is not of the system";
            return Err(ProviderError::new(ANTHROPIC, ErrorClass::InvalidRequest, what));
        }
        let system = call.turns.iter().filter(|turn| turn.role == Role::System);
        let system: Vec<&str> = system.map(|turn| turn.content.as_str()).collect();
        Ok(Ask {
            model: &call.model,
            max_tokens: call.max_tokens,
            system: (!system.is_empty()).then(|| system.join("\n\n")),
            messages,
            temperature: call
                .temperature
                .map(|temperature| temperature.min(MAX_TEMPERATURE)),
            top_p: call.top_p,
            stop_sequences: &call.stop,
            stream: stream.then_some(true),
        })
    }
}

#[async_trait]
impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        ANTHROPIC
    }

    async fn generate(&self, call: &ModelCall) -> Result<Completion, ProviderError> {
        let answer: Answer = self.target.ask(&self.ask(call, false)?, call.timeout).await?;
        Ok(Completion {
            model: answer
                .model
                .filter(|model| !model.is_empty())
                .unwrap_or_else(|| call.model.clone()),
            content: answer
                .content
                .into_iter()
                .filter_map(|block| block.text)
                .collect(),
            finish: answer.stop_reason.as_deref().map_or(Finish::Stop, finish),
            usage: answer.usage.map(|usage| Usage {
                input_tokens: usage.read(),
                output_tokens: usage.output_tokens.unwrap_or_default(),
                estimated: false,
            }),
        })
    }

    async fn stream(&self, call: &ModelCall) -> Result<Pieces, ProviderError> {
        self.target
            .ask_for_stream(&self.ask(call, true)?, call.timeout, Events::default())
            .await
    }
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    messages: Vec<AskMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct AskMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    model: Option<String>,
    content: Vec<Block>,
    stop_reason: Option<String>,
    usage: Option<AnswerUsage>,
}

/// Only blocks of text have `text`.
#[derive(Deserialize)]
struct Block {
    text: Option<String>,
}

/// In a stream the numbers come in several events, and each is the sum so far.
#[derive(Deserialize, Default)]
struct AnswerUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl AnswerUsage {
    fn read(&self) -> u64 {
        [
            self.input_tokens,
            self.cache_creation_input_tokens,
            self.cache_read_input_tokens,
        ]
        .into_iter()
        .flatten()
        .sum()
    }
}

fn finish(word: &str) -> Finish {
    match word {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        // `end_turn`, `stop_sequence`, and the reasons of features that are never asked for.
        _ => Finish::Stop,
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    MessageStart {
        message: Start,
    },
    ContentBlockDelta {
        delta: Block,
    },
    MessageDelta {
        delta: Ending,
        usage: Option<AnswerUsage>,
    },
    MessageStop,
    Error {
        error: Problem,
    },
    /// `ping`, the borders of blocks, and what comes with later versions.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    usage: Option<AnswerUsage>,
}

#[derive(Deserialize)]
struct Ending {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default)]
struct Events {
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl ReadEvent for Events {
    fn read(&mut self, event: &Event) -> Result<Option<Piece>, ProviderError> {
        let malformed = |what| ProviderError::new(ANTHROPIC, ErrorClass::Malformed, what);
        let said =
            serde_json::from_str(&event.data).map_err(|_| malformed("sent an event that is no JSON"))?;
        match said {
            Said::MessageStart { message } => self.count(message.usage),
            Said::ContentBlockDelta { delta } => {
                return Ok(delta.text.filter(|text| !text.is_empty()).map(Piece::Text));
            }
            Said::MessageDelta { delta, usage } => {
                self.finish = delta.stop_reason.as_deref().map(finish).or(self.finish);
                self.count(usage);
            }
            Said::MessageStop => {
                let finish = self
                    .finish
                    .ok_or_else(|| malformed("ended the stream without a stop reason"))?;
                return Ok(Some(Piece::End {
                    finish,
                    usage: self.usage,
                }));
            }
            Said::Error { error } => return Err(ProviderError::in_stream(ANTHROPIC, class_of(&error.kind))),
            Said::Other => {}
        }
        Ok(None)
    }
}

impl Events {
    fn count(&mut self, said: Option<AnswerUsage>) {
        let Some(said) = said else { return };
        let usage = self.usage.get_or_insert_default();
        usage.input_tokens = usage.input_tokens.max(said.read());
        usage.output_tokens = usage.output_tokens.max(said.output_tokens.unwrap_or_default());
    }
}

fn class_of(kind: &str) -> ErrorClass {
    match kind {
        "rate_limit_error" => ErrorClass::RateLimited,
        "authentication_error" | "permission_error" | "billing_error" => ErrorClass::Auth,
        "not_found_error" => ErrorClass::UnknownModel,
        "invalid_request_error" | "request_too_large" => ErrorClass::InvalidRequest,
        "timeout_error" => ErrorClass::Timeout,
        // `api_error`, `overloaded_error`, and what comes with later versions.
        _ => ErrorClass::Server,
    }
}

#[cfg(test)]
mod tests;
