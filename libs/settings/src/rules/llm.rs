//! Whether the language model settings in force can work (C-11).

use crate::llm::{self, LlmChoice, LlmGroup};
use crate::registry;
use crate::resolve::Resolution;

pub(super) fn apply(resolution: &mut Resolution) {
    if !registry::find("LLM_PROVIDER_ORDER").is_some_and(|setting| resolution.checks(setting)) {
        return;
    }
    let choice = llm::choose(resolution);
    match choice.group {
        LlmGroup::Mock => {}
        LlmGroup::Generic => generic(resolution, &choice),
        LlmGroup::Pinned => pinned(resolution, &choice),
        LlmGroup::Order => order(resolution, &choice),
    }
    if resolution.tier.is_production() && choice.providers == ["mock"] {
        resolution.warn(choice.because, "every answer comes from the offline mock");
    }
}

fn generic(resolution: &mut Resolution, choice: &LlmChoice) {
    let provider = choice.providers.concat();
    if choice.key_setting.is_some() && !resolution.is_given("AI_API_KEY") {
        unusable(
            resolution,
            "AI_API_KEY",
            &format!("is needed by AI_PROVIDER={provider}"),
        );
    }
    if choice.model.is_none() {
        unusable(
            resolution,
            "AI_MODEL",
            &format!("is needed by AI_PROVIDER={provider}"),
        );
    }
    if provider == "lm_studio" && choice.base_url.is_none() {
        resolution.problem("AI_BASE_URL", "is needed by AI_PROVIDER=lm_studio");
    }
}

fn pinned(resolution: &mut Resolution, choice: &LlmChoice) {
    if choice.key_setting.is_none() {
        return;
    }
    if !resolution.is_given("LLM_API_KEY") {
        unusable(
            resolution,
            "LLM_API_KEY",
            "is needed by LLM_PROVIDER; OPENAI_API_KEY does not stand in",
        );
    }
    if choice.model.is_none() {
        unusable(resolution, "LLM_MODEL", "is needed by LLM_PROVIDER");
    }
}

/// C-11: a pin that cannot work stops production; elsewhere the first call fails.
fn unusable(resolution: &mut Resolution, name: &'static str, message: &str) {
    if resolution.tier.is_production() {
        resolution.problem(name, message);
    } else {
        resolution.warn(name, format!("{message}; calls will fail"));
    }
}

fn order(resolution: &mut Resolution, choice: &LlmChoice) {
    let usable = |provider: &String| match provider.as_str() {
        "anthropic" => resolution.is_given("ANTHROPIC_API_KEY"),
        "openai" => resolution.is_given("OPENAI_API_KEY"),
        _ => true,
    };
    let first = choice.providers.iter().find(|provider| usable(provider)).cloned();
    match first.as_deref() {
        // A malformed order has been reported already.
        None if resolution.value("LLM_PROVIDER_ORDER").is_some() => {
            let message = "names no provider that is usable: add a key, or mock as the last one";
            resolution.problem("LLM_PROVIDER_ORDER", message);
        }
        Some("mock") if resolution.tier.is_production() && choice.providers.len() > 1 => {
            resolution.warn(
                "LLM_PROVIDER_ORDER",
                "no key is set, so every answer comes from the offline mock",
            );
        }
        _ => {}
    }
}
