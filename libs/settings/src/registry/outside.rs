//! Names that no server reads: deployment, frontend, frameworks, tools, tests, reserved.

use crate::owner::Owner::{self, Deploy, FrameworkOnly, Frontend, Reserved, ScriptOnly, TestOnly};
use crate::setting::{BadValue, Setting, flag, integer, secret, switch, text, url};

const DEPLOY: &[Owner] = &[Deploy];
const FRONTEND: &[Owner] = &[Frontend];
const FRAMEWORK: &[Owner] = &[FrameworkOnly];
const RESERVED: &[Owner] = &[Reserved];
const SCRIPT: &[Owner] = &[ScriptOnly];
const TEST: &[Owner] = &[TestOnly];

pub(super) const SETTINGS: &[Setting] = &[
    secret(
        "POSTGRES_PASSWORD",
        DEPLOY,
        "Password with which compose starts its own PostgreSQL.",
    )
    .required("with docker compose")
    .ignored(),
    switch(
        "NEXT_PUBLIC_USE_MOCK",
        FRONTEND,
        "Whether the browser client invents its data (1) or calls the API (0).",
    )
    .bad_value(BadValue::Disables)
    .ignored(),
    url(
        "NEXT_PUBLIC_API_BASE_URL",
        FRONTEND,
        "REST address in the browser client, with /v1.",
    )
    .required("for the frontend")
    .bad_value(BadValue::Disables)
    .ignored(),
    url(
        "NEXT_PUBLIC_WS_URL",
        FRONTEND,
        "Live stream address in the browser client.",
    )
    .required("for the frontend")
    .schemes(&["ws://", "wss://"])
    .bad_value(BadValue::Disables)
    .ignored(),
    url(
        "NEXT_PUBLIC_APP_URL",
        FRONTEND,
        "Address of the app as browsers see it; a base for AI tools later.",
    )
    .default("http://localhost:3000")
    .bad_value(BadValue::Disables)
    .ignored(),
    url(
        "NEXT_PUBLIC_BASE_URL",
        FRONTEND,
        "Second choice after NEXT_PUBLIC_APP_URL.",
    )
    .default("http://localhost:3000")
    .bad_value(BadValue::Disables)
    .ignored(),
    text(
        "_SEED_FROM_WORKER",
        RESERVED,
        "Internal marker; nobody should set it and nothing reads it.",
    )
    .ignored(),
    text(
        "NEXT_PHASE",
        FRAMEWORK,
        "Build phase of Next.js; no check is ever skipped for it.",
    )
    .ignored(),
    text("NEXT_RUNTIME", FRAMEWORK, "Runtime of Next.js.").ignored(),
    url(
        "UPSTASH_REDIS_REST_URL",
        RESERVED,
        "Kept for a Redis REST client; use REDIS_URL.",
    )
    .bad_value(BadValue::Disables)
    .ignored(),
    secret(
        "UPSTASH_REDIS_REST_TOKEN",
        RESERVED,
        "Kept for a Redis REST client; use REDIS_URL.",
    )
    .ignored(),
    flag("AI_SIDEBAR_ENABLED", RESERVED, "Kept for a sidebar.")
        .bad_value(BadValue::Disables)
        .ignored(),
    integer(
        "AI_RATE_LIMIT_PER_MINUTE",
        (0, i64::MAX),
        RESERVED,
        "Kept for a sidebar.",
    )
    .bad_value(BadValue::Disables)
    .ignored(),
    secret(
        "KAIREON_LICENSE_PRIVATE_KEY",
        SCRIPT,
        "PEM key of the licence tool; it has no place near a server.",
    )
    .ignored(),
    url("KAIREON_API_URL", SCRIPT, "MCP client: where the API is.")
        .default_local_gateway(true)
        .ignored(),
    secret("KAIREON_API_KEY", SCRIPT, "MCP client: the API key it shows.")
        .required("with the MCP client")
        .ignored(),
    text(
        "KAIREON_TENANT_ID",
        SCRIPT,
        "MCP client: the tenant it works for.",
    )
    .default("default")
    .ignored(),
    flag(
        "MCP_ALLOW_WRITES",
        SCRIPT,
        "MCP client: whether tools that write are offered.",
    )
    .bad_value(BadValue::SafeSide(false))
    .ignored(),
    text("TEST_API_KEY", TEST, "Key that integration tests send.")
        .default("test-ch7-key")
        .ignored(),
    text("TEST_TENANT_ID", TEST, "Tenant that integration tests use.").ignored(),
    url("TEST_BASE_URL", TEST, "Where end-to-end tests find the system.")
        .default("http://localhost:3000")
        .bad_value(BadValue::Disables)
        .ignored(),
    text("VITEST", TEST, "Set by a JavaScript test runner.").ignored(),
];
