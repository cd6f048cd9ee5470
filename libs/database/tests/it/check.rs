//! The boot check finds each way in which a database can be wrong.

use causeway_database::{Database, PoolOptions, Schema};
use causeway_testkit::TestDb;
use diesel_migrations::embed_migrations;
use secrecy::SecretString;

use crate::NOTES;

async fn findings(test: &TestDb) -> Vec<String> {
    let findings = test.service().await.check(&[&NOTES]).await.unwrap();
    findings.iter().map(ToString::to_string).collect()
}

async fn as_role(url: &SecretString) -> Vec<String> {
    let database = Database::connect(url, PoolOptions::default()).await.unwrap();
    database
        .check(&[&NOTES])
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn a_migrated_schema_passes() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    assert_eq!(findings(&test).await, [""; 0]);
}

#[tokio::test]
async fn each_hole_is_found() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let canonical = "workspace_id = (SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)";
    let policy =
        "RLS-02 notes.notes: does not have the canonical policy, for reading and writing, and no other";
    for (change, back, finding) in [
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
        (
            "CREATE POLICY second ON notes.notes USING (true)",
            "DROP POLICY second ON notes.notes",
            policy,
        ),
        (
            "ALTER POLICY workspace ON notes.notes USING (true)",
            &format!("ALTER POLICY workspace ON notes.notes USING ({canonical})"),
            policy,
        ),
        (
            "ALTER POLICY workspace ON notes.notes WITH CHECK (true)",
            &format!("ALTER POLICY workspace ON notes.notes WITH CHECK ({canonical})"),
            policy,
        ),
        (
            &format!(
                "DROP POLICY workspace ON notes.notes; CREATE POLICY workspace ON notes.notes USING ({canonical})"
            ),
            "DROP POLICY workspace ON notes.notes; SELECT causeway.enable_workspace_policy('notes.notes')",
            policy,
        ),
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
            "CREATE UNIQUE INDEX body ON notes.notes (body)",
            "DROP INDEX notes.body",
            "RLS-02 notes.notes: workspace_id is not first in the unique index body",
        ),
        (
            "ALTER TABLE notes.lines DROP CONSTRAINT lines_pkey",
            "ALTER TABLE notes.lines ADD PRIMARY KEY (workspace_id, note_id, number)",
            "RLS-02 notes.lines: has no primary key",
        ),
        (
            "CREATE UNIQUE INDEX loose ON notes.notes (id); ALTER TABLE notes.lines DROP CONSTRAINT lines_note, \
             ADD CONSTRAINT lines_note FOREIGN KEY (note_id) REFERENCES notes.notes (id)",
            "ALTER TABLE notes.lines DROP CONSTRAINT lines_note, ADD CONSTRAINT lines_note \
             FOREIGN KEY (workspace_id, note_id) REFERENCES notes.notes (workspace_id, id); DROP INDEX notes.loose",
            "RLS-08 notes.lines: the foreign key lines_note does not begin with workspace_id on both sides",
        ),
        (
            "CREATE VIEW notes.leak AS SELECT * FROM notes.notes",
            "DROP VIEW notes.leak",
            "RLS-07 notes.leak: is a view without security_invoker",
        ),
        (
            "CREATE MATERIALIZED VIEW notes.leak AS SELECT * FROM notes.notes",
            "DROP MATERIALIZED VIEW notes.leak",
            "RLS-07 notes.leak: is a materialized view, which no policy covers",
        ),
        (
            "CREATE FUNCTION notes.leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "DROP FUNCTION notes.leak",
            "RLS-07 notes.leak: is a SECURITY DEFINER function",
        ),
        (
            "GRANT TRUNCATE ON notes.notes TO causeway_test_service",
            "REVOKE TRUNCATE ON notes.notes FROM causeway_test_service",
            "RLS-09 notes.notes: the service may TRUNCATE",
        ),
        (
            "GRANT CREATE ON SCHEMA notes TO causeway_test_service",
            "REVOKE CREATE ON SCHEMA notes FROM causeway_test_service",
            "RLS-01 notes: the service may create objects in the schema",
        ),
        (
            "CREATE INDEX amount ON notes.notes (workspace_id, (length(body)::numeric))",
            "DROP INDEX notes.amount",
            "RLS-10 notes.amount: the operators of numeric_ops are not leakproof, so row-level security keeps the \
             index from being used",
        ),
        (
            "DELETE FROM notes.__diesel_schema_migrations",
            "INSERT INTO notes.__diesel_schema_migrations (version) VALUES ('20260101000001')",
            "MIGRATION notes: not migrated to 20260101000001",
        ),
    ] {
        test.admin(change).await;
        let found = findings(&test).await;
        assert!(found.iter().any(|found| found == finding), "{change}: {found:?}");
        test.admin(back).await;
        assert_eq!(findings(&test).await, [""; 0], "{back}");
    }
}

#[tokio::test]
async fn views_of_the_invoker_are_fine() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin("CREATE VIEW notes.mine WITH (security_invoker = true) AS SELECT * FROM notes.notes")
        .await;
    assert_eq!(findings(&test).await, [""; 0]);
}

#[tokio::test]
async fn a_superuser_is_found() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let found = as_role(&test.admin_url()).await;
    assert!(
        found.iter().any(|found| found.ends_with(": is a superuser")),
        "{found:?}"
    );
}

#[tokio::test]
async fn the_owner_is_found() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let found = as_role(test.owner_url()).await;
    let wanted = "RLS-01 causeway_test_owner: owns or may become the owner of ";
    assert!(found.iter().any(|found| found.starts_with(wanted)), "{found:?}");
}

#[tokio::test]
async fn a_role_that_may_become_another_is_found() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let role = format!("member_{}", uuid::Uuid::now_v7().simple());
    test.admin(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x' IN ROLE causeway_test_owner; CREATE ROLE {role}_free BYPASSRLS; \
         GRANT {role}_free TO {role}"
    ))
    .await;
    let found = as_role(&test.url_of(&role, "x")).await;
    test.admin(&format!("DROP ROLE {role}; DROP ROLE {role}_free"))
        .await;
    for wanted in [
        "owns or may become the owner of",
        &format!("may become {role}_free, which bypasses"),
    ] {
        assert!(
            found.iter().any(|found| found.contains(wanted)),
            "{wanted}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_schema_that_was_never_migrated_is_found() {
    static ABSENT: Schema = Schema {
        name: "absent",
        migrations: embed_migrations!("tests/migrations"),
        unscoped: &[],
    };
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let found = test.service().await.check(&[&ABSENT]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "MIGRATION absent: not migrated to 20260101000001"
    );
}
