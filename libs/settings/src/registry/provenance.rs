//! What a provenance bundle says about the build, and its signature.

use crate::check;
use crate::owner::Owner::{self, Audit};
use crate::setting::{BadValue, Setting, secret, text};

const OWN: &[Owner] = &[Audit];

pub(super) const SETTINGS: &[Setting] = &[
    text(
        "GIT_SHA",
        OWN,
        "Commit of the build; without it bundles have no SLSA statement.",
    )
    .later(),
    text("GIT_REPO", OWN, "Repository of the build.").later(),
    text(
        "IMAGE_NAME",
        OWN,
        "Container image, the subject of the statement.",
    )
    .later(),
    text(
        "IMAGE_DIGEST",
        OWN,
        "Digest of the running image, sha256: and 64 hex digits.",
    )
    .check(check::image_digest)
    .bad_value(BadValue::Disables)
    .later(),
    text(
        "SBOM_DIGEST_SHA256",
        OWN,
        "SHA-256 of the published bill of materials, 64 hex digits.",
    )
    .check(check::hex_digest)
    .bad_value(BadValue::Disables)
    .later(),
    text("BUILDER_ID", OWN, "Who built it, as builder.id.")
        .default("kaireon.platform.runtime")
        .later(),
    text(
        "BUILDER_VERSION",
        OWN,
        "Version of the builder, as builder.version.",
    )
    .default("unknown")
    .later(),
    text(
        "BUILD_STARTED_ON",
        OWN,
        "When the build began; unset is the time of the request.",
    )
    .check(check::timestamp)
    .bad_value(BadValue::Disables)
    .later(),
    text(
        "BUILD_FINISHED_ON",
        OWN,
        "When the build ended; unset is the time of the request.",
    )
    .check(check::timestamp)
    .bad_value(BadValue::Disables)
    .later(),
    text(
        "GITHUB_RUN_ID",
        OWN,
        "Build run, as invocationId; unset is the request id.",
    )
    .later(),
    text("COSIGN_BINARY", OWN, "The cosign program that signs bundles.")
        .default("cosign")
        .later(),
    secret(
        "COSIGN_KEY",
        OWN,
        "Private key for cosign; without it bundles say they are unsigned.",
    )
    .required("advised in production")
    .later(),
    secret(
        "COSIGN_PASSWORD",
        OWN,
        "Passphrase of that key, handed on to cosign unread.",
    )
    .required("with a COSIGN_KEY that has a passphrase")
    .later(),
];
