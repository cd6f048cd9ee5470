//! A store as the documentation of the crate shows it.

use std::error::Error as StdError;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::{Class, Database, DatabaseError, WorkspaceTx};
use causeway_testkit::TestDb;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::NOTES;

diesel::table! {
    notes.notes (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        body -> Text,
    }
}

#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("the note exists")]
    Conflict,
    #[error("the store does not answer")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error.class() {
            Class::Conflict => Self::Conflict,
            Class::NotFound | Class::Serialization | Class::Unavailable | Class::Corrupt => {
                Self::Unavailable(error.into())
            }
        }
    }
}

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Note {
    id: Uuid,
    body: String,
}

#[async_trait]
trait NoteStore: Send + Sync {
    async fn insert(&self, workspace: WorkspaceId, note: &Note) -> Result<(), StoreError>;
    async fn find(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Note>, StoreError>;
}

struct PgNoteStore {
    database: Database,
}

#[async_trait]
impl NoteStore for PgNoteStore {
    async fn insert(&self, workspace: WorkspaceId, note: &Note) -> Result<(), StoreError> {
        self.database
            .workspace(
                "notes.insert",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    diesel::insert_into(notes::table)
                        .values((
                            notes::workspace_id.eq(workspace.0),
                            notes::id.eq(note.id),
                            notes::body.eq(&note.body),
                        ))
                        .execute(tx)
                        .await?;
                    Ok(())
                },
            )
            .await
    }

    async fn find(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Note>, StoreError> {
        self.database
            .workspace(
                "notes.find",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<Option<Note>, StoreError> {
                    let row: Option<(Uuid, String)> = notes::table
                        .filter(notes::workspace_id.eq(workspace.0).and(notes::id.eq(id)))
                        .select((notes::id, notes::body))
                        .first(tx)
                        .await
                        .optional()?;
                    Ok(row.map(|(id, body)| Note { id, body }))
                },
            )
            .await
    }
}

#[tokio::test]
async fn a_note_is_found_in_its_workspace_and_nowhere_else() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    let store: Box<dyn NoteStore> = Box::new(PgNoteStore {
        database: test.service().await,
    });
    let (workspace, note) = (
        WorkspaceId::generate(),
        Note {
            id: Uuid::now_v7(),
            body: "a".to_owned(),
        },
    );
    store.insert(workspace, &note).await.unwrap();
    assert!(matches!(
        store.insert(workspace, &note).await,
        Err(StoreError::Conflict)
    ));
    assert_eq!(store.find(workspace, note.id).await.unwrap(), Some(note.clone()));
    assert_eq!(store.find(WorkspaceId::generate(), note.id).await.unwrap(), None);
}
