//! The public door.

use crate::check;
use crate::owner::Owner::{self, Auth, Gateway, Tenancy, Worker};
use crate::setting::{BadValue, Setting, choice, flag, integer, list, secret, text};

const OWN: &[Owner] = &[Gateway];
const WITH_TENANCY: &[Owner] = &[Gateway, Tenancy];

pub(super) const SETTINGS: &[Setting] = &[
    integer(
        "PORT",
        (1, 65_535),
        OWN,
        "TCP port of the public HTTP, gRPC and gRPC-web listener.",
    )
    .default("4000"),
    text("BIND_ADDR", OWN, "IP address on which the public listener opens.")
        .check(check::bind_address)
        .default("0.0.0.0")
        .ours(),
    list(
        "CORS_ALLOWED_ORIGINS",
        &[Auth, Gateway],
        "Browser origins that may call. `*` allows any, without credentials, never in production.",
    )
    .aliases(&["CORS_ORIGINS", "ALLOWED_ORIGINS"])
    .each(check::origin)
    .default_outside_production("http://localhost:3000")
    .allowlist(),
    list("CORS_ORIGINS", OWN, "Causeloop's name of CORS_ALLOWED_ORIGINS.").alias_of("CORS_ALLOWED_ORIGINS"),
    list(
        "ALLOWED_ORIGINS",
        OWN,
        "ai-platform's name of CORS_ALLOWED_ORIGINS.",
    )
    .alias_of("CORS_ALLOWED_ORIGINS"),
    list(
        "TRUSTED_PROXIES",
        OWN,
        "Proxies (addresses or CIDR) whose forwarded client address is believed; unset: none.",
    )
    .each(check::network)
    .ours(),
    integer(
        "MAX_BODY_BYTES",
        (1, 1 << 32),
        OWN,
        "Largest request body that is taken; a larger one is answered 413.",
    )
    .default("10485760")
    .ours(),
    integer(
        "RATE_LIMIT_PER_MINUTE",
        (0, i64::MAX),
        OWN,
        "Requests per minute and client address, counted in this process; 0 sets no limit.",
    )
    .default_per_tier(Some("6000"), Some("0"), Some("6000"))
    .ours(),
    choice(
        "RATE_LIMIT_TIER",
        &["free", "standard", "enterprise", "unlimited"],
        WITH_TENANCY,
        "Puts every tenant in this tier of the limiter instead of its own.",
    ),
    flag(
        "CSP_DISABLED",
        OWN,
        "Leaves the Content-Security-Policy header out while developing; ignored in production.",
    )
    .bad_value(BadValue::SafeSide(false)),
    text(
        "CSP_POLICY",
        OWN,
        "The whole Content-Security-Policy, in place of the computed one.",
    )
    .check(check::header_value),
    secret(
        "API_KEY",
        &[Gateway, Worker],
        "Key that internal jobs show on internal routes; it opens no public one.",
    ),
    text(
        "KAIREON_REGION",
        WITH_TENANCY,
        "Region this process serves, compared with a tenant's home region.",
    )
    .check(check::region)
    .default("us-east-1"),
    flag(
        "MULTI_REGION_ENABLED",
        WITH_TENANCY,
        "Sends requests of tenants whose home is another region there (REGION_URLS).",
    ),
    list(
        "REGION_URLS",
        OWN,
        "Public address of each region, as region=https://host,region=https://host; requests are sent to no other.",
    )
    .each(check::region_url)
    .ours(),
];
