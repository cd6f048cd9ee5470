//! What the schemas of this service keep of tenants: the lists that erasures, exports and the sealing anew go by.

use causeway_holder::{Holding, RowOwner, Rows, SealedColumn, TENANT_TABLE, TenantTable};

/// The schema `tenancy`.
pub static HOLDING: Holding = Holding {
    schema: "tenancy",
    tables: &[
        TenantTable {
            name: "export_chunks",
            key: &["export", "number"],
            rows: Rows::Objects,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "export_jobs",
            owner: RowOwner::Column,
            key: &["export"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "exports",
            key: &["id"],
            anonymise: Some("requested_by"),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "invitation_index",
            owner: RowOwner::Column,
            key: &["invitation"],
            omit: &["secret_hash"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "invitations",
            key: &["id"],
            subject: Some("invited_by"),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "membership_index",
            owner: RowOwner::Column,
            key: &["user_id"],
            subject: Some("user_id"),
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "members",
            key: &["user_id"],
            subject: Some("user_id"),
            ..TENANT_TABLE
        },
        // After those who have a role.
        TenantTable {
            name: "roles",
            key: &["id"],
            omit: &["name_key"],
            ..TENANT_TABLE
        },
        TenantTable {
            name: "settings",
            ..TENANT_TABLE
        },
        TenantTable {
            name: "secrets",
            key: &["name"],
            omit: &["sealed"],
            sealed: Some(SealedColumn {
                column: "sealed",
                key_version: "key_version",
                version: "version",
                row: "id::text || ':' || name",
                purpose: "kind",
            }),
            ..TENANT_TABLE
        },
        TenantTable {
            name: "key_fences",
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "workspaces",
            ..TENANT_TABLE
        },
    ],
    others: &[
        ("outbox", "a fact goes as soon as the audit log has it"),
        ("erasures_applied", "the marks of what was erased: ids and counts"),
        ("revocations", "ids that end by themselves within minutes"),
        (
            "doomed_objects",
            "the list of bytes to throw away; it empties itself",
        ),
    ],
};

/// The schema `keystore`. It has no `erasures_applied`: what is erased here goes in the transaction that erases in
/// `tenancy`, and a restored keystore is cleared anew by every replay.
pub static KEYSTORE_HOLDING: Holding = Holding {
    schema: "keystore",
    tables: &[
        TenantTable {
            name: "rotation_failures",
            key: &["rotation", "table_name", "row_key"],
            ..TENANT_TABLE
        },
        TenantTable {
            name: "rotation_leases",
            owner: RowOwner::Column,
            key: &["workspace"],
            rows: Rows::NotExported,
            ..TENANT_TABLE
        },
        TenantTable {
            name: "rotations",
            key: &["id"],
            ..TENANT_TABLE
        },
    ],
    others: &[
        (
            "workspace_keys",
            "wrapped keys: destroyed by an erasure and left as marks, and never shown",
        ),
        (
            "keyed_workspaces",
            "ids of workspaces: a mark that there were keys, for whoever wraps them anew",
        ),
        ("outbox", "a fact goes as soon as the audit log has it"),
    ],
};
