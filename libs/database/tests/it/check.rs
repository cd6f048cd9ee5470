//! The boot check finds each way in which a database can be wrong: every rule has a test that plants the hole.

mod keys;
mod objects;
mod roles;
mod tables;

use causeway_database::{Database, PoolOptions, Schema};
use causeway_testkit::TestDb;
use diesel_migrations::embed_migrations;
use secrecy::SecretString;

use crate::NOTES;

async fn findings(test: &TestDb) -> Vec<String> {
    of(&test.service().await).await
}

async fn as_role(url: &SecretString) -> Vec<String> {
    of(&Database::connect(url, PoolOptions::default()).await.unwrap()).await
}

async fn of(database: &Database) -> Vec<String> {
    let findings = database.check(&[&NOTES]).await.unwrap();
    findings.iter().map(ToString::to_string).collect()
}

/// Makes each hole, sees what is found, and closes it again: `change`, `back`, the finding.
async fn plant(holes: &[(&str, &str, &str)]) {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    for (change, back, finding) in holes {
        test.admin(change).await;
        let found = findings(&test).await;
        assert!(found.iter().any(|found| found == finding), "{change}: {found:?}");
        test.admin(back).await;
        assert_eq!(findings(&test).await, [""; 0], "{back}");
    }
}

#[tokio::test]
async fn a_migrated_schema_passes() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    assert_eq!(findings(&test).await, [""; 0]);
}

#[tokio::test]
async fn a_migration_that_was_not_applied_is_found() {
    plant(&[(
        "DELETE FROM notes.__diesel_schema_migrations",
        "INSERT INTO notes.__diesel_schema_migrations (version) VALUES ('20260101000001')",
        "MIGRATION notes: not migrated to 20260101000001",
    )])
    .await;
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
