//! Which of the three source systems' ways of choosing a language model is in force (C-11).

use std::fmt;

use crate::resolve::Resolution;

/// The providers that the order may name.
pub(crate) const PROVIDERS: [&str; 3] = ["anthropic", "openai", "mock"];

/// The names that put the generic group in force.
const GENERIC: [&str; 4] = ["AI_PROVIDER", "AI_MODEL", "AI_API_KEY", "AI_BASE_URL"];

/// The generic providers that do not work without a key.
pub(crate) const KEYED: [&str; 3] = ["google", "anthropic", "openai"];

/// A group of settings; groups never lend each other keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlmGroup {
    /// `USE_MOCK_LLM=true`.
    Mock,
    /// The `AI_` names.
    Generic,
    /// The pin: `LLM_PROVIDER`, `LLM_MODEL`, `LLM_API_KEY`.
    Pinned,
    /// `LLM_PROVIDER_ORDER` with the vendors' own key names.
    Order,
}

/// The group in force and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmChoice {
    /// The group.
    pub group: LlmGroup,
    /// The setting that put it in force, as the operator wrote it.
    pub because: &'static str,
    /// The providers in the order to try, usable or not; one, unless the group is the order.
    pub providers: Vec<String>,
    /// The one model for all task classes; `None` where each provider has its own per class.
    pub model: Option<String>,
    /// The setting that holds the key of all providers; `None` where each provider has its own, or needs none.
    pub key_setting: Option<&'static str>,
    /// A base address in place of the provider's own.
    pub base_url: Option<String>,
}

impl fmt::Display for LlmChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {})", self.providers.join(", "), self.because)
    }
}

/// First match wins; a tenant's own choice comes between the mock switch and the rest and is not known here.
pub(crate) fn choose(resolution: &Resolution) -> LlmChoice {
    let text = |name| resolution.raw(name);
    if text("USE_MOCK_LLM").as_deref() == Some("true") {
        return LlmChoice::of(LlmGroup::Mock, "USE_MOCK_LLM", vec!["mock".to_owned()]);
    }
    if let Some(because) = GENERIC.into_iter().find(|name| resolution.is_given(name)) {
        return generic(resolution, because);
    }
    if let Some(provider) = resolution.given_raw("LLM_PROVIDER") {
        return pinned(resolution, provider);
    }
    let order = text("LLM_PROVIDER_ORDER").unwrap_or_default();
    LlmChoice::of(LlmGroup::Order, "LLM_PROVIDER_ORDER", crate::value::list(&order))
}

fn generic(resolution: &Resolution, because: &'static str) -> LlmChoice {
    let provider = resolution.raw("AI_PROVIDER").unwrap_or_default();
    // The default model belongs to the default provider.
    let model = match provider.as_str() {
        "google" => resolution.raw("AI_MODEL"),
        _ => resolution.given_raw("AI_MODEL"),
    };
    let base_url = resolution.raw("AI_BASE_URL");
    let base_url =
        base_url.or_else(|| (provider == "ollama").then(|| "http://127.0.0.1:11434/api".to_owned()));
    let keyed = KEYED.contains(&provider.as_str()) || resolution.is_given("AI_API_KEY");
    let key_setting = keyed.then_some("AI_API_KEY");
    let choice = LlmChoice::of(LlmGroup::Generic, because, vec![provider]);
    LlmChoice {
        model,
        base_url,
        key_setting,
        ..choice
    }
}

fn pinned(resolution: &Resolution, provider: String) -> LlmChoice {
    let key_setting = (provider != "mock").then_some("LLM_API_KEY");
    let choice = LlmChoice::of(LlmGroup::Pinned, "LLM_PROVIDER", vec![provider]);
    LlmChoice {
        model: resolution.raw("LLM_MODEL"),
        key_setting,
        ..choice
    }
}

impl LlmChoice {
    const fn of(group: LlmGroup, because: &'static str, providers: Vec<String>) -> Self {
        Self {
            group,
            because,
            providers,
            model: None,
            key_setting: None,
            base_url: None,
        }
    }
}
