//! Decision models.

use crate::owner::Owner::{self, Scoring};
use crate::setting::{BadValue, Setting, choice, flag, integer, secret, url};

const OWN: &[Owner] = &[Scoring];
const ANY: i64 = i64::MAX;

pub(super) const SETTINGS: &[Setting] = &[
    integer(
        "RETRAIN_EVERY_N",
        (1, ANY),
        OWN,
        "Learning models take up outcomes in lots of this many per tenant; 1 learns from each at once.",
    )
    .default("100")
    .later(),
    integer(
        "ATTRIBUTION_TIMEOUT_MS",
        (1, ANY),
        OWN,
        "How long an outcome waits for the decision it belongs to.",
    )
    .default("5000")
    .later(),
    flag(
        "NEGOTIATION_GLOBAL_KILL",
        OWN,
        "Refuses every apply of an agent negotiation, for all tenants; re-read while running.",
    )
    .bad_value(BadValue::SafeSide(false))
    .later(),
    url(
        "ML_WORKER_URL",
        OWN,
        "Address of an external scoring service in place of our own.",
    )
    .later(),
    secret(
        "ML_WORKER_API_KEY",
        OWN,
        "Bearer token of the external scoring service; ours asks for it too when set.",
    )
    .later(),
    integer(
        "ML_WORKER_TIMEOUT_MS",
        (1, ANY),
        OWN,
        "Deadline of one call to the external scoring service.",
    )
    .default("30000")
    .later(),
    integer(
        "ML_WORKER_PORT",
        (1, 65_535),
        OWN,
        "HTTP port of the scoring service where it stands alone.",
    )
    .default("8000")
    .later(),
    url(
        "ONNX_BLOB_STORE_URL",
        OWN,
        "Where uploaded model files go: file:// or s3://; unset keeps them in the model.",
    )
    .schemes(&["file://", "s3://"])
    .later(),
    integer(
        "ONNX_INLINE_BYTES_LIMIT",
        (1, ANY),
        OWN,
        "Largest model file that is kept in the model itself.",
    )
    .default("10485760")
    .later(),
    choice(
        "INTERACTION_STORE",
        &["pg", "dynamodb", "keyspaces", "scylla", "cassandra"],
        OWN,
        "Where interactions are kept; only the chosen store's group of settings is read.",
    )
    .default("pg")
    .later(),
];
