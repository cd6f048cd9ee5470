//! Language models: three ways to choose one, in order of precedence, and limits common to all.

use crate::check;
use crate::owner::Owner::{self, Llm, Tasks};
use crate::setting::{Setting, choice, flag, float, integer, list, secret, text, url};

const OWN: &[Owner] = &[Llm];

pub(super) const SETTINGS: &[Setting] = &[
    flag(
        "USE_MOCK_LLM",
        OWN,
        "Answers everything with the offline mock, whatever else is set.",
    )
    .default("false"),
    choice(
        "AI_PROVIDER",
        &["google", "anthropic", "openai", "ollama", "lm_studio", "bedrock"],
        OWN,
        "Provider of the AI_ group, which is in force once any of its four names is set.",
    )
    .default("google"),
    text(
        "AI_MODEL",
        OWN,
        "Model of the AI_ group; the default holds for google only.",
    )
    .default("gemini-2.5-flash"),
    secret(
        "AI_API_KEY",
        OWN,
        "Key of the AI_ group; no vendor's own key name stands in.",
    )
    .required("with AI_PROVIDER=google, anthropic or openai"),
    url("AI_BASE_URL", OWN, "Address in place of the AI_ provider's own.")
        .required("with AI_PROVIDER=lm_studio"),
    choice(
        "LLM_PROVIDER",
        &["mock", "openai"],
        OWN,
        "Pins one provider, if the AI_ group is not in force.",
    )
    .default("mock"),
    text(
        "LLM_MODEL",
        OWN,
        "Model of the pinned provider, for every class of task.",
    )
    .required("with LLM_PROVIDER=openai, in production"),
    secret(
        "LLM_API_KEY",
        OWN,
        "Key of the pinned provider; no vendor's own key name stands in.",
    )
    .required("with LLM_PROVIDER=openai"),
    list(
        "LLM_PROVIDER_ORDER",
        OWN,
        "Providers to try in this order; the first with a key answers, mock needs none.",
    )
    .each(check::provider)
    .default("anthropic,openai,mock"),
    secret("ANTHROPIC_API_KEY", OWN, "Makes anthropic usable in the order."),
    url(
        "ANTHROPIC_BASE_URL",
        OWN,
        "Address in place of Anthropic's own, for the order only.",
    )
    .ours(),
    text(
        "ANTHROPIC_MODEL_REASONING",
        OWN,
        "Anthropic model for reasoning tasks; unset takes the built-in one.",
    )
    .ours(),
    text(
        "ANTHROPIC_MODEL_FAST",
        OWN,
        "Anthropic model for quick tasks; unset takes the built-in one.",
    )
    .ours(),
    secret("OPENAI_API_KEY", OWN, "Makes openai usable in the order."),
    url(
        "OPENAI_BASE_URL",
        OWN,
        "Address of any OpenAI-compatible server in place of OpenAI, for the order only.",
    )
    .ours(),
    text("OPENAI_MODEL_REASONING", OWN, "OpenAI model for reasoning tasks.").default("gpt-4o"),
    text("OPENAI_MODEL_FAST", OWN, "OpenAI model for quick tasks.").default("gpt-4o-mini"),
    integer(
        "LLM_MAX_TOKENS",
        (1, i64::MAX),
        OWN,
        "Most tokens that one answer may have, if the request names none.",
    )
    .default("1024"),
    integer(
        "LLM_TIMEOUT_SECONDS",
        (1, 86_400),
        OWN,
        "Deadline of one attempt; a failed one is repeated at most twice.",
    )
    .default("30"),
    float(
        "LLM_TEMPERATURE",
        (0.0, 2.0),
        OWN,
        "Sampling temperature, if the request names none.",
    )
    .default("0.2"),
    integer(
        "MAX_TOKENS_PER_DAY",
        (0, i64::MAX),
        &[Llm, Tasks],
        "Tokens one API key may use per UTC day; 0 sets no cap.",
    )
    .default("0")
    .later(),
];
