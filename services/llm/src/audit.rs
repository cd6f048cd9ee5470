//! What a call leaves in the audit log: who asked which model, how it ended and what it cost; never what was said. An
//! entry that is dropped unfinished says that the call was given up.

use std::sync::Arc;

use causeway_outbox::{MemoryOutbox, OutboxEvent, Outcome};
use uuid::Uuid;

use crate::attempts::Attempts;
use crate::domain::{Turn, Usage};
use crate::error::{ErrorClass, LlmError};

/// The fact of a call that is still running.
pub(crate) struct Entry {
    outbox: MemoryOutbox,
    event: Option<OutboxEvent>,
    attempts: Attempts,
    turns: Arc<[Turn]>,
    output_chars: usize,
}

impl Entry {
    /// The fact that `event` describes: a call to `model` of `provider`.
    pub(crate) fn begin(
        outbox: MemoryOutbox,
        event: OutboxEvent,
        (provider, model): (&'static str, &str),
        is_stream: bool,
        turns: Arc<[Turn]>,
    ) -> Self {
        let event = event
            .target("model", model)
            .detail("provider", provider)
            .detail("model", model);
        let event = event.detail("stream", is_stream);
        Self {
            outbox,
            event: Some(event),
            attempts: Attempts::default(),
            turns,
            output_chars: 0,
        }
    }

    /// The counter of attempts that this entry reports.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Notes a part of the answer, for the estimate of what a broken stream cost.
    pub(crate) fn heard(&mut self, text: &str) {
        self.output_chars += text.chars().count();
    }

    /// What the answer cost by the provider, or else by our own rule.
    pub(crate) fn usage(&self, said: Option<Usage>) -> Usage {
        said.unwrap_or_else(|| Usage::estimate(&self.turns, self.output_chars))
    }

    /// The call was answered. The id of the fact.
    pub(crate) fn answered(mut self, usage: Usage) -> Option<Uuid> {
        self.push(usage, Outcome::Success, None)
    }

    /// The call failed. The id of the fact.
    pub(crate) fn failed(mut self, error: &LlmError) -> Option<Uuid> {
        let class = match error {
            LlmError::Unusable { .. } => "unusable",
            LlmError::Failed { last, .. } => last.class.as_str(),
            LlmError::Undecided(_) => "undecided",
        };
        let usage = self.partial_usage();
        self.push(usage, Outcome::Failure, Some(class))
    }

    /// A stream broke after it had begun. The id of the fact.
    pub(crate) fn broke(mut self, class: ErrorClass) -> Option<Uuid> {
        let usage = self.partial_usage();
        self.push(usage, Outcome::Failure, Some(class.as_str()))
    }

    fn partial_usage(&self) -> Usage {
        if self.output_chars == 0 {
            Usage::default()
        } else {
            self.usage(None)
        }
    }

    fn push(&mut self, usage: Usage, outcome: Outcome, error: Option<&'static str>) -> Option<Uuid> {
        let event = self.event.take()?;
        let id = event.id;
        let mut event = event
            .detail("input_tokens", usage.input_tokens)
            .detail("output_tokens", usage.output_tokens)
            .detail("attempts", self.attempts.made())
            .outcome(outcome);
        if let Some(error) = error {
            event = event.detail("error", error);
        }
        if usage.estimated {
            event = event.detail("tokens_estimated", true);
        }
        self.outbox.push(event);
        Some(id)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let usage = self.partial_usage();
        self.push(usage, Outcome::Failure, Some("cancelled"));
    }
}
