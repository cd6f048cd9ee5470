//! The outbox in PostgreSQL, within the transactions of a service.

use causeway_context::WorkspaceId;
use causeway_database::{Database, DatabaseError, Schema, WorkspaceTx};
use causeway_outbox::{
    OutboxEvent, OutboxStore as _, Outcome, PgOutbox, commit_with_outbox_row, insert_outbox_row,
};
use causeway_testkit::TestDb;
use chrono::DateTime;
use diesel_migrations::embed_migrations;
use serde_json::json;
use uuid::Uuid;

pub(crate) static SCHEMA: Schema = Schema {
    name: "facts",
    migrations: embed_migrations!("tests/migrations"),
    unscoped: &["outbox"],
};

fn event(workspace: WorkspaceId, target: &str) -> OutboxEvent {
    let details = json!({ "name": "nul \u{0} and \u{1F980}", "count": u64::MAX, "share": -0.0 });
    OutboxEvent {
        id: Uuid::now_v7(),
        workspace,
        action: "note.create".to_owned(),
        actor_kind: "user".to_owned(),
        actor_id: Uuid::now_v7().to_string(),
        target_kind: "note".to_owned(),
        target_id: target.to_owned(),
        outcome: Outcome::Success,
        occurred_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap_or_default(),
        request_id: "r".to_owned(),
        service: "facts".to_owned(),
        details: details.as_object().cloned().unwrap_or_default(),
    }
}

pub(crate) async fn insert(database: &Database, event: &OutboxEvent) {
    database
        .workspace(
            "test",
            event.workspace,
            async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
                Ok(insert_outbox_row(tx, SCHEMA.name, event).await?)
            },
        )
        .await
        .expect("add a fact");
}

#[tokio::test]
async fn facts_of_all_workspaces_come_in_order_until_they_are_sent() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let database = test.service().await;
    let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
    let events: Vec<_> = (0..5)
        .map(|number| event(WorkspaceId::generate(), &number.to_string()))
        .collect();
    for event in &events {
        insert(&database, event).await;
    }
    assert_eq!(outbox.unsent(3).await.unwrap(), events[..3]);
    outbox.mark_sent(&[events[0].id, events[1].id]).await.unwrap();
    assert_eq!(outbox.unsent(100).await.unwrap(), events[2..]);
}

#[tokio::test]
async fn a_fact_whose_transaction_fails_never_was() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let database = test.service().await;
    let lost = event(WorkspaceId::generate(), "lost");
    let failed = database.workspace(
        "test",
        lost.workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            insert_outbox_row(tx, SCHEMA.name, &lost).await?;
            Err(diesel::result::Error::NotFound.into())
        },
    );
    assert!(failed.await.is_err());
    assert_eq!(PgOutbox::new(database, SCHEMA.name).unsent(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_fact_that_commits_its_transaction_comes_with_what_was_done_before_or_not_at_all() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let database = test.service().await;
    let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
    let workspace = WorkspaceId::generate();
    let both = async |first: &OutboxEvent, second: &OutboxEvent| {
        let body = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            insert_outbox_row(tx, SCHEMA.name, first).await?;
            Ok(commit_with_outbox_row(tx, SCHEMA.name, second).await?)
        };
        database.workspace("test", workspace, body).await
    };
    let events: Vec<_> = (0..6)
        .map(|number| event(workspace, &number.to_string()))
        .collect();
    // On one connection: the first time the statement is new to it, later it is known.
    for pair in events.chunks(2) {
        both(&pair[0], &pair[1]).await.unwrap();
        let again = event(workspace, "taken back");
        both(&again, &pair[1]).await.unwrap_err();
    }
    assert_eq!(outbox.unsent(10).await.unwrap(), events);
}

#[tokio::test]
async fn a_fact_that_commits_late_is_not_passed_over() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let database = test.service().await;
    let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
    let (late, early) = (
        event(WorkspaceId::generate(), "late"),
        event(WorkspaceId::generate(), "early"),
    );
    let slow = database.workspace(
        "test",
        late.workspace,
        async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
            insert_outbox_row(tx, SCHEMA.name, &late).await?;
            insert(&database, &early).await;
            assert_eq!(outbox.unsent(10).await.unwrap(), std::slice::from_ref(&early));
            outbox.mark_sent(&[early.id]).await.unwrap();
            Ok(())
        },
    );
    slow.await.unwrap();
    assert_eq!(outbox.unsent(10).await.unwrap(), [late]);
}

#[tokio::test]
async fn the_table_passes_the_boot_check() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    assert_eq!(test.service().await.check(&[&SCHEMA]).await.unwrap(), []);
}

#[tokio::test]
async fn a_row_that_is_not_a_fact_hides_nothing_and_is_kept() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let database = test.service().await;
    let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
    let row =
        "INSERT INTO facts.outbox (id, workspace, event) SELECT gen_random_uuid(), gen_random_uuid(), '{}'";
    test.admin(&format!("{row} FROM generate_series(1, 5)")).await;
    let behind = event(WorkspaceId::generate(), "behind");
    insert(&database, &behind).await;
    assert_eq!(outbox.unsent(2).await.unwrap(), [behind]);
    test.admin(
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM facts.outbox WHERE parked_because LIKE 'NOT_A_FACT%') = 5; END $$",
    )
    .await;
}

#[tokio::test]
async fn a_parked_fact_can_be_sent_again() {
    let Some(test) = TestDb::new(&[&SCHEMA]).await else {
        return;
    };
    let database = test.service().await;
    let outbox = PgOutbox::new(database.clone(), SCHEMA.name);
    let fact = event(WorkspaceId::generate(), "parked");
    insert(&database, &fact).await;
    outbox.park(fact.id, "INVALID_ARGUMENT: no").await.unwrap();
    assert_eq!(outbox.unsent(10).await.unwrap(), []);
    test.admin("UPDATE facts.outbox SET parked_at = NULL").await;
    assert_eq!(outbox.unsent(10).await.unwrap(), [fact]);
}
