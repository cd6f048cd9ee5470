use std::time::Duration;

use causeway_egress::EgressOptions;

use super::*;
use crate::config::TenantRules;
use crate::provider::Provider as _;

fn vendor(kind: ProviderKind, is_usable: bool) -> CandidateConfig {
    let (fast, reasoning) = match kind {
        ProviderKind::Anthropic => ("claude-f", "claude-r"),
        _ => ("gpt-f", "gpt-r"),
    };
    CandidateConfig {
        kind,
        key: is_usable.then(|| "sk-0123456789".into()),
        fast: Some(fast.to_owned()),
        reasoning: Some(reasoning.to_owned()),
        ..CandidateConfig::mock()
    }
}

fn selection(group: Group, candidates: Vec<CandidateConfig>) -> Selection {
    let timeout = Duration::from_secs(1);
    let config = Config {
        group,
        because: String::new(),
        candidates,
        max_tokens: 1,
        temperature: 0.0,
        timeout,
        tenants: TenantRules::default(),
    };
    Selection::new(&config, &Egress::new(EgressOptions::default()))
}

fn order(anthropic: bool, openai: bool, has_mock: bool) -> Selection {
    let vendors = [
        vendor(ProviderKind::Anthropic, anthropic),
        vendor(ProviderKind::OpenAi, openai),
    ];
    selection(
        Group::Order,
        vendors
            .into_iter()
            .chain(has_mock.then(CandidateConfig::mock))
            .collect(),
    )
}

fn who(selection: &Selection, asked: &str) -> Result<String, &'static str> {
    match selection.choose(asked) {
        Ok(choice) => Ok(format!("{}:{}", choice.provider.name(), choice.model)),
        Err(LlmError::Unusable { provider, .. }) => Err(provider),
        Err(other) => panic!("{other}"),
    }
}

fn expect(selection: &Selection, expected: &[(&str, Result<&str, &'static str>)]) {
    for (asked, answer) in expected {
        assert_eq!(who(selection, asked).as_deref(), answer.as_deref(), "{asked}");
    }
}

#[test]
fn the_first_provider_with_a_key_answers() {
    let both = order(true, true, true);
    expect(
        &both,
        &[("", Ok("anthropic:claude-f")), ("auto", Ok("anthropic:claude-f"))],
    );
    expect(
        &both,
        &[
            ("fast", Ok("anthropic:claude-f")),
            ("reasoning", Ok("anthropic:claude-r")),
        ],
    );
    expect(
        &order(false, true, true),
        &[("auto", Ok("openai:gpt-f")), ("reasoning", Ok("openai:gpt-r"))],
    );
    expect(
        &order(false, false, true),
        &[("auto", Ok("mock:mock")), ("reasoning", Ok("mock:mock"))],
    );
}

#[test]
fn a_pin_of_the_caller_is_kept() {
    let both = order(true, true, true);
    expect(
        &both,
        &[
            ("openai", Ok("openai:gpt-f")),
            ("openai/reasoning", Ok("openai:gpt-r")),
        ],
    );
    expect(
        &both,
        &[
            ("openai/gpt-4.1", Ok("openai:gpt-4.1")),
            ("mock", Ok("mock:mock")),
            ("mock/x", Ok("mock:mock")),
        ],
    );
    expect(
        &both,
        &[("bedrock/titan", Err("bedrock")), ("google", Err("google"))],
    );
    expect(
        &order(false, true, true),
        &[
            ("anthropic/claude-f", Err("anthropic")),
            ("anthropic", Err("anthropic")),
        ],
    );
}

#[test]
fn a_model_is_answered_by_whoever_has_it() {
    let both = order(true, true, true);
    expect(
        &both,
        &[
            ("gpt-r", Ok("openai:gpt-r")),
            ("gpt-4o", Ok("openai:gpt-4o")),
            ("o3-mini", Ok("openai:o3-mini")),
        ],
    );
    expect(
        &both,
        &[
            ("claude-x", Ok("anthropic:claude-x")),
            ("gemini-x", Ok("anthropic:gemini-x")),
        ],
    );
    expect(&both, &[("meta/llama-3", Ok("anthropic:meta/llama-3"))]);
    expect(&order(true, false, true), &[("gpt-4o", Err("openai"))]);
}

#[test]
fn offline_every_model_is_the_mock_and_a_pinned_provider_is_not() {
    let offline = order(false, false, true);
    expect(
        &offline,
        &[
            ("gpt-4o-mini", Ok("mock:mock")),
            ("claude-x", Ok("mock:mock")),
            ("whatever", Ok("mock:mock")),
        ],
    );
    expect(
        &offline,
        &[("openai/gpt-4o", Err("openai")), ("anthropic", Err("anthropic"))],
    );
}

#[test]
fn without_the_mock_in_the_order_nobody_steps_in() {
    let none = order(false, false, false);
    expect(
        &none,
        &[
            ("auto", Err("anthropic")),
            ("gpt-4o", Err("openai")),
            ("whatever", Err("anthropic")),
        ],
    );
}

#[test]
fn a_pinned_provider_that_cannot_be_used_is_never_the_mock() {
    for group in [Group::Ai, Group::LlmProvider] {
        let pinned = selection(group, vec![vendor(ProviderKind::OpenAi, false)]);
        expect(
            &pinned,
            &[
                ("auto", Err("openai")),
                ("fast", Err("openai")),
                ("gpt-4o", Err("openai")),
            ],
        );
    }
    let later = selection(Group::Ai, vec![vendor(ProviderKind::Google, true)]);
    expect(
        &later,
        &[("auto", Err("google")), ("gemini-2.5-flash", Err("google"))],
    );
}

#[test]
fn the_switch_wins_over_whatever_the_caller_names() {
    let forced = selection(Group::Mock, vec![CandidateConfig::mock()]);
    for asked in [
        "",
        "auto",
        "reasoning",
        "gpt-4o",
        "openai/gpt-4o",
        "anthropic",
        "x",
    ] {
        expect(&forced, &[(asked, Ok("mock:mock"))]);
    }
}

#[test]
fn models_of_usable_providers_are_listed_once_and_the_mock_always() {
    let ids =
        |selection: &Selection| -> Vec<String> { selection.models().into_iter().map(|(id, _)| id).collect() };
    assert_eq!(ids(&order(false, true, true)), ["gpt-f", "gpt-r", "mock"]);
    assert_eq!(ids(&order(false, false, true)), ["mock"]);
    let same = CandidateConfig {
        reasoning: Some("gpt-f".to_owned()),
        ..vendor(ProviderKind::OpenAi, true)
    };
    assert_eq!(ids(&selection(Group::LlmProvider, vec![same])), ["gpt-f", "mock"]);
}

#[test]
fn ollama_is_asked_where_it_speaks_chat_completions() {
    assert_eq!(
        ollama_chat("http://127.0.0.1:11434/api"),
        "http://127.0.0.1:11434/v1"
    );
    assert_eq!(ollama_chat("http://gpu:11434/api/"), "http://gpu:11434/v1");
    assert_eq!(ollama_chat("http://gpu:11434"), "http://gpu:11434");
}
