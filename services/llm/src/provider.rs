//! What every provider of models can do. One file per provider with only what differs; whether to try again is a
//! property of the error, and nobody in here tries again.

pub(crate) mod anthropic;
pub(crate) mod http;
pub(crate) mod mock;
pub(crate) mod observed;
pub(crate) mod openai;
pub(crate) mod sse;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::{Finish, Turn, Usage};
use crate::error::ProviderError;

/// What a provider is asked.
#[derive(Clone)]
pub(crate) struct ModelCall {
    /// The provider's own name of the model.
    pub model: String,
    /// The conversation.
    pub turns: Arc<[Turn]>,
    /// The most tokens to make.
    pub max_tokens: u32,
    /// Absent where the caller steers by `top_p` alone: some models take one of them only.
    pub temperature: Option<f64>,
    /// The share of probability.
    pub top_p: Option<f64>,
    /// What ends the answer.
    pub stop: Vec<String>,
    /// How long this attempt may take; in a stream, how long the next piece may take.
    pub timeout: Duration,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The text.
    pub content: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost; absent where the provider does not say.
    pub usage: Option<Usage>,
}

/// A part of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The next part of the text.
    Text(String),
    /// The terminal marker of the provider was read: nothing comes after it. A stream without it is broken.
    End {
        /// Why the answer ended.
        finish: Finish,
        /// What it cost; absent where the provider does not say.
        usage: Option<Usage>,
    },
}

/// The pieces of an answer. Dropping it ends the exchange with the provider.
pub(crate) type Pieces = BoxStream<'static, Result<Piece, ProviderError>>;

/// A provider of models.
#[async_trait]
pub(crate) trait Provider: Send + Sync + 'static {
    /// Its name, such as `openai`.
    fn name(&self) -> &'static str;

    /// Answers a conversation.
    ///
    /// # Errors
    /// The failure of this one attempt.
    async fn generate(&self, call: &ModelCall) -> Result<Completion, ProviderError>;

    /// Begins to answer a conversation piece by piece.
    ///
    /// # Errors
    /// The failure of this one attempt, before any piece.
    async fn stream(&self, call: &ModelCall) -> Result<Pieces, ProviderError>;
}
