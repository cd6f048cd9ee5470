//! The settings of this service. Which group of them wins is decided by `causeway_settings` (C-11); groups never lend
//! each other a key.

mod tenant;

use std::time::Duration;

use causeway_settings::{LlmChoice, LlmGroup, Problem, Settings};
use secrecy::{ExposeSecret as _, SecretString};

pub use tenant::{ClassModels, TenantRules};

/// What a provider that is known and not built yet says.
pub const COMES_LATER: &str = "support for this provider comes later";

const ANTHROPIC_REASONING: &str = "claude-sonnet-4-5";
const ANTHROPIC_FAST: &str = "claude-haiku-4-5";

/// A group of settings that can choose the providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// `USE_MOCK_LLM`.
    Mock,
    /// `AI_PROVIDER`, `AI_MODEL`, `AI_API_KEY`, `AI_BASE_URL`.
    Ai,
    /// `LLM_PROVIDER`, `LLM_MODEL`, `LLM_API_KEY`.
    LlmProvider,
    /// `LLM_PROVIDER_ORDER` and the keys of the vendors.
    Order,
    /// None: the workspace chose for itself.
    Tenant,
}

impl Group {
    /// The word in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::Ai => "ai",
            Self::LlmProvider => "llm_provider",
            Self::Order => "order",
            Self::Tenant => "tenant",
        }
    }
}

/// A known provider (B-LLM-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Ours, offline.
    Mock,
    /// OpenAI, or what speaks like it.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google; comes later.
    Google,
    /// Ollama.
    Ollama,
    /// LM Studio.
    LmStudio,
    /// Amazon Bedrock; comes later.
    Bedrock,
}

impl ProviderKind {
    const ALL: [Self; 7] = [
        Self::Mock,
        Self::OpenAi,
        Self::Anthropic,
        Self::Google,
        Self::Ollama,
        Self::LmStudio,
        Self::Bedrock,
    ];

    /// The word in settings and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Google => "google",
            Self::Ollama => "ollama",
            Self::LmStudio => "lm_studio",
            Self::Bedrock => "bedrock",
        }
    }

    /// The provider of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    const fn needs_key(self) -> bool {
        matches!(self, Self::OpenAi | Self::Anthropic)
    }
}

/// A provider as the winning group describes it.
#[derive(Debug, Clone)]
pub struct CandidateConfig {
    /// Which provider.
    pub kind: ProviderKind,
    /// Its address in place of its own.
    pub base_url: Option<String>,
    /// Its key.
    pub key: Option<SecretString>,
    /// Its model for quick tasks.
    pub fast: Option<String>,
    /// Its model for tasks that take thought.
    pub reasoning: Option<String>,
}

impl CandidateConfig {
    /// The mock, which needs nothing.
    pub fn mock() -> Self {
        Self::bare(ProviderKind::Mock)
    }

    const fn bare(kind: ProviderKind) -> Self {
        Self {
            kind,
            base_url: None,
            key: None,
            fast: None,
            reasoning: None,
        }
    }

    /// Why the provider cannot be used, if so; safe to show.
    pub fn why_unusable(&self) -> Option<&'static str> {
        match self.kind {
            ProviderKind::Mock => return None,
            ProviderKind::Google | ProviderKind::Bedrock => return Some(COMES_LATER),
            ProviderKind::LmStudio if self.base_url.is_none() => return Some("no base URL is set"),
            ProviderKind::OpenAi
            | ProviderKind::Anthropic
            | ProviderKind::Ollama
            | ProviderKind::LmStudio => {}
        }
        let is_sendable = |key: &SecretString| {
            key.expose_secret()
                .bytes()
                .all(|byte| (b'!'..=b'~').contains(&byte))
        };
        match &self.key {
            None if self.kind.needs_key() => Some("no API key is set"),
            Some(key) if !is_sendable(key) => Some("the API key holds characters that no key has"),
            Some(_) | None if self.fast.is_none() || self.reasoning.is_none() => Some("no model is set"),
            Some(_) | None => None,
        }
    }
}

/// The settings of this service.
#[derive(Debug, Clone)]
pub struct Config {
    /// The group that won.
    pub group: Group,
    /// The setting that made it win.
    pub because: String,
    /// Its providers in order; at least one.
    pub candidates: Vec<CandidateConfig>,
    /// The most tokens of an answer, also where the caller asks for more.
    pub max_tokens: u32,
    /// The temperature where the caller names none.
    pub temperature: f64,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// What workspaces may choose for themselves.
    pub tenants: TenantRules,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every value that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let choice = settings.llm();
        let mut problems = Vec::new();
        let mut candidates = Vec::new();
        for word in &choice.providers {
            match ProviderKind::parse(word) {
                Some(kind) => candidates.push(candidate(kind, &choice, settings)),
                None => problems.push(Problem {
                    setting: choice.because.to_owned(),
                    message: "names a provider that is not known".to_owned(),
                }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let max_tokens = settings.integer("LLM_MAX_TOKENS").unwrap_or(1024);
        let seconds = settings
            .integer("LLM_TIMEOUT_SECONDS")
            .and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Self {
            group: group(choice.group),
            because: choice.because.to_owned(),
            candidates,
            max_tokens: u32::try_from(max_tokens).unwrap_or(u32::MAX),
            temperature: settings.float("LLM_TEMPERATURE").unwrap_or(0.2),
            timeout: Duration::from_secs(seconds.unwrap_or(30)),
            tenants: TenantRules::from_settings(settings),
        })
    }
}

const fn group(group: LlmGroup) -> Group {
    match group {
        LlmGroup::Mock => Group::Mock,
        LlmGroup::Generic => Group::Ai,
        LlmGroup::Pinned => Group::LlmProvider,
        LlmGroup::Order => Group::Order,
    }
}

fn candidate(kind: ProviderKind, choice: &LlmChoice, settings: &Settings) -> CandidateConfig {
    let bare = CandidateConfig::bare(kind);
    if kind == ProviderKind::Mock {
        return bare;
    }
    match choice.group {
        LlmGroup::Mock => bare,
        LlmGroup::Order => of_vendor(bare, settings),
        LlmGroup::Generic => CandidateConfig {
            base_url: choice.base_url.clone(),
            key: settings.secret("AI_API_KEY"),
            fast: choice.model.clone(),
            reasoning: choice.model.clone(),
            ..bare
        },
        // Without a model of its own the pin takes the vendor's class models: names are no secrets.
        LlmGroup::Pinned => {
            let classes = class_models(kind, settings);
            let or_class = |class: Option<String>| choice.model.clone().or(class);
            let key = settings.secret("LLM_API_KEY");
            CandidateConfig {
                key,
                fast: or_class(classes.0),
                reasoning: or_class(classes.1),
                ..bare
            }
        }
    }
}

fn of_vendor(bare: CandidateConfig, settings: &Settings) -> CandidateConfig {
    let (fast, reasoning) = class_models(bare.kind, settings);
    let (key, base_url) = match bare.kind {
        ProviderKind::OpenAi => ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
        ProviderKind::Anthropic => ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
        ProviderKind::Mock
        | ProviderKind::Google
        | ProviderKind::Ollama
        | ProviderKind::LmStudio
        | ProviderKind::Bedrock => return bare,
    };
    CandidateConfig {
        key: settings.secret(key),
        base_url: settings.text(base_url),
        fast,
        reasoning,
        ..bare
    }
}

/// The fast and the reasoning model of a vendor that has two (C-12).
fn class_models(kind: ProviderKind, settings: &Settings) -> (Option<String>, Option<String>) {
    match kind {
        ProviderKind::OpenAi => (
            settings.text("OPENAI_MODEL_FAST"),
            settings.text("OPENAI_MODEL_REASONING"),
        ),
        ProviderKind::Anthropic => {
            let or = |name, built_in: &str| settings.text(name).or_else(|| Some(built_in.to_owned()));
            (
                or("ANTHROPIC_MODEL_FAST", ANTHROPIC_FAST),
                or("ANTHROPIC_MODEL_REASONING", ANTHROPIC_REASONING),
            )
        }
        ProviderKind::Mock
        | ProviderKind::Google
        | ProviderKind::Ollama
        | ProviderKind::LmStudio
        | ProviderKind::Bedrock => (None, None),
    }
}

#[cfg(test)]
mod tests;
