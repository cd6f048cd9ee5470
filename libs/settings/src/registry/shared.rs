//! What several or all processes read.

use crate::check;
use crate::owner::Owner::{
    self, Audit, Auth, Cron, Events, Gateway, Llm, Mesh, Observability, Scoring, Tasks, Tenancy, Webhooks,
    Worker,
};
use crate::setting::{BadValue, Setting, choice, integer, secret, text, url};

const EVERYBODY: &[Owner] = &[
    Gateway, Tenancy, Auth, Llm, Scoring, Audit, Tasks, Events, Worker, Webhooks, Cron,
];
const WITH_STORE: &[Owner] = &[
    Tenancy, Auth, Llm, Scoring, Audit, Tasks, Events, Worker, Webhooks, Cron,
];
const MESH: &[Owner] = &[Mesh];
const TELEMETRY: &[Owner] = &[Observability];

pub(super) const SETTINGS: &[Setting] = &[
    choice(
        "NODE_ENV",
        &["production", "development", "test"],
        EVERYBODY,
        "The tier: how strict the checks are and which .env files load. Unset is development.",
    ),
    secret(
        "DATABASE_URL",
        WITH_STORE,
        "PostgreSQL address (postgresql://). Unset keeps all data in the memory of one process.",
    )
    .check(check::database_url)
    .required("in production")
    .risk("without it all data is lost when the process ends"),
    secret(
        "DATABASE_OWNER_URL",
        WITH_STORE,
        "PostgreSQL address of the role that owns the tables, for migrations only.",
    )
    .check(check::database_url)
    .fallbacks(&["DATABASE_URL"])
    .ours(),
    secret(
        "DATABASE_WORKER_URL",
        WITH_STORE,
        "PostgreSQL address of the role of maintenance, which goes through all workspaces one by one.",
    )
    .check(check::database_url)
    .fallbacks(&["DATABASE_URL"])
    .ours(),
    integer(
        "PG_POOL_MAX",
        (1, 10_000),
        WITH_STORE,
        "Most PostgreSQL connections that one process holds.",
    )
    .default("50"),
    secret(
        "INTERNAL_SERVICE_SECRET",
        EVERYBODY,
        "Root of the keys that sign calls between services; every process of one mesh has the same.",
    )
    .required("in production, and between separate processes"),
    secret(
        "INTERNAL_SERVICE_SECRET_PREVIOUS",
        MESH,
        "The former INTERNAL_SERVICE_SECRET, still accepted while processes are being rotated.",
    )
    .required("during rotation")
    .ours(),
    url(
        "MESH_AUTH_ADDR",
        MESH,
        "Where the auth service listens, if it is another process.",
    )
    .ours(),
    url(
        "MESH_TENANCY_ADDR",
        MESH,
        "Where the tenancy service listens, if it is another process.",
    )
    .ours(),
    url(
        "MESH_LLM_ADDR",
        MESH,
        "Where the language model service listens, if it is another process.",
    )
    .ours(),
    url(
        "MESH_SCORING_ADDR",
        MESH,
        "Where the scoring service listens, if it is another process.",
    )
    .ours(),
    url(
        "MESH_AUDIT_ADDR",
        MESH,
        "Where the audit service listens, if it is another process.",
    )
    .ours(),
    text(
        "MESH_LISTEN_ADDR",
        MESH,
        "Address and port on which a separate service answers the others.",
    )
    .check(check::listen_address)
    .default("0.0.0.0:7000")
    .ours(),
    integer(
        "SHUTDOWN_GRACE_SECONDS",
        (0, 3_600),
        MESH,
        "How long a stopping process lets accepted requests finish.",
    )
    .default("25")
    .ours(),
    text(
        "ADMIN_ADDR",
        TELEMETRY,
        "IP address of the admin port; loopback keeps metrics inside the machine.",
    )
    .check(check::bind_address)
    .default("127.0.0.1")
    .ours(),
    integer(
        "ADMIN_PORT",
        (0, 65_535),
        TELEMETRY,
        "Port of metrics and health; 0 takes any free one.",
    )
    .default("9464")
    .ours(),
    choice(
        "LOG_LEVEL",
        &["silent", "error", "warn", "info", "debug"],
        TELEMETRY,
        "The least severe log lines that are written.",
    )
    .default("info")
    .bad_value(BadValue::FallsBack),
    choice(
        "LOG_FORMAT",
        &["json", "pretty"],
        TELEMETRY,
        "Log lines for machines (json) or for people (pretty).",
    )
    .default_per_tier(Some("pretty"), Some("json"), Some("json"))
    .ours(),
    url(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        TELEMETRY,
        "OTLP collector for traces and metrics; unset exports nothing.",
    ),
    integer(
        "SLOW_API_THRESHOLD_MS",
        (1, i64::MAX),
        TELEMETRY,
        "A route slower than this logs a slow_api warning.",
    )
    .default("150"),
];
