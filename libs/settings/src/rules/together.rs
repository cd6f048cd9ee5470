//! Settings that need one another (any tier).

use crate::registry;
use crate::resolve::Resolution;

/// When `setting` has one of `words`, all of `needs` must be set.
struct Needs {
    setting: &'static str,
    words: &'static [&'static str],
    needs: &'static [&'static str],
}

const fn needs(
    setting: &'static str,
    words: &'static [&'static str],
    needs: &'static [&'static str],
) -> Needs {
    Needs {
        setting,
        words,
        needs,
    }
}

const NEEDS: &[Needs] = &[
    needs("EVENT_PUBLISHER", &["kafka", "redpanda"], &["KAFKA_BROKERS"]),
    needs("EVENT_PUBLISHER", &["msk"], &["MSK_BROKERS"]),
    needs(
        "KAFKA_SASL_MECHANISM",
        &["plain", "scram-sha-256", "scram-sha-512"],
        &["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"],
    ),
    needs("STORAGE_BACKEND", &["s3"], &["ATTACHMENT_S3_BUCKET"]),
];

/// As [`NEEDS`], but only where the backend that reads the group is chosen.
const NEEDS_OF_BACKEND: &[(&str, &str, Needs)] = &[
    (
        "EVENT_PUBLISHER",
        "msk",
        needs(
            "MSK_AUTH_MODE",
            &["sasl"],
            &["MSK_SASL_USERNAME", "MSK_SASL_PASSWORD"],
        ),
    ),
    (
        "EVENT_PUBLISHER",
        "eventbridge",
        needs(
            "EVENTBRIDGE_AUTH_MODE",
            &["access_key"],
            &["EVENTBRIDGE_ACCESS_KEY_ID", "EVENTBRIDGE_SECRET_ACCESS_KEY"],
        ),
    ),
    (
        "EVENT_PUBLISHER",
        "kinesis",
        needs(
            "KINESIS_AUTH_MODE",
            &["access_key"],
            &["KINESIS_ACCESS_KEY_ID", "KINESIS_SECRET_ACCESS_KEY"],
        ),
    ),
    (
        "INTERACTION_STORE",
        "dynamodb",
        needs(
            "DYNAMODB_AUTH_MODE",
            &["access_key"],
            &["DYNAMODB_ACCESS_KEY_ID", "DYNAMODB_SECRET_ACCESS_KEY"],
        ),
    ),
    (
        "INTERACTION_STORE",
        "keyspaces",
        needs(
            "KEYSPACES_AUTH_MODE",
            &["access_key"],
            &["KEYSPACES_USERNAME", "KEYSPACES_PASSWORD"],
        ),
    ),
];

/// Both or none.
const PAIRS: &[(&str, &str)] = &[
    ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"),
    ("OIDC_ISSUER_URL", "OIDC_CLIENT_ID"),
    ("SCYLLA_USERNAME", "SCYLLA_PASSWORD"),
    ("OPENSEARCH_USERNAME", "OPENSEARCH_PASSWORD"),
    ("OPENSEARCH_ACCESS_KEY_ID", "OPENSEARCH_SECRET_ACCESS_KEY"),
];

pub(super) fn apply(resolution: &mut Resolution) {
    NEEDS.iter().for_each(|rule| apply_needs(resolution, rule));
    for (selector, word, rule) in NEEDS_OF_BACKEND {
        if resolution.raw(selector).as_deref() == Some(word) {
            apply_needs(resolution, rule);
        }
    }
    for (one, other) in PAIRS {
        lone(resolution, one, other);
        lone(resolution, other, one);
    }
    siem(resolution);
    upstash(resolution);
}

fn apply_needs(resolution: &mut Resolution, rule: &Needs) {
    let Some(word) = resolution
        .raw(rule.setting)
        .filter(|word| rule.words.contains(&word.as_str()))
    else {
        return;
    };
    for name in rule.needs {
        if checks(resolution, name) && !resolution.is_given(name) {
            resolution.problem(name, format!("must be set with {}={word}", rule.setting));
        }
    }
}

fn lone(resolution: &mut Resolution, given: &'static str, missing: &'static str) {
    if checks(resolution, given) && resolution.is_given(given) && !resolution.is_given(missing) {
        resolution.problem(missing, format!("must be set together with {given}"));
    }
}

fn siem(resolution: &mut Resolution) {
    let wanted = resolution.is_given("SIEM_BACKEND") && !resolution.is_given("SIEM_ENDPOINT");
    if wanted && checks(resolution, "SIEM_ENDPOINT") {
        resolution.warn("SIEM_ENDPOINT", "is not set, so nothing is shipped to the SIEM");
    }
}

fn upstash(resolution: &mut Resolution) {
    if resolution.is_given("UPSTASH_REDIS_REST_URL") && !resolution.is_given("REDIS_URL") {
        resolution.warn(
            "UPSTASH_REDIS_REST_URL",
            "is read by nothing; set REDIS_URL to use Redis",
        );
    }
}

fn checks(resolution: &Resolution, name: &str) -> bool {
    registry::find(name).is_some_and(|setting| resolution.checks(setting))
}
