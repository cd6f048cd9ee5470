//! The event publisher, its backends and its outbox loop.

use crate::check;
use crate::owner::Owner::{self, Cron, Events, Gateway, Worker};
use crate::setting::{BadValue, Setting, choice, flag, integer, list, secret, text};

const OWN: &[Owner] = &[Events];
const ANY: i64 = i64::MAX;

pub(super) const SETTINGS: &[Setting] = &[
    choice(
        "EVENT_PUBLISHER",
        &["redis", "kafka", "redpanda", "msk", "eventbridge", "kinesis"],
        OWN,
        "Where events go; only that backend's settings are read. redis without REDIS_URL is memory.",
    )
    .default("redis")
    .later(),
    secret(
        "REDIS_URL",
        &[Worker, Events, Gateway, Cron],
        "Redis or Valkey (redis:// or rediss://) for cache, limits, queue and events; unset uses memory.",
    )
    .check(check::redis_url)
    .required("in production, with a separate worker or with EVENT_PUBLISHER=redis")
    .later(),
    list("KAFKA_BROKERS", OWN, "Kafka or Redpanda brokers, host:port each.")
        .each(check::broker)
        .required("with EVENT_PUBLISHER=kafka or redpanda")
        .later(),
    text(
        "KAFKA_CLIENT_ID",
        OWN,
        "How we introduce ourselves to Kafka; unset is the service's name.",
    )
    .later(),
    flag("KAFKA_TLS_ENABLED", OWN, "Speaks TLS to Kafka.").later(),
    choice(
        "KAFKA_SASL_MECHANISM",
        &["plain", "scram-sha-256", "scram-sha-512"],
        OWN,
        "SASL login to Kafka; unset uses none.",
    )
    .later(),
    text("KAFKA_SASL_USERNAME", OWN, "SASL user of Kafka.")
        .required("with KAFKA_SASL_MECHANISM")
        .later(),
    secret("KAFKA_SASL_PASSWORD", OWN, "SASL password of Kafka.")
        .required("with KAFKA_SASL_MECHANISM")
        .later(),
    text(
        "KAFKA_CONSUMER_GROUP_ID",
        OWN,
        "Consumer group for reading Kafka; unset comes from the service's name.",
    )
    .later(),
    list("MSK_BROKERS", OWN, "Amazon MSK brokers, host:port each.")
        .each(check::broker)
        .required("with EVENT_PUBLISHER=msk")
        .later(),
    text("MSK_REGION", OWN, "AWS region of MSK.")
        .fallbacks(&["AWS_REGION"])
        .default("us-east-1")
        .later(),
    choice(
        "MSK_AUTH_MODE",
        &["iam_role", "sasl"],
        OWN,
        "How MSK is logged in to.",
    )
    .default("iam_role")
    .later(),
    text(
        "MSK_ROLE_ARN",
        OWN,
        "Role to take on for MSK; unset is the one the process has.",
    )
    .check(check::arn)
    .later(),
    text("MSK_SASL_USERNAME", OWN, "SASL user of MSK.")
        .required("with MSK_AUTH_MODE=sasl")
        .later(),
    secret("MSK_SASL_PASSWORD", OWN, "SASL password of MSK.")
        .required("with MSK_AUTH_MODE=sasl")
        .later(),
    text(
        "MSK_CONSUMER_GROUP_ID",
        OWN,
        "Consumer group for reading MSK; unset comes from the service's name.",
    )
    .later(),
    text("MSK_TOPIC_PREFIX", OWN, "What every MSK topic name begins with.").later(),
    choice(
        "EVENTBRIDGE_AUTH_MODE",
        &["iam_role", "access_key"],
        OWN,
        "How EventBridge is logged in to.",
    )
    .default("iam_role")
    .later(),
    text("EVENTBRIDGE_REGION", OWN, "AWS region of the bus.")
        .fallbacks(&["AWS_REGION"])
        .default("us-east-1")
        .later(),
    text(
        "EVENTBRIDGE_ROLE_ARN",
        OWN,
        "Role to take on for EventBridge; unset is the one the process has.",
    )
    .check(check::arn)
    .later(),
    text("EVENTBRIDGE_ACCESS_KEY_ID", OWN, "Static key id for EventBridge.")
        .required("with EVENTBRIDGE_AUTH_MODE=access_key")
        .hidden()
        .later(),
    secret("EVENTBRIDGE_SECRET_ACCESS_KEY", OWN, "Secret of that key id.")
        .required("with EVENTBRIDGE_AUTH_MODE=access_key")
        .later(),
    text(
        "EVENTBRIDGE_BUS_NAME",
        OWN,
        "Bus for events; unset is the account's own.",
    )
    .required("advised with EVENT_PUBLISHER=eventbridge")
    .later(),
    text(
        "EVENTBRIDGE_DETAIL_TYPE_PREFIX",
        OWN,
        "What every detail-type begins with.",
    )
    .later(),
    choice(
        "KINESIS_AUTH_MODE",
        &["iam_role", "access_key"],
        OWN,
        "How Kinesis is logged in to.",
    )
    .default("iam_role")
    .later(),
    text("KINESIS_REGION", OWN, "AWS region of the stream.")
        .fallbacks(&["AWS_REGION"])
        .default("us-east-1")
        .later(),
    text(
        "KINESIS_ROLE_ARN",
        OWN,
        "Role to take on for Kinesis; unset is the one the process has.",
    )
    .check(check::arn)
    .later(),
    text("KINESIS_ACCESS_KEY_ID", OWN, "Static key id for Kinesis.")
        .required("with KINESIS_AUTH_MODE=access_key")
        .hidden()
        .later(),
    secret("KINESIS_SECRET_ACCESS_KEY", OWN, "Secret of that key id.")
        .required("with KINESIS_AUTH_MODE=access_key")
        .later(),
    text("KINESIS_STREAM_NAME", OWN, "Stream for events.")
        .default("kaireon-events")
        .later(),
    text(
        "KINESIS_PARTITION_KEY",
        OWN,
        "Field of an event whose value picks the shard; unset is the tenant id.",
    )
    .later(),
    flag(
        "FLOW_STREAMING_ENABLED",
        OWN,
        "Starts the consumers of streamed flows.",
    )
    .later(),
    text(
        "OUTBOX_LIVENESS_FILE",
        OWN,
        "File that the publisher touches every round, for a liveness probe.",
    )
    .default("/tmp/outbox-publisher.alive")
    .later(),
    integer(
        "OUTBOX_POLL_INTERVAL_MS",
        (1, ANY),
        OWN,
        "Pause between two looks into the outbox.",
    )
    .default("2000")
    .bad_value(BadValue::FallsBack)
    .later(),
    integer(
        "OUTBOX_SHUTDOWN_DRAIN_TIMEOUT_MS",
        (1, ANY),
        OWN,
        "How long a stopping publisher waits.",
    )
    .default("15000")
    .bad_value(BadValue::FallsBack)
    .later(),
];
