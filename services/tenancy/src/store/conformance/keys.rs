//! Data keys.

use std::sync::Arc;

use causeway_context::{UserId, WorkspaceId};
use tokio::task::JoinSet;

use super::{Fixture, fact, key, workspace_of};
use crate::store::StoreError;

pub(crate) async fn the_highest_key_version_seals(fixture: &Fixture) {
    let (workspace, owner) = workspace_of(UserId::generate(), 0);
    let store = &fixture.store;
    store
        .create_workspace(&workspace, &owner, fact(workspace.id, "created"))
        .await
        .expect("created");
    assert_eq!(store.find_active_key(workspace.id).await.expect("read"), None);
    let keys = [1, 2].map(|version| key(workspace.id, version));
    for key in &keys {
        store.insert_key(key).await.expect("inserted");
    }
    assert_eq!(
        store.find_active_key(workspace.id).await.expect("read"),
        Some(keys[1].clone())
    );
    assert_eq!(
        store.find_key(workspace.id, 1).await.expect("read"),
        Some(keys[0].clone())
    );
    assert_eq!(store.find_key(workspace.id, 3).await.expect("read"), None);
}

pub(crate) async fn of_concurrent_first_keys_one_is_kept(fixture: &Fixture) {
    let (workspace, owner) = workspace_of(UserId::generate(), 0);
    fixture
        .store
        .create_workspace(&workspace, &owner, fact(workspace.id, "created"))
        .await
        .expect("created");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, key) = (Arc::clone(&fixture.store), key(workspace.id, 1));
        tasks.spawn(async move { (store.insert_key(&key).await, key) });
    }
    let (kept, refused): (Vec<_>, Vec<_>) = tasks
        .join_all()
        .await
        .into_iter()
        .partition(|(answer, _)| answer.is_ok());
    assert_eq!(kept.len(), 1);
    assert!(
        refused
            .iter()
            .all(|(answer, _)| matches!(answer, Err(StoreError::Conflict))),
        "{refused:?}"
    );
    assert_eq!(
        fixture.store.find_active_key(workspace.id).await.expect("read"),
        Some(kept[0].1.clone())
    );
}

pub(crate) async fn a_key_needs_its_workspace(fixture: &Fixture) {
    let refused = fixture.store.insert_key(&key(WorkspaceId::generate(), 1)).await;
    assert!(matches!(refused, Err(StoreError::NoParent)), "{refused:?}");
}

pub(crate) async fn a_version_that_cannot_be_is_unknown(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    for version in [0, 2, u32::MAX] {
        assert_eq!(
            fixture.store.find_key(workspace.id, version).await.expect("read"),
            None,
            "{version}"
        );
    }
}
