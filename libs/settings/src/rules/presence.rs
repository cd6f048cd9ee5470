//! What must be there (B-CFG-2, C-22): by capability, and only for the owners that need it.

use crate::check::is_local_database;
use crate::owner::Owner;
use crate::registry;
use crate::resolve::Resolution;
use crate::rules::tokens;

/// Something a deployment must have.
pub(crate) struct Capability {
    /// The setting that gives it, named where it is missing.
    pub(crate) setting: &'static str,
    /// Other settings that give it too.
    pub(crate) or: &'static [&'static str],
    /// What happens without it outside production; `None` is nothing to speak of.
    elsewhere: Option<&'static str>,
}

const fn capability(setting: &'static str, elsewhere: Option<&'static str>) -> Capability {
    Capability {
        setting,
        or: &[],
        elsewhere,
    }
}

pub(crate) const REQUIRED: &[Capability] = &[
    capability(
        "DATABASE_URL",
        Some("is not set: data is kept in memory, of this process alone"),
    ),
    Capability {
        or: &["NEXTAUTH_SECRET"],
        ..capability(
            "JWT_SIGNING_SECRET",
            Some("is not set: tokens are signed with a key that everybody knows"),
        )
    },
    capability(
        "NEXTAUTH_SECRET",
        Some("is not set: browser sessions have no key of their own"),
    ),
    capability(
        "API_KEY_PEPPER",
        Some("is not set: stored hashes of keys have no pepper"),
    ),
    // Its absence elsewhere depends on the database, see `keys`.
    Capability {
        or: &["CONNECTOR_ENCRYPTION_KEY", "KMS_KEY_ID"],
        ..capability("CAUSELOOP_MASTER_KEY", None)
    },
    capability("WEBHOOK_SIGNING_SECRET", None),
    capability("INTERNAL_SERVICE_SECRET", None),
    capability("WORKER_SECRET", None),
];

/// What production can go without, but should know about.
const ADVISED: &[(&str, &str)] = &[
    (
        "CORS_ALLOWED_ORIGINS",
        "is not set: every cross-origin call is denied",
    ),
    (
        "NEXTAUTH_URL",
        "is not set: the public address is unknown, so mail carries no links",
    ),
    ("APP_API_KEY", "is not set: task routes answer 401 to API keys"),
    ("COSIGN_KEY", "is not set: provenance answers are marked unsigned"),
];

pub(super) fn apply(resolution: &mut Resolution) {
    REQUIRED
        .iter()
        .for_each(|capability| required(resolution, capability));
    if resolution.tier.is_production() {
        for (name, message) in ADVISED {
            if missing(resolution, name) {
                resolution.warn(name, *message);
            }
        }
    }
    redis(resolution);
    stated_tier(resolution);
}

fn required(resolution: &mut Resolution, capability: &Capability) {
    let name = capability.setting;
    if !missing(resolution, name) || (name == "JWT_SIGNING_SECRET" && needs_no_secret(resolution)) {
        return;
    }
    let substitute = capability.or.iter().find(|other| resolution.is_given(other));
    match (resolution.tier.is_production(), substitute, capability.elsewhere) {
        (true, None, _) => {
            let message = format!("must be set in production{}", other_names(capability));
            // A malformed value has been reported already.
            if !resolution.problems.iter().any(|problem| problem.setting == name) {
                resolution.problem(name, message);
            }
        }
        (true, Some(&"NEXTAUTH_SECRET"), _) => {
            resolution.warn(name, "is not set: NEXTAUTH_SECRET signs the access tokens too");
        }
        (false, None, Some(message)) => resolution.warn(name, message),
        _ => {}
    }
}

/// With a pair of keys a secret is of use to auth alone, and only where refresh tokens have none of their own.
fn needs_no_secret(resolution: &Resolution) -> bool {
    let refresh = resolution.is_given("AUTH_REFRESH_TOKEN_SECRET");
    !tokens::signs_with_a_secret(resolution) && (refresh || !resolution.owners.contains(&Owner::Auth))
}

fn other_names(capability: &Capability) -> String {
    let aliases = registry::find(capability.setting).map_or(&[][..], |setting| setting.aliases);
    let names: Vec<_> = aliases.iter().chain(capability.or).copied().collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" (or {})", names.join(" or "))
    }
}

fn missing(resolution: &Resolution, name: &str) -> bool {
    let setting = registry::find(name).filter(|setting| resolution.checks(setting));
    setting.is_some() && !resolution.is_given(name)
}

/// C-23: the all-in-one program does without Redis unless it was asked for; separate processes cannot.
fn redis(resolution: &mut Resolution) {
    if !resolution.tier.is_production() || resolution.is_given("REDIS_URL") {
        return;
    }
    let runs = |owner| resolution.owners.contains(&owner);
    let publishes = resolution.raw("EVENT_PUBLISHER").as_deref() == Some("redis");
    let asked_for = runs(Owner::Events) && publishes && resolution.is_given("EVENT_PUBLISHER");
    let alone = !runs(Owner::Gateway) && (runs(Owner::Worker) || (runs(Owner::Events) && publishes));
    if asked_for || alone {
        resolution.problem(
            "REDIS_URL",
            "must be set in production with EVENT_PUBLISHER=redis or a separate worker",
        );
    } else if runs(Owner::Events) && publishes {
        resolution.warn(
            "REDIS_URL",
            "is not set: cache, limits, queue and events stay inside this process",
        );
    }
}

/// C-1: a production deployment of a system that knows no tiers would run unchecked.
fn stated_tier(resolution: &mut Resolution) {
    let remote = resolution
        .given_raw("DATABASE_URL")
        .is_some_and(|url| !is_local_database(&url));
    if remote && !resolution.is_given("NODE_ENV") {
        resolution.warn(
            "NODE_ENV",
            "is not set while the database is remote: the checks are those of development",
        );
    }
}
