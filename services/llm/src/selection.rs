//! Which provider answers: the winning group of settings, its providers in order, and what a caller's `model` means.

use std::sync::Arc;

use causeway_egress::Egress;

use crate::config::{CandidateConfig, Config, Group, ProviderKind};
use crate::error::LlmError;
use crate::provider::anthropic::{self, Anthropic};
use crate::provider::mock::{MOCK, Mock};
use crate::provider::observed::Observed;
use crate::provider::openai::{self, OpenAi};

/// A task class of models (B-LLM-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Fast,
    Reasoning,
}

impl Class {
    fn parse(word: &str) -> Option<Self> {
        match word {
            // Nobody said what it is for, so the cheaper one.
            "" | "auto" | "fast" => Some(Self::Fast),
            "reasoning" => Some(Self::Reasoning),
            _ => None,
        }
    }
}

/// A provider of the winning group.
pub(crate) struct Candidate {
    kind: ProviderKind,
    state: Result<Arc<Observed>, &'static str>,
    fast: String,
    reasoning: String,
}

impl Candidate {
    fn new(config: &CandidateConfig, egress: &Egress) -> Self {
        let state = match config.why_unusable() {
            Some(why) => Err(why),
            None => build(config, egress),
        };
        let (fast, reasoning) = (config.fast.clone(), config.reasoning.clone());
        let mock = || MOCK.to_owned();
        Self {
            kind: config.kind,
            state,
            fast: fast.unwrap_or_else(mock),
            reasoning: reasoning.unwrap_or_else(mock),
        }
    }

    /// One that is not used, whatever else is true of it.
    fn refused(kind: ProviderKind, why: &'static str) -> Self {
        Self {
            kind,
            state: Err(why),
            fast: MOCK.to_owned(),
            reasoning: MOCK.to_owned(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Why it cannot be used, if so.
    pub(crate) fn why_unusable(&self) -> Option<&'static str> {
        self.state.as_ref().err().copied()
    }

    /// The class of its last error; empty if there was none.
    pub(crate) fn last_error(&self) -> &'static str {
        let last = self
            .state
            .as_ref()
            .ok()
            .and_then(|provider| provider.last_error());
        last.map_or("", |class| class.as_str())
    }

    fn is_usable(&self) -> bool {
        self.state.is_ok()
    }

    fn model(&self, class: Class) -> &str {
        match class {
            Class::Fast => &self.fast,
            Class::Reasoning => &self.reasoning,
        }
    }

    fn choose(&self, model: &str) -> Result<Choice, LlmError> {
        match &self.state {
            Ok(provider) => {
                let model = if self.kind == ProviderKind::Mock {
                    MOCK
                } else {
                    model
                };
                Ok(Choice {
                    provider: Arc::clone(provider),
                    model: model.to_owned(),
                })
            }
            Err(why) => Err(LlmError::Unusable {
                provider: self.name(),
                why,
            }),
        }
    }
}

fn build(config: &CandidateConfig, egress: &Egress) -> Result<Arc<Observed>, &'static str> {
    let base_url = config.base_url.as_deref();
    let chat = |base_url: &str| {
        OpenAi::new(
            config.kind.as_str(),
            base_url,
            config.key.as_ref(),
            egress.clone(),
        )
    };
    let provider = match (config.kind, &config.key) {
        (ProviderKind::Mock, _) => Observed::new(Mock),
        (ProviderKind::OpenAi | ProviderKind::LmStudio, _) => {
            Observed::new(chat(base_url.unwrap_or(openai::DEFAULT_BASE_URL)))
        }
        (ProviderKind::Ollama, _) => Observed::new(chat(&ollama_chat(base_url.unwrap_or(OLLAMA_BASE_URL)))),
        (ProviderKind::Anthropic, Some(key)) => {
            let base_url = base_url.unwrap_or(anthropic::DEFAULT_BASE_URL);
            Observed::new(Anthropic::new(base_url, key, egress.clone()))
        }
        (ProviderKind::Anthropic, None) => return Err("no API key is set"),
        (ProviderKind::Google | ProviderKind::Bedrock, _) => return Err(crate::config::COMES_LATER),
    };
    Ok(Arc::new(provider))
}

/// Built in (B-LLM-13).
const OLLAMA_BASE_URL: &str = "http://127.0.0.1:11434/api";

/// Where a provider answers that is told no address; nothing for one that is not reached over HTTP or has none.
pub(crate) const fn default_base_url(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::OpenAi => Some(openai::DEFAULT_BASE_URL),
        ProviderKind::Anthropic => Some(anthropic::DEFAULT_BASE_URL),
        ProviderKind::Ollama => Some(OLLAMA_BASE_URL),
        ProviderKind::Mock | ProviderKind::Google | ProviderKind::LmStudio | ProviderKind::Bedrock => None,
    }
}

/// Ollama speaks chat completions beside its own API.
fn ollama_chat(base_url: &str) -> String {
    let base = base_url.trim_end_matches('/');
    base.strip_suffix("/api")
        .map_or_else(|| base.to_owned(), |origin| format!("{origin}/v1"))
}

/// A provider and the model that it is asked for.
#[derive(Clone)]
pub(crate) struct Choice {
    /// The provider.
    pub provider: Arc<Observed>,
    /// The provider's own name of the model.
    pub model: String,
}

/// The providers of the winning group.
pub(crate) struct Selection {
    group: Group,
    candidates: Vec<Candidate>,
    mock: Candidate,
}

impl Selection {
    /// The selection that the settings describe.
    pub(crate) fn new(config: &Config, egress: &Egress) -> Self {
        let candidates = config
            .candidates
            .iter()
            .map(|candidate| Candidate::new(candidate, egress))
            .collect();
        let mock = Candidate::new(&CandidateConfig::mock(), egress);
        Self {
            group: config.group,
            candidates,
            mock,
        }
    }

    /// The selection of a workspace that chose its own provider.
    pub(crate) fn of_tenant(
        group: Group,
        candidate: &CandidateConfig,
        refused: Option<&'static str>,
        egress: &Egress,
    ) -> Self {
        let chosen = match refused {
            Some(why) => Candidate::refused(candidate.kind, why),
            None => Candidate::new(candidate, egress),
        };
        Self {
            group,
            candidates: vec![chosen],
            mock: Candidate::new(&CandidateConfig::mock(), egress),
        }
    }

    /// The group of settings that won.
    pub(crate) fn group(&self) -> Group {
        self.group
    }

    /// The providers in their order.
    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Who answers a request that names `asked`: nothing or `auto`, a class, a provider, `provider/model`, or a model.
    ///
    /// # Errors
    /// [`LlmError::Unusable`] for a pinned provider that cannot be used; the mock never steps in for it.
    pub(crate) fn choose(&self, asked: &str) -> Result<Choice, LlmError> {
        // The switch wins over everything, whatever the caller names (B-LLM-3).
        if self.group == Group::Mock || asked == MOCK {
            return self.mock.choose(MOCK);
        }
        if let Some(class) = Class::parse(asked) {
            let first = self.first();
            return first.choose(first.model(class));
        }
        let (word, model) = asked.split_once('/').unwrap_or((asked, ""));
        match ProviderKind::parse(word) {
            Some(kind) => self.pinned(kind, model),
            None => self.named(asked),
        }
    }

    /// The first provider that can be used, or the one whose absence is the error.
    fn first(&self) -> &Candidate {
        let usable = self.candidates.iter().find(|candidate| candidate.is_usable());
        usable.or(self.candidates.first()).unwrap_or(&self.mock)
    }

    fn of_kind(&self, kind: ProviderKind) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.kind == kind)
    }

    fn pinned(&self, kind: ProviderKind, model: &str) -> Result<Choice, LlmError> {
        if kind == ProviderKind::Mock {
            return self.mock.choose(MOCK);
        }
        let unknown = LlmError::Unusable {
            provider: kind.as_str(),
            why: "the settings do not name it",
        };
        let candidate = self.of_kind(kind).ok_or(unknown)?;
        match Class::parse(model) {
            Some(class) => candidate.choose(candidate.model(class)),
            None => candidate.choose(model),
        }
    }

    /// A model by its own name: at the provider that has it, else at the first one.
    fn named(&self, model: &str) -> Result<Choice, LlmError> {
        let first = self.first();
        let has = |candidate: &&Candidate| candidate.fast == model || candidate.reasoning == model;
        if let Some(candidate) = self
            .candidates
            .iter()
            .filter(|candidate| candidate.is_usable())
            .find(has)
        {
            return candidate.choose(model);
        }
        match family(model).and_then(|kind| self.of_kind(kind)) {
            Some(candidate) if candidate.is_usable() => candidate.choose(model),
            // Offline mode: with no key at all every model is the mock (B-LLM-2).
            Some(_) | None if first.kind == ProviderKind::Mock => first.choose(MOCK),
            Some(candidate) => candidate.choose(model),
            None => first.choose(model),
        }
    }

    /// The models to name, with their providers: the class models of what can be used, and the mock.
    pub(crate) fn models(&self) -> Vec<(String, &'static str)> {
        let usable = self.candidates.iter().filter(|candidate| candidate.is_usable());
        let of_classes =
            usable.flat_map(|candidate| [(&candidate.fast, candidate), (&candidate.reasoning, candidate)]);
        let mut models: Vec<(String, &'static str)> = Vec::new();
        for (model, candidate) in of_classes.chain([(&self.mock.fast, &self.mock)]) {
            let entry = (model.clone(), candidate.name());
            if !models.contains(&entry) {
                models.push(entry);
            }
        }
        models
    }
}

/// Whose model a name is, for names that say it.
fn family(model: &str) -> Option<ProviderKind> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
    if starts(&["gpt-", "chatgpt-", "o1", "o3", "o4"]) {
        Some(ProviderKind::OpenAi)
    } else if starts(&["claude-"]) {
        Some(ProviderKind::Anthropic)
    } else if starts(&["gemini-"]) {
        Some(ProviderKind::Google)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
