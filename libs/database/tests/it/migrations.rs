//! Migrations of one database by several processes, and back.

use causeway_database::{Schema, SystemTx, migrate, revert};
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
