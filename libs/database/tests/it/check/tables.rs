//! RLS-02, RLS-03, RLS-04: tables and their policies.

use super::plant;

const SCOPE: &str = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)";

/// Takes whatever policies there are away and puts the canonical one back.
const BACK: &str = "DROP POLICY IF EXISTS workspace ON notes.notes; DROP POLICY IF EXISTS second ON notes.notes; \
                    SELECT causeway.enable_workspace_policy('notes.notes')";

#[tokio::test]
async fn a_table_without_enabled_and_forced_security_is_found() {
    plant(&[
        (
            "ALTER TABLE notes.notes DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE notes.notes ENABLE ROW LEVEL SECURITY",
            "RLS-02 notes.notes: row-level security is not enabled",
        ),
        (
            "ALTER TABLE notes.notes NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE notes.notes FORCE ROW LEVEL SECURITY",
            "RLS-02 notes.notes: row-level security is not forced upon the owner",
        ),
    ])
    .await;
}

#[tokio::test]
async fn anything_but_one_policy_is_found() {
    plant(&[
        (
            "DROP POLICY workspace ON notes.notes",
            BACK,
            "RLS-02 notes.notes: has 0 policies and not the one",
        ),
        (
            "CREATE POLICY second ON notes.notes USING (true)",
            "DROP POLICY second ON notes.notes",
            "RLS-02 notes.notes: has 2 policies and not the one",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_policy_for_some_commands_or_some_roles_is_found() {
    for limits in [
        "FOR SELECT USING (true)",
        "TO causeway_test_service USING (true)",
        "AS RESTRICTIVE USING (true)",
    ] {
        plant(&[(
            &format!("DROP POLICY workspace ON notes.notes; CREATE POLICY workspace ON notes.notes {limits}"),
            BACK,
            "RLS-02 notes.notes: the policy workspace does not hold for every command and every role",
        )])
        .await;
    }
}

#[tokio::test]
async fn a_policy_without_its_own_with_check_is_found() {
    plant(&[(
        &format!(
            "DROP POLICY workspace ON notes.notes; \
             CREATE POLICY workspace ON notes.notes USING (workspace_id = {SCOPE})"
        ),
        BACK,
        "RLS-02 notes.notes: the policy workspace has no WITH CHECK of its own",
    )])
    .await;
}

#[tokio::test]
async fn every_other_text_of_a_policy_is_found() {
    for text in [
        "true".to_owned(),
        format!("workspace_id = {SCOPE} OR current_setting('app.admin', true) = 'on'"),
        format!("workspace_id IN (SELECT workspace_id FROM notes.lines WHERE workspace_id = {SCOPE})"),
        "workspace_id::text = current_setting('app.workspace_id', true)".to_owned(),
        // Raises on a connection that was used before.
        "workspace_id = (SELECT current_setting('app.workspace_id', true)::uuid)".to_owned(),
        format!("id = {SCOPE}"),
    ] {
        for side in ["USING", "WITH CHECK"] {
            plant(&[(
                &format!("ALTER POLICY workspace ON notes.notes {side} ({text})"),
                BACK,
                "RLS-04 notes.notes: the policy workspace is not the canonical one",
            )])
            .await;
        }
    }
}

#[tokio::test]
async fn a_workspace_id_that_may_be_missing_or_is_no_uuid_is_found() {
    plant(&[
        (
            "CREATE TABLE notes.loose (workspace_id uuid UNIQUE, id uuid PRIMARY KEY); \
             SELECT causeway.enable_workspace_policy('notes.loose')",
            "DROP TABLE notes.loose",
            "RLS-02 notes.loose: workspace_id is not \"uuid NOT NULL\"",
        ),
        (
            "CREATE TABLE notes.loose (workspace_id text PRIMARY KEY)",
            "DROP TABLE notes.loose",
            "RLS-02 notes.loose: workspace_id is not \"uuid NOT NULL\"",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_partition_needs_its_own_policy() {
    plant(&[(
        "CREATE TABLE notes.parted (workspace_id uuid PRIMARY KEY) PARTITION BY HASH (workspace_id); \
         SELECT causeway.enable_workspace_policy('notes.parted'); \
         CREATE TABLE notes.part PARTITION OF notes.parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "DROP TABLE notes.parted",
        "RLS-02 notes.part: row-level security is not enabled",
    )])
    .await;
}

#[tokio::test]
async fn a_table_without_a_workspace_has_to_be_declared() {
    plant(&[
        (
            "CREATE TABLE notes.loose (id int PRIMARY KEY)",
            "DROP TABLE notes.loose",
            "RLS-03 notes.loose: has no workspace_id and is not declared as unscoped",
        ),
        (
            "ALTER TABLE notes.counters RENAME TO numbers",
            "ALTER TABLE notes.numbers RENAME TO counters",
            "RLS-03 notes.counters: is declared as unscoped and does not exist",
        ),
        (
            "ALTER TABLE notes.counters ADD COLUMN workspace_id uuid",
            "ALTER TABLE notes.counters DROP COLUMN workspace_id",
            "RLS-03 notes.counters: is declared as unscoped and has a workspace_id",
        ),
    ])
    .await;
}
