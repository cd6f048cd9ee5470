//! What production refuses, and what it ignores.

use crate::registry;
use crate::resolve::Resolution;

const PUBLIC_JWT_KEY: &str = "dev-secret-change-me";
const LEAST_KEY_BYTES: usize = 32;

/// A value that production does not start with.
pub(crate) const REFUSED: &[(&str, &str, &str)] = &[
    ("RLS_AUTO_ENABLE", "false", "must not be false in production"),
    (
        "MFA_ENFORCEMENT_DISABLED",
        "true",
        "must not be true in production",
    ),
    (
        "WORKER_SECRET",
        "worker-internal",
        "must be changed in production, everybody knows this value",
    ),
];

/// A value that production starts with, but tells.
const QUESTIONED: &[(&str, &str, &str)] = &[
    (
        "CSP_DISABLED",
        "true",
        "is ignored in production, the header is sent",
    ),
    (
        "ALLOW_UNSIGNED_WEBHOOKS",
        "true",
        "is ignored in production, signatures stay mandatory",
    ),
    (
        "OPENSEARCH_TLS_REJECT_UNAUTHORIZED",
        "false",
        "leaves the connection to OpenSearch open to forgery",
    ),
    ("OPENSEARCH_TLS_ENABLED", "false", "sends searches unencrypted"),
];

/// Root secrets that a text which is short, or known to everybody, would weaken (JWT-10).
const ROOTS: &[&str] = &[
    "INTERNAL_SERVICE_SECRET",
    "INTERNAL_SERVICE_SECRET_PREVIOUS",
    "NEXTAUTH_SECRET",
    "API_KEY_PEPPER",
    "API_KEY_PEPPER_PREVIOUS",
    "AUTH_REFRESH_TOKEN_SECRET",
    "WEBHOOK_SIGNING_SECRET",
];

/// Names that have no place in a production server.
const MISPLACED: &[(&str, &str)] = &[
    ("VITEST", "is for test runs and should not be set in production"),
    (
        "TEST_API_KEY",
        "is for test runs and should not be set in production",
    ),
    (
        "TEST_TENANT_ID",
        "is for test runs and should not be set in production",
    ),
    (
        "TEST_BASE_URL",
        "is for test runs and should not be set in production",
    ),
];

pub(super) fn apply(resolution: &mut Resolution) {
    misplaced_everywhere(resolution);
    if !resolution.tier.is_production() {
        return;
    }
    for (name, value, message) in REFUSED {
        if holds(resolution, name, value) {
            resolution.problem(name, *message);
        }
    }
    for (name, value, message) in QUESTIONED {
        if holds(resolution, name, value) {
            resolution.warn(name, *message);
        }
    }
    for (name, message) in MISPLACED {
        if resolution.is_given(name) {
            resolution.warn(name, *message);
        }
    }
    jwt_key(resolution);
    roots(resolution);
    cors(resolution);
    clerk(resolution);
    cookie(resolution);
}

fn holds(resolution: &Resolution, name: &str, value: &str) -> bool {
    checks(resolution, name) && resolution.raw(name).as_deref() == Some(value)
}

fn checks(resolution: &Resolution, name: &str) -> bool {
    registry::find(name).is_some_and(|setting| resolution.checks(setting))
}

fn misplaced_everywhere(resolution: &mut Resolution) {
    if resolution.is_given("_SEED_FROM_WORKER") {
        resolution.warn(
            "_SEED_FROM_WORKER",
            "is an internal marker that nobody should set; it is dropped",
        );
    }
    if resolution.is_given("KAIREON_LICENSE_PRIVATE_KEY") {
        resolution.warn(
            "KAIREON_LICENSE_PRIVATE_KEY",
            "belongs to the licence tool; keep it away from servers",
        );
    }
}

fn jwt_key(resolution: &mut Resolution) {
    let Some(key) = resolution.raw("JWT_SIGNING_SECRET") else {
        return;
    };
    if !checks(resolution, "JWT_SIGNING_SECRET") {
        return;
    }
    let name = resolution.used_name("JWT_SIGNING_SECRET").to_owned();
    if key == PUBLIC_JWT_KEY {
        resolution.problem(&name, "must be changed in production, everybody knows this value");
    } else if key.len() < LEAST_KEY_BYTES {
        resolution.problem(
            &name,
            format!("must be at least {LEAST_KEY_BYTES} bytes in production to sign tokens"),
        );
    }
}

fn roots(resolution: &mut Resolution) {
    let short = |name: &str| {
        let text = resolution.given_raw(name);
        text.is_some_and(|text| text.len() < LEAST_KEY_BYTES || text == PUBLIC_JWT_KEY)
    };
    let found: Vec<_> = ROOTS
        .iter()
        .filter(|name| checks(resolution, name) && short(name))
        .collect();
    for name in found {
        let message = format!("must be at least {LEAST_KEY_BYTES} bytes in production");
        resolution.problem(name, message);
    }
}

fn cors(resolution: &mut Resolution) {
    let origins = resolution.raw("CORS_ALLOWED_ORIGINS").unwrap_or_default();
    if checks(resolution, "CORS_ALLOWED_ORIGINS") && origins.split(',').any(|origin| origin == "*") {
        let name = resolution.used_name("CORS_ALLOWED_ORIGINS").to_owned();
        resolution.problem(&name, "must not allow every origin (*) in production");
    }
}

fn clerk(resolution: &mut Resolution) {
    let url = resolution.raw("CLERK_JWKS_URL");
    if checks(resolution, "CLERK_JWKS_URL") && url.is_some_and(|url| !url.starts_with("https://")) {
        resolution.problem("CLERK_JWKS_URL", "must begin with https:// in production");
    }
    // The default is a page of whoever develops here (EXC-02).
    let exchanges = resolution.raw("CLERK_JWKS_URL").is_some();
    let parties = "CLERK_AUTHORIZED_PARTIES";
    if exchanges && checks(resolution, parties) && !resolution.is_given(parties) {
        let message = "must name the frontend origins in production when CLERK_JWKS_URL is set";
        resolution.problem(parties, message);
    }
}

/// A cookie for other sites is sent by browsers over https only.
fn cookie(resolution: &mut Resolution) {
    let none = resolution.raw("AUTH_REFRESH_COOKIE_SAMESITE").as_deref() == Some("none");
    let https = resolution
        .raw("NEXTAUTH_URL")
        .is_some_and(|url| url.starts_with("https://"));
    if none && !https && checks(resolution, "AUTH_REFRESH_COOKIE_SAMESITE") {
        let message = "may be none only with a public address (NEXTAUTH_URL) that begins with https://";
        resolution.problem("AUTH_REFRESH_COOKIE_SAMESITE", message);
    }
}
