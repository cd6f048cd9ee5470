//! Search over the log and shipping it to a SIEM.

use crate::check;
use crate::owner::Owner::{self, Audit};
use crate::setting::{BadValue, Setting, choice, flag, integer, secret, text, url};

const OWN: &[Owner] = &[Audit];
const ANY: i64 = i64::MAX;

pub(super) const SETTINGS: &[Setting] = &[
    choice(
        "SEARCH_INDEX",
        &["pg", "opensearch"],
        OWN,
        "What answers searches: the database or OpenSearch.",
    )
    .default("pg")
    .later(),
    url("OPENSEARCH_NODE_URL", OWN, "Address of the OpenSearch node.")
        .default("https://localhost:9200")
        .later(),
    choice(
        "OPENSEARCH_AUTH_MODE",
        &["basic", "iam_role"],
        OWN,
        "How OpenSearch is logged in to.",
    )
    .default("basic")
    .later(),
    text(
        "OPENSEARCH_USERNAME",
        OWN,
        "User of OpenSearch; unset sends no login.",
    )
    .required("advised in basic mode")
    .later(),
    secret("OPENSEARCH_PASSWORD", OWN, "Password of that user.")
        .required("with OPENSEARCH_USERNAME")
        .later(),
    text("OPENSEARCH_REGION", OWN, "AWS region for signed requests.")
        .fallbacks(&["AWS_REGION"])
        .later(),
    text(
        "OPENSEARCH_ROLE_ARN",
        OWN,
        "Role to take on for signing; unset is the one the process has.",
    )
    .check(check::arn)
    .later(),
    text(
        "OPENSEARCH_ACCESS_KEY_ID",
        OWN,
        "Static key id for signing, before the role.",
    )
    .hidden()
    .later(),
    secret("OPENSEARCH_SECRET_ACCESS_KEY", OWN, "Secret of that key id.")
        .required("with OPENSEARCH_ACCESS_KEY_ID")
        .later(),
    flag("OPENSEARCH_TLS_ENABLED", OWN, "Speaks TLS to OpenSearch.")
        .default("true")
        .bad_value(BadValue::SafeSide(true))
        .later(),
    flag(
        "OPENSEARCH_TLS_REJECT_UNAUTHORIZED",
        OWN,
        "Refuses an OpenSearch certificate that does not verify.",
    )
    .default("true")
    .bad_value(BadValue::SafeSide(true))
    .later(),
    text(
        "OPENSEARCH_INDEX_PREFIX",
        OWN,
        "What every index name begins with.",
    )
    .check(check::index_prefix)
    .default("kaireon-")
    .later(),
    integer(
        "OPENSEARCH_REQUEST_TIMEOUT_MS",
        (1, ANY),
        OWN,
        "Deadline of one request to OpenSearch.",
    )
    .later(),
    integer(
        "OPENSEARCH_MAX_RETRIES",
        (0, 100),
        OWN,
        "How often a failed request to OpenSearch is repeated.",
    )
    .later(),
    choice(
        "SIEM_BACKEND",
        &["splunk", "datadog", "elastic"],
        OWN,
        "Which SIEM the log is shipped to; unset ships nothing.",
    )
    .bad_value(BadValue::Disables)
    .later(),
    url("SIEM_ENDPOINT", OWN, "Address that takes the records.")
        .required("with SIEM_BACKEND")
        .later(),
    secret("SIEM_API_KEY", OWN, "Credential shown to the SIEM.").later(),
    text("SIEM_SOURCETYPE", OWN, "Sourcetype of the records, for splunk.").later(),
    text("SIEM_INDEX", OWN, "Index of the records, for elastic.").later(),
];
