//! Migrations of one database by several processes, and back.

use causeway_database::{Schema, SystemTx, enable_policies, grant_role, migrate, revert};
use causeway_testkit::TestDb;
use diesel_migrations::embed_migrations;
use secrecy::SecretString;

use crate::{NOTES, execute, words};

static MORE: Schema = Schema {
    name: "more_notes",
    migrations: embed_migrations!("tests/migrations"),
    unscoped: &["counters", "outbox"],
};

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_migrate_once() {
    let Some(test) = TestDb::new(&[]).await else {
        return;
    };
    let schemas = [&NOTES, &MORE];
    let run = |_| migrate(test.owner_url(), test.service_url(), &schemas);
    let answers = futures::future::join_all((0..3).map(run)).await;
    let mut applied: Vec<String> = answers.into_iter().flat_map(Result::unwrap).collect();
    applied.sort();
    assert_eq!(applied, ["more_notes/20260101000001", "notes/20260101000001"]);
    assert_eq!(test.service().await.check(&[&NOTES, &MORE]).await.unwrap(), []);
}

#[tokio::test]
async fn migrations_can_be_taken_back_and_run_again() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    revert(test.owner_url(), &[&NOTES]).await.unwrap();
    let database = test.service().await;
    let tables = "SELECT tablename::text AS word FROM pg_tables WHERE schemaname = 'notes'";
    let left = database
        .system("test", async |tx: &mut SystemTx| words(tx, tables).await)
        .await
        .unwrap();
    assert_eq!(left, ["__diesel_schema_migrations"]);
    let behind = database.check(&[&NOTES]).await.unwrap();
    assert!(
        behind
            .iter()
            .any(|finding| finding.to_string() == "MIGRATION notes: not migrated to 20260101000001")
    );
    migrate(test.owner_url(), test.service_url(), &[&NOTES])
        .await
        .unwrap();
    assert_eq!(database.check(&[&NOTES]).await.unwrap(), []);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let Some(test) = TestDb::new(&[]).await else {
        return;
    };
    test.admin("CREATE SCHEMA notes AUTHORIZATION causeway_test_owner; CREATE TABLE notes.counters (id int)")
        .await;
    let error = migrate(test.owner_url(), test.service_url(), &[&NOTES])
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "migrate the schema notes");
    let database = test.service().await;
    assert!(execute(&database, "SELECT FROM notes.notes").await.is_err());
    test.admin("DROP TABLE notes.counters").await;
    assert_eq!(
        migrate(test.owner_url(), test.service_url(), &[&NOTES])
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_service_whose_password_is_refused_says_so_before_anything_is_done() {
    let Some(test) = TestDb::new(&[]).await else {
        return;
    };
    let nobody = SecretString::from("postgresql://nobody:x@127.0.0.1:1/x");
    assert!(migrate(test.owner_url(), &nobody, &[&NOTES]).await.is_err());
    assert!(
        execute(&test.service().await, "SELECT FROM notes.notes")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn tables_that_a_migration_left_open_are_closed_and_policies_are_left_alone() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin(
        "SET ROLE causeway_test_owner; CREATE TABLE notes.careless (workspace_id uuid PRIMARY KEY); \
         ALTER TABLE notes.lines DISABLE ROW LEVEL SECURITY; ALTER TABLE notes.notes NO FORCE ROW LEVEL SECURITY; \
         CREATE TABLE notes.other (workspace_id uuid PRIMARY KEY); \
         CREATE POLICY other ON notes.other USING (true) WITH CHECK (true)",
    )
    .await;
    let changed = enable_policies(test.owner_url(), &[&NOTES]).await.unwrap();
    assert_eq!(
        changed,
        ["notes.careless", "notes.lines", "notes.notes", "notes.other"]
    );
    let found = test.service().await.check(&[&NOTES]).await.unwrap();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["RLS-04 notes.other: the policy other is not the canonical one"]
    );
    assert_eq!(
        enable_policies(test.owner_url(), &[&NOTES]).await.unwrap(),
        [""; 0]
    );
}

#[tokio::test]
async fn a_role_of_maintenance_gets_the_rights_of_the_services() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let role = format!("worker_{}", uuid::Uuid::now_v7().simple());
    test.admin(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"))
        .await;
    let url = test.url_of(&role, "x");
    grant_role(test.owner_url(), &url, &[&NOTES]).await.unwrap();
    let worker = causeway_database::Database::connect(&url, causeway_database::PoolOptions::default())
        .await
        .unwrap();
    assert_eq!(worker.check(&[&NOTES]).await.unwrap(), []);
    test.admin(&format!("DROP OWNED BY {role}")).await;
    drop(worker);
    test.admin(&format!("DROP ROLE {role}")).await;
}
