//! Background jobs, scheduled endpoints, deliveries and callbacks.

use crate::check;
use crate::owner::Owner::{self, Cron, Gateway, Webhooks, Worker};
use crate::setting::{BadValue, Setting, flag, integer, list, secret, switch, url};

const OWN: &[Owner] = &[Worker];
const CRON: &[Owner] = &[Cron];
const WEBHOOKS: &[Owner] = &[Webhooks];
const ANY: i64 = i64::MAX;

pub(super) const SETTINGS: &[Setting] = &[
    secret(
        "WORKER_SECRET",
        &[Worker, Gateway],
        "What workers show in X-Worker-Secret on their callback routes.",
    )
    .default_outside_production("worker-internal")
    .required("in production, and changed")
    .risk("everybody knows it, so everybody can call the worker's routes")
    .later(),
    switch(
        "WORKER_INPROCESS",
        OWN,
        "Whether the serving process also runs background jobs (1) or leaves them to a worker (0).",
    )
    .default("1")
    .later(),
    integer(
        "WORKER_CONCURRENCY",
        (1, ANY),
        OWN,
        "Jobs that one worker runs at once.",
    )
    .default("5")
    .later(),
    integer(
        "WORKER_METRICS_PORT",
        (1, 65_535),
        OWN,
        "Metrics port of a worker that stands alone.",
    )
    .default("9091")
    .later(),
    url(
        "INTERNAL_API_URL",
        OWN,
        "Where the worker calls back; unset is the public address, else the local gateway.",
    )
    .fallbacks(&["NEXTAUTH_URL"])
    .default_local_gateway(true)
    .later(),
    url(
        "GEO_RESOLVE_ENDPOINT",
        OWN,
        "External model that resolves places.",
    )
    .required("for that model-call transform")
    .later(),
    url(
        "LANGUAGE_DETECT_ENDPOINT",
        OWN,
        "External model that detects languages.",
    )
    .required("for that model-call transform")
    .later(),
    url(
        "SENTIMENT_SCORE_ENDPOINT",
        OWN,
        "External model that scores sentiment.",
    )
    .required("for that model-call transform")
    .later(),
    url(
        "VECTOR_EMBED_ENDPOINT",
        OWN,
        "External model that makes embeddings.",
    )
    .required("for that model-call transform")
    .later(),
    secret(
        "CRON_SECRET",
        CRON,
        "Bearer token of the /api/v1/cron routes; unset answers 503.",
    )
    .required("for the cron routes")
    .later(),
    secret(
        "CRON_TOKEN",
        CRON,
        "Bearer token of the old /api/cron/tick alone.",
    )
    .required("for /api/cron/tick")
    .later(),
    secret(
        "DRAIN_QUEUES_TOKEN",
        CRON,
        "Bearer token of drain-queues; once it is set, the other two no longer open that route.",
    )
    .fallbacks(&["CRON_SECRET", "CRON_TOKEN"])
    .later(),
    integer(
        "DRAIN_QUEUES_RATE_LIMIT",
        (1, ANY),
        CRON,
        "Drain calls per address in any sliding minute.",
    )
    .default("12")
    .later(),
    list(
        "CRON_ALLOWED_IPS",
        CRON,
        "The only client addresses that may drain queues; unset looks at the token alone.",
    )
    .each(check::ip_address)
    .later(),
    integer(
        "APPROVAL_MAX_AGE_HOURS",
        (1, ANY),
        CRON,
        "Age at which a pending approval is closed.",
    )
    .default("168")
    .bad_value(BadValue::FallsBack)
    .later(),
    integer(
        "OUTBOX_REAPER_STALENESS_SECONDS",
        (1, ANY),
        CRON,
        "Age at which a claimed outbox row is released again.",
    )
    .default("300")
    .bad_value(BadValue::FallsBack)
    .later(),
    secret(
        "WEBHOOK_SIGNING_SECRET",
        WEBHOOKS,
        "Signs deliveries and checks callbacks of workspaces without their own.",
    )
    .required("in production")
    .later(),
    secret(
        "WEBHOOK_SIGNING_SECRET_PREVIOUS",
        WEBHOOKS,
        "The former WEBHOOK_SIGNING_SECRET, still accepted on callbacks.",
    )
    .required("during rotation")
    .later()
    .ours(),
    flag(
        "ALLOW_UNSIGNED_WEBHOOKS",
        WEBHOOKS,
        "Takes unsigned callbacks while developing; production ignores it with an error.",
    )
    .bad_value(BadValue::SafeSide(false))
    .later(),
    secret(
        "WHATSAPP_APP_SECRET",
        WEBHOOKS,
        "Checks the signature of WhatsApp calls; unset refuses them.",
    )
    .required("for the WhatsApp channel")
    .later(),
    secret(
        "WHATSAPP_WEBHOOK_VERIFY_TOKEN",
        WEBHOOKS,
        "What Meta must show to subscribe.",
    )
    .required("for the WhatsApp channel")
    .later(),
];
