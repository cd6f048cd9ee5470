//! Stores of interactions other than PostgreSQL.

use crate::check;
use crate::owner::Owner::{self, Scoring};
use crate::setting::{Setting, choice, flag, integer, list, secret, text};

const OWN: &[Owner] = &[Scoring];
const ANY: i64 = i64::MAX;

pub(super) const SETTINGS: &[Setting] = &[
    list(
        "SCYLLA_CONTACT_POINTS",
        OWN,
        "Hosts of the ScyllaDB or Cassandra cluster to ask first.",
    )
    .default("localhost")
    .later(),
    text(
        "SCYLLA_LOCAL_DATACENTER",
        OWN,
        "Datacenter of the cluster that is near.",
    )
    .default("datacenter1")
    .later(),
    text("SCYLLA_KEYSPACE", OWN, "Keyspace of interactions in the cluster.")
        .check(check::keyspace)
        .default("kaireon")
        .later(),
    text(
        "SCYLLA_USERNAME",
        OWN,
        "User of the cluster; unset logs in as nobody.",
    )
    .later(),
    secret("SCYLLA_PASSWORD", OWN, "Password of that user.")
        .required("with SCYLLA_USERNAME")
        .later(),
    flag("SCYLLA_TLS_ENABLED", OWN, "Speaks TLS to the cluster.").later(),
    integer(
        "SCYLLA_REPLICATION_FACTOR",
        (1, 100),
        OWN,
        "Copies of each row if the keyspace has to be made.",
    )
    .default_per_tier(Some("1"), Some("1"), Some("3"))
    .later(),
    text(
        "SCYLLA_CONSISTENCY_LEVEL",
        OWN,
        "How many replicas must agree, such as local-quorum or one.",
    )
    .check(check::consistency)
    .default("local-quorum")
    .later(),
    integer(
        "SCYLLA_POOL_SIZE",
        (1, ANY),
        OWN,
        "Connections to the cluster; unset leaves it to the driver.",
    )
    .later(),
    integer(
        "SCYLLA_REQUEST_TIMEOUT_MS",
        (1, ANY),
        OWN,
        "Deadline of one request to the cluster.",
    )
    .later(),
    text("DYNAMODB_TABLE_NAME", OWN, "DynamoDB table of interactions.")
        .default("kaireon-interactions")
        .later(),
    choice(
        "DYNAMODB_AUTH_MODE",
        &["iam_role", "access_key"],
        OWN,
        "How DynamoDB is logged in to.",
    )
    .default("iam_role")
    .later(),
    text("DYNAMODB_REGION", OWN, "AWS region of the table.")
        .fallbacks(&["AWS_REGION"])
        .default("us-east-1")
        .later(),
    text(
        "DYNAMODB_ROLE_ARN",
        OWN,
        "Role to take on for DynamoDB; unset is the one the process has.",
    )
    .check(check::arn)
    .later(),
    text("DYNAMODB_ACCESS_KEY_ID", OWN, "Static key id for DynamoDB.")
        .required("with DYNAMODB_AUTH_MODE=access_key")
        .hidden()
        .later(),
    secret("DYNAMODB_SECRET_ACCESS_KEY", OWN, "Secret of that key id.")
        .required("with DYNAMODB_AUTH_MODE=access_key")
        .later(),
    text(
        "KEYSPACES_KEYSPACE",
        OWN,
        "Amazon Keyspaces keyspace of interactions.",
    )
    .check(check::keyspace)
    .default("kaireon")
    .later(),
    text("KEYSPACES_USERNAME", OWN, "User of Amazon Keyspaces.")
        .required("with INTERACTION_STORE=keyspaces and KEYSPACES_AUTH_MODE=access_key")
        .later(),
    secret("KEYSPACES_PASSWORD", OWN, "Password of that user.")
        .required("with INTERACTION_STORE=keyspaces and KEYSPACES_AUTH_MODE=access_key")
        .later(),
    text(
        "KEYSPACES_REGION",
        OWN,
        "AWS region whose Keyspaces endpoint is used.",
    )
    .fallbacks(&["AWS_REGION"])
    .default("us-east-1")
    .later(),
    choice(
        "KEYSPACES_AUTH_MODE",
        &["access_key", "iam_role"],
        OWN,
        "How Keyspaces is logged in to.",
    )
    .default("access_key")
    .later(),
    integer(
        "KEYSPACES_REQUEST_TIMEOUT_MS",
        (1, ANY),
        OWN,
        "Deadline of one request to Keyspaces.",
    )
    .later(),
];
