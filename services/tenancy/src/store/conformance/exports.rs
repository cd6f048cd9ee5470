//! Exports.

use super::lifecycle::lease;
use super::*;
use crate::domain::{CHUNK_BYTES, Content, EXPORT_LIFE, Export, ExportState, ExportedTable};

pub(super) fn export(workspace: WorkspaceId, by: UserId, seconds: i64) -> Export {
    Export {
        id: Uuid::now_v7(),
        workspace,
        requested_by: Some(by),
        state: ExportState::Running,
        age_recipient: None,
        created_at: time(seconds),
        expires_at: time(seconds) + EXPORT_LIFE,
        content: Content::default(),
    }
}

/// B-TEN-25.
pub(crate) async fn an_export_shows_nothing_sealed(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let mut sealed = secret(workspace.id, "s");
    sealed.sealed = envelope(0xAB);
    fixture
        .store
        .insert_secret(&sealed, fact(workspace.id, "secret.created"))
        .await
        .expect("added");
    let parts = fixture.lines(workspace.id).await;
    let secrets = parts
        .iter()
        .find(|part| part.table == "tenancy.secrets")
        .expect("exported");
    let row: serde_json::Value = serde_json::from_slice(&secrets.lines).expect("one row");
    assert_eq!((&row["name"], &row["kind"]), (&"s".into(), &"custom".into()));
    assert_eq!(row.get("sealed"), None);
    assert!(!format!("{parts:?}").contains("abababab"));
}

pub(crate) async fn an_export_is_made_by_one_and_read_in_pieces(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let export = export(workspace.id, owner.user, 0);
    store
        .insert_export(&export, fact(workspace.id, "export.requested"))
        .await
        .expect("added");
    let first = lease(10);
    let (claimed, attempts) = store
        .claim_export(time(0), first)
        .await
        .expect("answered")
        .expect("due");
    assert_eq!((claimed.id, attempts), (export.id, 1));
    assert_eq!(
        store.claim_export(time(5), lease(15)).await.expect("answered"),
        None
    );
    let bytes = vec![7; CHUNK_BYTES];
    store
        .append_chunk(&export, first, 0, &bytes)
        .await
        .expect("added");
    let second = lease(40);
    let (_, attempts) = store
        .claim_export(time(20), second)
        .await
        .expect("answered")
        .expect("the lease ended");
    assert_eq!(attempts, 2);
    let lost = store.append_chunk(&export, first, 1, &bytes).await;
    assert!(matches!(lost, Err(StoreError::Conflict)));
    assert_eq!(
        store.read_chunk(workspace.id, export.id, 0).await.expect("read"),
        None,
        "begun anew"
    );
    store
        .append_chunk(&export, second, 0, &bytes)
        .await
        .expect("added");
    store
        .append_chunk(&export, second, 1, b"end")
        .await
        .expect("added");
    let content = Content {
        size_bytes: 3 + CHUNK_BYTES as u64,
        sha256: "ab".to_owned(),
        tables: vec![ExportedTable {
            table: "tenancy.members".to_owned(),
            rows: 1,
            sha256: "cd".to_owned(),
        }],
    };
    let made = fact(workspace.id, "export.made");
    store
        .finish_export(&export, second.token, Some(&content), made.clone())
        .await
        .expect("finished");
    let again = store.finish_export(&export, second.token, None, made).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    let found = store
        .find_export(workspace.id, export.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!((found.state, &found.content), (ExportState::Ready, &content));
    assert_eq!(
        store
            .read_chunk(workspace.id, export.id, 1)
            .await
            .expect("read")
            .as_deref(),
        Some(&b"end"[..])
    );
    assert_eq!(
        store
            .claim_export(time(1000), lease(2000))
            .await
            .expect("answered"),
        None
    );
    let other = WorkspaceId::generate();
    assert_eq!(store.find_export(other, export.id).await.expect("read"), None);
    assert_eq!(store.read_chunk(other, export.id, 0).await.expect("read"), None);

    assert!(
        !store
            .purge_exports(time(0) + EXPORT_LIFE, 10)
            .await
            .expect("purged")
    );
    let over = store
        .find_export(workspace.id, export.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!(over.state, ExportState::Expired);
    assert_eq!(
        store.read_chunk(workspace.id, export.id, 0).await.expect("read"),
        None
    );
}

/// ERA-05.
pub(crate) async fn the_bytes_of_an_erased_export_are_on_a_list(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let export = export(workspace.id, owner.user, 0);
    store
        .insert_export(&export, fact(workspace.id, "export.requested"))
        .await
        .expect("added");
    let held = lease(10);
    store
        .claim_export(time(0), held)
        .await
        .expect("answered")
        .expect("due");
    store
        .append_chunk(&export, held, 0, b"bytes")
        .await
        .expect("added");
    let tombstone = fixture.buried(workspace.id, None).await;
    store.apply_tombstone(&tombstone, time(5)).await.expect("erased");
    assert_eq!(store.doomed_objects(workspace.id).await.expect("read"), 1);
    let late = store.append_chunk(&export, held, 1, b"more").await;
    assert!(
        matches!(late, Err(StoreError::Conflict)),
        "nothing is written any more"
    );
    store.purge_exports(time(6), 10).await.expect("purged");
    assert_eq!(store.doomed_objects(workspace.id).await.expect("read"), 0);
    assert_eq!(
        store.read_chunk(workspace.id, export.id, 0).await.expect("read"),
        None
    );
}
