//! Keys that seal data (C-7).

use crate::check::is_local_database;
use crate::registry;
use crate::resolve::Resolution;

pub(super) fn apply(resolution: &mut Resolution) {
    if !registry::find("CAUSELOOP_MASTER_KEY").is_some_and(|setting| resolution.checks(setting)) {
        return;
    }
    versions_differ(resolution);
    fallback_key(resolution);
}

/// Two keys under one version: nobody could tell which one opens a value.
fn versions_differ(resolution: &mut Resolution) {
    let version = resolution.raw("CONNECTOR_ENCRYPTION_KEY_VERSION");
    let previous = resolution.raw("CONNECTOR_ENCRYPTION_KEY_PREVIOUS_VERSION");
    if resolution.is_given("CONNECTOR_ENCRYPTION_KEY_PREVIOUS") && version == previous {
        let message = "must differ from CONNECTOR_ENCRYPTION_KEY_VERSION while a previous key is set";
        resolution.problem("CONNECTOR_ENCRYPTION_KEY_PREVIOUS_VERSION", message);
    }
}

fn fallback_key(resolution: &mut Resolution) {
    let has_key =
        resolution.is_given("CAUSELOOP_MASTER_KEY") || resolution.is_given("CONNECTOR_ENCRYPTION_KEY");
    if has_key || resolution.tier.is_production() {
        return;
    }
    let message = if development_key_allowed(resolution) {
        "is not set: secrets are sealed under a key that everybody knows"
    } else {
        "is not set: secrets cannot be stored, because the database is remote and NODE_ENV names no tier"
    };
    resolution.warn("CAUSELOOP_MASTER_KEY", message);
}

/// A server in an unstated tier must not seal real data under a public key.
pub(crate) fn development_key_allowed(resolution: &Resolution) -> bool {
    let local = resolution
        .given_raw("DATABASE_URL")
        .is_none_or(|url| is_local_database(&url));
    !resolution.tier.is_production() && (local || resolution.is_given("NODE_ENV"))
}
