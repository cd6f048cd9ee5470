//! Keys that seal data (C-7).

use crate::check::{is_local_database, is_local_url, is_one_byte, kms_region};
use crate::registry;
use crate::resolve::Resolution;

pub(super) fn apply(resolution: &mut Resolution) {
    if !registry::find("CAUSELOOP_MASTER_KEY").is_some_and(|setting| resolution.checks(setting)) {
        return;
    }
    versions_differ(resolution);
    placeholder_key(resolution);
    fallback_key(resolution);
    kms_address(resolution);
    kms_places(resolution);
}

/// A request to wrap a data key holds that key.
fn kms_address(resolution: &mut Resolution) {
    let endpoint = resolution.given_raw("KMS_ENDPOINT_URL");
    let open = endpoint.is_some_and(|url| url.starts_with("http://") && !is_local_url(&url));
    if open && resolution.tier.is_production() {
        resolution.problem(
            "KMS_ENDPOINT_URL",
            "must begin with https:// in production, unless it is on this machine",
        );
    } else if open {
        resolution.warn("KMS_ENDPOINT_URL", "sends data keys over an open connection");
    }
}

/// An ARN says its region itself; another one beside it is a mistake in one of the two.
fn kms_places(resolution: &mut Resolution) {
    let key = resolution.given_raw("KMS_KEY_ID").unwrap_or_default();
    let region = resolution.given_raw("KMS_REGION");
    if let (Some(of_key), Some(region)) = (kms_region(&key), region)
        && of_key != region
    {
        resolution.problem("KMS_REGION", "must be the region in KMS_KEY_ID, or unset");
    }
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

/// Thirty-two times the same byte comes out of an example and out of no random source. The former key may be one: that
/// is how it goes.
fn placeholder_key(resolution: &mut Resolution) {
    let key = resolution.given_raw("CAUSELOOP_MASTER_KEY");
    if resolution.tier.is_production() && key.is_some_and(|key| is_one_byte(&key)) {
        let message = "is a placeholder: its bytes are all the same (try: openssl rand -base64 32)";
        resolution.problem("CAUSELOOP_MASTER_KEY", message);
    }
}

fn fallback_key(resolution: &mut Resolution) {
    let has_key = ["CAUSELOOP_MASTER_KEY", "CONNECTOR_ENCRYPTION_KEY", "KMS_KEY_ID"]
        .iter()
        .any(|name| resolution.is_given(name));
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
