//! Use cases: answer a conversation, whole or piece by piece.

use std::sync::Arc;
use std::time::Duration;

use causeway_context::CallContext;
use causeway_errors::ApiError;
use causeway_outbox::{MemoryOutbox, OutboxEvent, RelayHandle};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use uuid::Uuid;

use crate::attempts;
use crate::audit::Entry;
use crate::config::{Config, Group};
use crate::domain::{Conversation, Finish, Usage};
use crate::error::{LlmError, ProviderError};
use crate::overrides::Overrides;
use crate::provider::{ModelCall, Piece, Pieces, Provider as _};
use crate::selection::{Choice, Selection};

/// What is known of an answer when it begins.
#[derive(Debug, Clone)]
pub(crate) struct Heading {
    /// The id of the answer.
    pub id: Uuid,
    /// The model that answers.
    pub model: String,
    /// The provider that answers.
    pub provider: &'static str,
    /// How many attempts it took.
    pub attempts: u32,
    /// Seconds since 1970.
    pub created: i64,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Who answered.
    pub heading: Heading,
    /// The text.
    pub content: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost.
    pub usage: Usage,
}

/// A part of a streamed answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// The next part of the text.
    Text(String),
    /// The end; the fact is on its way to the audit log.
    End(Finish, Usage),
}

/// The parts of an answer. An error is its last item; dropping it gives the call up.
pub(crate) type Parts = BoxStream<'static, Result<Part, ApiError>>;

/// The router over model providers.
pub(crate) struct Llm {
    selection: Arc<Selection>,
    tenants: Overrides,
    outbox: MemoryOutbox,
    relay: RelayHandle,
    max_tokens: u32,
    temperature: f64,
    timeout: Duration,
}

impl Llm {
    /// A router over the providers of `selection`, and over those that workspaces chose.
    pub(crate) fn new(
        config: &Config,
        selection: Selection,
        tenants: Overrides,
        outbox: MemoryOutbox,
        relay: RelayHandle,
    ) -> Self {
        let Config {
            max_tokens,
            temperature,
            timeout,
            ..
        } = *config;
        Self {
            selection: Arc::new(selection),
            tenants,
            outbox,
            relay,
            max_tokens,
            temperature,
            timeout,
        }
    }

    /// The providers of the workspace of the call and their order: its own one, else those of the process. The switch for
    /// the mock wins over both (C-11).
    ///
    /// # Errors
    /// Why it cannot be said what the workspace chose.
    pub(crate) async fn selection(&self, ctx: &CallContext) -> Result<Arc<Selection>, ApiError> {
        if self.selection.group() == Group::Mock {
            return Ok(Arc::clone(&self.selection));
        }
        let own = self.tenants.find(ctx).await?;
        Ok(own.unwrap_or_else(|| Arc::clone(&self.selection)))
    }

    /// Answers a conversation before `deadline`.
    ///
    /// # Errors
    /// `PROVIDER_UNAVAILABLE` when nobody may answer, otherwise the class of the provider's last failure.
    #[tracing::instrument(skip_all, fields(provider, model))]
    pub(crate) async fn generate(
        &self,
        ctx: &CallContext,
        model: &str,
        conversation: Conversation,
        deadline: Instant,
    ) -> Result<Answer, ApiError> {
        let (choice, call, mut entry) = self.begin(ctx, model, conversation, false).await?;
        let attempts = entry.attempts().clone();
        match attempts::generate(&*choice.provider, &call, deadline, &attempts).await {
            Ok(completion) => {
                entry.heard(&completion.content);
                let usage = entry.usage(completion.usage);
                self.delivered(entry.answered(usage)).await;
                let choice = Choice {
                    model: completion.model,
                    ..choice
                };
                let heading = heading(ctx, &choice, attempts.made());
                Ok(Answer {
                    heading,
                    content: completion.content,
                    finish: completion.finish,
                    usage,
                })
            }
            Err(error) => Err(self.fail(entry, &error).await),
        }
    }

    /// Begins to answer a conversation piece by piece; the first piece is there when this returns.
    ///
    /// # Errors
    /// Those of [`Llm::generate`], as long as there was no piece.
    #[tracing::instrument(skip_all, fields(provider, model))]
    pub(crate) async fn stream(
        &self,
        ctx: &CallContext,
        model: &str,
        conversation: Conversation,
        deadline: Instant,
    ) -> Result<(Heading, Parts), ApiError> {
        let (choice, call, entry) = self.begin(ctx, model, conversation, true).await?;
        let attempts = entry.attempts().clone();
        match attempts::stream(&*choice.provider, &call, deadline, &attempts).await {
            Ok((first, rest)) => {
                let heading = heading(ctx, &choice, attempts.made());
                let pieces = stream::once(async { Ok(first) }).chain(rest).boxed();
                let provider = choice.provider.name();
                let answering = Answering {
                    pieces,
                    entry: Some(entry),
                    relay: self.relay.clone(),
                    provider,
                };
                Ok((heading, stream::unfold(answering, Answering::next).boxed()))
            }
            Err(error) => Err(self.fail(entry, &error).await),
        }
    }

    async fn begin(
        &self,
        ctx: &CallContext,
        model: &str,
        conversation: Conversation,
        is_stream: bool,
    ) -> Result<(Choice, ModelCall, Entry), ApiError> {
        ctx.workspace()?;
        let event = OutboxEvent::of(ctx)?;
        let turns: Arc<[_]> = conversation.turns.into();
        let entry = |who| Entry::begin(self.outbox.clone(), event, who, is_stream, Arc::clone(&turns));
        let chosen = self.selection(ctx).await.map_err(LlmError::Undecided);
        let choice = match chosen.and_then(|selection| selection.choose(model)) {
            Ok(choice) => choice,
            Err(error) => return Err(self.fail(entry((error.provider(), model)), &error).await),
        };
        let span = tracing::Span::current();
        span.record("provider", choice.provider.name());
        span.record("model", choice.model.as_str());
        let entry = entry((choice.provider.name(), &choice.model));
        let call = ModelCall {
            model: choice.model.clone(),
            turns,
            // The setting is a cap as well as a default (B-LLM-9).
            max_tokens: conversation
                .max_tokens
                .map_or(self.max_tokens, |tokens| tokens.min(self.max_tokens)),
            temperature: conversation
                .temperature
                .or_else(|| conversation.top_p.is_none().then_some(self.temperature)),
            top_p: conversation.top_p,
            stop: conversation.stop,
            timeout: self.timeout,
        };
        Ok((choice, call, entry))
    }

    async fn fail(&self, entry: Entry, error: &LlmError) -> ApiError {
        self.delivered(entry.failed(error)).await;
        let api = error.to_api();
        causeway_telemetry::report(error, api.error_id, "ask a model provider");
        api
    }

    /// Waits, bounded, until the log has the fact; the answer does not depend on it.
    async fn delivered(&self, event: Option<Uuid>) {
        if let Some(event) = event {
            self.relay.delivered(event).await;
        }
    }
}

fn heading(ctx: &CallContext, choice: &Choice, attempts: u32) -> Heading {
    Heading {
        id: Uuid::now_v7(),
        model: choice.model.clone(),
        provider: choice.provider.name(),
        attempts,
        created: ctx.now.timestamp(),
    }
}

/// A stream that is being answered; dropped early, its entry says so.
struct Answering {
    pieces: Pieces,
    entry: Option<Entry>,
    relay: RelayHandle,
    provider: &'static str,
}

impl Answering {
    async fn next(mut self) -> Option<(Result<Part, ApiError>, Self)> {
        self.entry.as_ref()?;
        let piece = self
            .pieces
            .next()
            .await
            .unwrap_or_else(|| Err(attempts::broken(self.provider)));
        let part = match piece {
            Ok(Piece::Text(text)) => {
                if let Some(entry) = &mut self.entry {
                    entry.heard(&text);
                }
                Ok(Part::Text(text))
            }
            Ok(Piece::End { finish, usage }) => self.end(finish, usage).await,
            Err(error) => Err(self.break_off(error).await),
        };
        Some((part, self))
    }

    async fn end(&mut self, finish: Finish, usage: Option<Usage>) -> Result<Part, ApiError> {
        let entry = self.entry.take().ok_or_else(ApiError::internal)?;
        let usage = entry.usage(usage);
        if let Some(event) = entry.answered(usage) {
            self.relay.delivered(event).await;
        }
        Ok(Part::End(finish, usage))
    }

    async fn break_off(&mut self, error: ProviderError) -> ApiError {
        if let Some(event) = self.entry.take().and_then(|entry| entry.broke(error.class)) {
            self.relay.delivered(event).await;
        }
        let error = LlmError::Failed {
            attempts: 1,
            last: error,
        };
        let api = error.to_api();
        causeway_telemetry::report(&error, api.error_id, "read the stream of a model provider");
        api
    }
}
