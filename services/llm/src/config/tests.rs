use causeway_settings::{Owner, Sources};

use super::*;

fn config(pairs: &[(&str, &str)]) -> Config {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Llm]).unwrap();
    Config::from_settings(&settings).unwrap()
}

fn usable(config: &Config) -> Vec<(&'static str, bool)> {
    let candidates = config.candidates.iter();
    candidates
        .map(|candidate| (candidate.kind.as_str(), candidate.why_unusable().is_none()))
        .collect()
}

#[test]
fn nothing_set_ends_at_the_mock() {
    let config = config(&[]);
    assert_eq!(config.group, Group::Order);
    assert_eq!(
        usable(&config),
        [("anthropic", false), ("openai", false), ("mock", true)]
    );
    assert_eq!(
        (config.max_tokens, config.temperature, config.timeout),
        (1024, 0.2, Duration::from_secs(30))
    );
}

#[test]
fn the_first_group_wins_and_says_which_setting_made_it_win() {
    let all = [
        ("USE_MOCK_LLM", "true"),
        ("AI_PROVIDER", "openai"),
        ("AI_API_KEY", "sk-generic"),
        ("AI_MODEL", "gpt-4o"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_API_KEY", "sk-pinned"),
        ("OPENAI_API_KEY", "sk-vendor"),
        ("LLM_PROVIDER_ORDER", "openai"),
    ];
    let group = |from: usize| (config(&all[from..]).group, config(&all[from..]).because);
    assert_eq!(group(0), (Group::Mock, "USE_MOCK_LLM".to_owned()));
    assert_eq!(group(1), (Group::Ai, "AI_PROVIDER".to_owned()));
    assert_eq!(group(4), (Group::LlmProvider, "LLM_PROVIDER".to_owned()));
    assert_eq!(group(6), (Group::Order, "LLM_PROVIDER_ORDER".to_owned()));
}

#[test]
fn groups_do_not_lend_each_other_keys() {
    let vendor = [
        ("OPENAI_API_KEY", "sk-vendor"),
        ("ANTHROPIC_API_KEY", "sk-ant-vendor"),
    ];
    let with = |pairs: &[(&'static str, &'static str)]| config(&[pairs, &vendor].concat());
    assert_eq!(
        usable(&with(&[("LLM_PROVIDER", "openai"), ("LLM_MODEL", "gpt-4o")])),
        [("openai", false)]
    );
    assert_eq!(
        usable(&with(&[("AI_PROVIDER", "anthropic"), ("AI_MODEL", "claude-x")])),
        [("anthropic", false)]
    );
    assert_eq!(
        usable(&with(&[])),
        [("anthropic", true), ("openai", true), ("mock", true)]
    );
}

#[test]
fn the_generic_group_knows_six_providers() {
    let with = |provider, more: &[(&'static str, &'static str)]| {
        config(&[&[("AI_PROVIDER", provider), ("AI_MODEL", "m")], more].concat())
    };
    let key = [("AI_API_KEY", "k-0123456789")];
    let why = |config: &Config| config.candidates[0].why_unusable();
    assert_eq!(why(&with("google", &key)), Some(COMES_LATER));
    assert_eq!(why(&with("bedrock", &key)), Some(COMES_LATER));
    assert_eq!(why(&with("openai", &key)), None);
    assert_eq!(why(&with("anthropic", &key)), None);
    assert_eq!(why(&with("openai", &[])), Some("no API key is set"));
    assert_eq!(why(&with("ollama", &[])), None);
    assert_eq!(
        why(&with("lm_studio", &[("AI_BASE_URL", "http://127.0.0.1:1234/v1")])),
        None
    );
}

#[test]
fn the_model_of_a_group_serves_both_classes_and_vendors_have_two() {
    let classes = |config: &Config| {
        (
            config.candidates[0].fast.clone(),
            config.candidates[0].reasoning.clone(),
        )
    };
    let pair = |fast: &str, reasoning: &str| (Some(fast.to_owned()), Some(reasoning.to_owned()));
    let pin = [("LLM_PROVIDER", "openai"), ("LLM_API_KEY", "sk-pinned")];
    assert_eq!(classes(&config(&pin)), pair("gpt-4o-mini", "gpt-4o"));
    assert_eq!(
        classes(&config(&[&pin[..], &[("LLM_MODEL", "gpt-x")]].concat())),
        pair("gpt-x", "gpt-x")
    );
    let order = config(&[
        ("LLM_PROVIDER_ORDER", "anthropic,mock"),
        ("ANTHROPIC_MODEL_FAST", "claude-f"),
    ]);
    assert_eq!(classes(&order), pair("claude-f", ANTHROPIC_REASONING));
}

#[test]
fn a_key_that_no_header_can_hold_is_named_and_not_shown() {
    let config = config(&[
        ("OPENAI_API_KEY", "sk-two words"),
        ("LLM_PROVIDER_ORDER", "openai,mock"),
    ]);
    let why = config.candidates[0].why_unusable();
    assert_eq!(why, Some("the API key holds characters that no key has"));
    assert!(!format!("{config:?}").contains("two words"));
}

#[test]
fn limits_are_read() {
    let config = config(&[
        ("LLM_MAX_TOKENS", "99"),
        ("LLM_TEMPERATURE", "1.5"),
        ("LLM_TIMEOUT_SECONDS", "7"),
    ]);
    assert_eq!(
        (config.max_tokens, config.temperature, config.timeout),
        (99, 1.5, Duration::from_secs(7))
    );
}
