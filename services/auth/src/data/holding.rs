//! What the schema `auth` keeps of tenants: the one list that erasures, exports and the sealing anew go by.

use causeway_holder::{Holding, RowOwner, Rows, SealedColumn, TENANT_TABLE, TenantTable};

const HASHES: &[&str] = &["hash", "scheme", "pepper_id"];

/// The schema `auth`.
pub static HOLDING: Holding = Holding {
    schema: "auth",
    tables: &[
        TenantTable {
            name: "client_index",
            owner: RowOwner::Column,
            key: &["client_id"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "client_secret_index",
            owner: RowOwner::Column,
            key: &["secret_id"],
            omit: &["hash"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "client_secrets",
            key: &["id"],
            omit: HASHES,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "clients",
            key: &["id"],
            ..TENANT_TABLE
        },
        TenantTable {
            name: "revoked_access_tokens",
            key: &["jti"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "token_index",
            owner: RowOwner::Column,
            key: &["token_id"],
            omit: HASHES,
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "tokens",
            key: &["id"],
            subject: Some("user_id"),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "factors",
            key: &["user_id"],
            subject: Some("user_id"),
            omit: &["seed"],
            sealed: Some(SealedColumn {
                column: "seed",
                key_version: "key_version",
                version: "1",
                row: "user_id::text",
                purpose: "'totp'",
            }),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "refresh_tokens",
            owner: RowOwner::Parent {
                column: "session_id",
                table: "sessions",
                key: "id",
            },
            key: &["session_id", "issued_at"],
            omit: &["hash"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "sessions",
            owner: RowOwner::Column,
            key: &["id"],
            subject: Some("user_id"),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "sign_ins",
            owner: RowOwner::Column,
            key: &["id"],
            subject: Some("user_id"),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "key_fences",
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
    ],
    others: &[
        (
            "accounts",
            "belongs to a person: goes with the person's last workspace",
        ),
        (
            "identities",
            "belongs to a person: goes with the person's last workspace",
        ),
        ("mail_tokens", "belongs to a person, and ends within days"),
        (
            "second_factors",
            "belongs to a person: goes with the person's last workspace",
        ),
        ("recovery_codes", "goes with the second factor"),
        (
            "factor_tries",
            "belongs to a person: goes with the person's last workspace",
        ),
        ("passed_factors", "goes with the session or the token that passed"),
        (
            "known_places",
            "belongs to a person: goes with the person's last workspace",
        ),
        (
            "disabled_persons",
            "belongs to a person: goes with the person's last workspace",
        ),
        ("guesses", "keyed hashes that end by themselves"),
        ("used_proofs", "hashes that end by themselves"),
        ("revocations", "ids that end by themselves within minutes"),
        ("outbox", "a fact goes as soon as the audit log has it"),
        ("erasures_applied", "the marks of what was erased: ids and counts"),
    ],
};

/// What belongs to a person and not to a workspace, by `user_id`; what refers to others comes first.
pub(crate) const OF_A_PERSON: &[&str] = &[
    "passed_factors",
    "factor_tries",
    "second_factors",
    "known_places",
    "sign_ins",
    "mail_tokens",
    "disabled_persons",
    "sessions",
    "identities",
    "accounts",
];
