//! Workspaces and their secrets.

use crate::check;
use crate::owner::Owner::{self, Auth, Gateway, Tenancy};
use crate::setting::{BadValue, Setting, flag, integer, secret, text, url};

const OWN: &[Owner] = &[Tenancy];

pub(super) const SETTINGS: &[Setting] = &[
    secret(
        "CAUSELOOP_MASTER_KEY",
        OWN,
        "Base64 of the 32 bytes that wrap every workspace's data key (openssl rand -base64 32).",
    )
    .check(check::master_key)
    .required("in production, unless CONNECTOR_ENCRYPTION_KEY or KMS_KEY_ID is set")
    .risk("the fallback outside production is a key that everybody knows"),
    secret(
        "CAUSELOOP_MASTER_KEY_PREVIOUS",
        OWN,
        "The former CAUSELOOP_MASTER_KEY; opens what it wrapped until data keys are wrapped anew.",
    )
    .check(check::master_key)
    .required("during rotation")
    .ours(),
    secret(
        "CONNECTOR_ENCRYPTION_KEY",
        OWN,
        "Any text whose SHA-256 wraps data keys; beside CAUSELOOP_MASTER_KEY it only opens old ones.",
    )
    .required("in production, unless CAUSELOOP_MASTER_KEY or KMS_KEY_ID is set"),
    integer(
        "CONNECTOR_ENCRYPTION_KEY_VERSION",
        (0, i64::MAX),
        OWN,
        "Version written beside what that key seals.",
    )
    .default("1")
    .hidden()
    .later(),
    secret(
        "CONNECTOR_ENCRYPTION_KEY_PREVIOUS",
        OWN,
        "The former CONNECTOR_ENCRYPTION_KEY, to open old values.",
    )
    .required("during rotation"),
    integer(
        "CONNECTOR_ENCRYPTION_KEY_PREVIOUS_VERSION",
        (0, i64::MAX),
        OWN,
        "Version of the values that the former key opens; it must differ from the present one.",
    )
    .default("0")
    .required("with CONNECTOR_ENCRYPTION_KEY_PREVIOUS")
    .hidden()
    .later(),
    integer(
        "ERASURE_GRACE_HOURS",
        (0, 2160),
        OWN,
        "How long a deleted workspace waits for its erasure and can be taken back; 0 erases at once.",
    )
    .default("72")
    .ours(),
    integer(
        "KEYSTORE_BACKUP_RETENTION_DAYS",
        (0, 3650),
        OWN,
        "How long backups of the schema keystore are kept; an erasure's receipt says that it is in effect after that.",
    )
    .default("7")
    .ours(),
    text(
        "KMS_KEY_ID",
        OWN,
        "AWS KMS key (ARN, id or alias) that wraps data keys; keys of this process then only open old ones.",
    )
    .check(check::kms_key)
    .required("in production, unless CAUSELOOP_MASTER_KEY or CONNECTOR_ENCRYPTION_KEY is set")
    .ours(),
    text(
        "KMS_KEY_ID_PREVIOUS",
        OWN,
        "The former KMS_KEY_ID; opens what it wrapped until data keys are wrapped anew.",
    )
    .check(check::kms_key)
    .required("during rotation to another account or region, and away from KMS")
    .ours(),
    integer(
        "KEY_ROTATION_DUTY",
        (1, 100),
        OWN,
        "Percent of the time that a rotation of data keys works; it leaves the rest to the calls.",
    )
    .default("25")
    .ours(),
    text(
        "KMS_REGION",
        OWN,
        "AWS region of keys whose name does not say it.",
    )
    .check(check::aws_region)
    .fallbacks(&["AWS_REGION"])
    .default("us-east-1")
    .ours(),
    url(
        "KMS_ENDPOINT_URL",
        OWN,
        "Address of AWS KMS, where it is not the region's public one.",
    )
    .ours(),
    flag(
        "RLS_AUTO_ENABLE",
        OWN,
        "Puts tenant tables that lack row-level security behind it when migrating; the tier test never does.",
    )
    .default_per_tier(Some("true"), Some("false"), Some("true"))
    .bad_value(BadValue::SafeSide(true)),
    text(
        "PLATFORM_OWNER_TENANT_ID",
        &[Auth, Tenancy],
        "The one tenant that may write platform-wide settings, by its id or as `default`; unset allows none.",
    )
    .check(check::workspace),
    flag(
        "SINGLE_TENANT_MODE",
        &[Gateway, Auth, Tenancy],
        "Takes every request as one of a single tenant, `default`; who registers first owns it, others read.",
    ),
    flag(
        "PLAYGROUND_MODE",
        OWN,
        "Gives every new tenant a small set of sample data.",
    )
    .later(),
    flag(
        "DEMO_MODE",
        OWN,
        "Marks the deployment as a demonstration in the tenant status.",
    ),
];
