//! RLS-13: what the server would do with the statements of a store.

use causeway_context::WorkspaceId;
use causeway_database::{DatabaseError, WorkspaceTx};
use causeway_testkit::{Rows, Statements, TestDb};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{NOTES, insert_note};

diesel::table! {
    notes.notes (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        body -> Text,
    }
}

diesel::table! {
    notes.lines (workspace_id, note_id, number) {
        workspace_id -> Uuid,
        note_id -> Uuid,
        number -> Integer,
    }
}

diesel::allow_tables_to_appear_in_same_query!(notes, lines);

/// What a store of notes does, each at least once.
async fn everything(test: &TestDb) -> Vec<String> {
    let statements = Statements::record();
    let database = test.service().await;
    let (workspace, id) = (WorkspaceId::generate(), Uuid::now_v7());
    let body = async |tx: &mut WorkspaceTx| -> Result<(), DatabaseError> {
        insert_note(tx, workspace, id).await?;
        let own = notes::table.filter(notes::workspace_id.eq(workspace.0));
        own.filter(notes::id.eq(id))
            .select(notes::body)
            .first::<String>(tx)
            .await?;
        own.filter(notes::id.gt(Uuid::nil()))
            .order(notes::id)
            .limit(50)
            .select(notes::id)
            .load::<Uuid>(tx)
            .await?;
        notes::table.count().get_result::<i64>(tx).await?;
        let lines_of = notes::workspace_id
            .eq(lines::workspace_id)
            .and(notes::id.eq(lines::note_id));
        notes::table
            .inner_join(lines::table.on(lines_of))
            .select(lines::number)
            .load::<i32>(tx)
            .await?;
        diesel::update(notes::table.find((workspace.0, id)))
            .set(notes::body.eq("b"))
            .execute(tx)
            .await?;
        diesel::delete(notes::table.find((workspace.0, id)))
            .execute(tx)
            .await?;
        Ok(())
    };
    database.workspace("test", workspace, body).await.unwrap();
    statements.sent()
}

/// A thousand workspaces with fifty notes each.
async fn fill(test: &TestDb) {
    test.admin(
        "INSERT INTO notes.notes SELECT ('00000001-0000-0000-0000-' || lpad(w::text, 12, '0'))::uuid, \
         gen_random_uuid(), 'a' FROM generate_series(1, 1000) w, generate_series(1, 50)",
    )
    .await;
    test.admin("VACUUM ANALYZE notes.notes").await;
}

/// Makes another policy of the canonical one.
fn with_policy(text: &str) -> String {
    format!("ALTER POLICY workspace ON notes.notes USING ({text})")
}

const SCOPE: &str = "(SELECT nullif(current_setting('app.workspace_id', true), '')::uuid)";

#[tokio::test]
async fn every_statement_of_a_sound_store_goes_by_workspace() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let sent = everything(&test).await;
    for verb in ["INSERT", "SELECT", "UPDATE", "DELETE"] {
        assert!(
            sent.iter().any(|statement| statement.starts_with(verb)),
            "{verb}: {sent:?}"
        );
    }
    assert_eq!(test.slow_plans(&sent, Rows::Few).await, [""; 0]);
    fill(&test).await;
    let of_notes: Vec<String> = sent
        .into_iter()
        .filter(|statement| !statement.contains("lines"))
        .collect();
    assert_eq!(test.slow_plans(&of_notes, Rows::Usual).await, [""; 0]);
}

#[tokio::test]
async fn policies_that_no_index_can_serve_are_seen() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    fill(&test).await;
    let count = ["SELECT count(*) FROM notes.notes".to_owned()];
    for (policy, rows) in [
        (
            "workspace_id::text = current_setting('app.workspace_id', true)".to_owned(),
            Rows::Usual,
        ),
        (
            format!("workspace_id = {SCOPE} OR current_setting('app.admin', true) = 'on'"),
            Rows::Usual,
        ),
        (
            format!("workspace_id IN (SELECT workspace_id FROM notes.lines) OR workspace_id = {SCOPE}"),
            Rows::Few,
        ),
    ] {
        test.admin(&with_policy(&policy)).await;
        let slow = test.slow_plans(&count, rows).await;
        assert_eq!(slow.len(), 1, "{policy}: {slow:?}");
        assert!(slow[0].contains("notes.notes"), "{slow:?}");
    }
    test.admin(&with_policy(&format!("workspace_id = {SCOPE}"))).await;
    assert_eq!(test.slow_plans(&count, Rows::Usual).await, [""; 0]);
}

#[tokio::test]
async fn a_table_without_an_index_by_workspace_is_seen() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin(
        "ALTER TABLE notes.lines DROP CONSTRAINT lines_pkey; CREATE INDEX other ON notes.lines (note_id, number)",
    )
    .await;
    let by_number = ["SELECT number FROM notes.lines WHERE note_id = $1".to_owned()];
    let slow = test.slow_plans(&by_number, Rows::Few).await;
    assert_eq!(
        slow,
        [format!(
            "notes.lines is not read by workspace_id: {}",
            by_number[0]
        )]
    );
    test.admin("DROP INDEX notes.other").await;
    let slow = test.slow_plans(&by_number, Rows::Few).await;
    assert_eq!(slow, [format!("all of notes.lines is read: {}", by_number[0])]);
}

#[tokio::test]
async fn what_cannot_be_planned_is_told() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let statements = ["SELECT nothing FROM notes.notes".to_owned(), "COMMIT".to_owned()];
    let slow = test.slow_plans(&statements, Rows::Few).await;
    assert_eq!(slow.len(), 1);
    assert!(
        slow[0].starts_with("cannot be planned, column \"nothing\" does not exist"),
        "{slow:?}"
    );
}
