//! Data keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use causeway_context::{UserId, WorkspaceId};
use causeway_crypto::WrappedKey;
use tokio::task::JoinSet;

use super::{Fixture, all, fact, key, time, workspace_of};
use crate::domain::{KeyPlace, KeyState, Rewrapped, Ring, StoredKey, Workspace};
use crate::page::Page;
use crate::store::StoreError;

impl Fixture {
    async fn without_key(&self) -> Workspace {
        let (workspace, owner) = workspace_of(UserId::generate(), 0);
        self.store
            .create_workspace(&workspace, &owner, fact(workspace.id, "created"))
            .await
            .expect("created");
        workspace
    }

    pub(super) async fn keys(&self, workspace: WorkspaceId) -> Vec<StoredKey> {
        self.store.list_keys(workspace, &all()).await.expect("read")
    }
}

pub(super) fn transit(workspace: WorkspaceId) -> StoredKey {
    StoredKey {
        ring: Ring::Transit,
        ..key(workspace, 1)
    }
}

pub(crate) async fn each_ring_has_keys_of_its_own(fixture: &Fixture) {
    let (workspace, store) = (fixture.without_key().await, &fixture.store);
    let active = |ring| async move { store.find_active_key(workspace.id, ring).await.expect("read") };
    assert_eq!(active(Ring::Data).await, None);
    let (data, transit) = (key(workspace.id, 1), transit(workspace.id));
    store.insert_key(&transit).await.expect("inserted");
    assert_eq!(active(Ring::Data).await, None);
    store.insert_key(&data).await.expect("inserted");
    assert_eq!(active(Ring::Data).await.as_ref(), Some(&data));
    assert_eq!(active(Ring::Transit).await.as_ref(), Some(&transit));
    let second = StoredKey {
        version: 2,
        ..data.clone()
    };
    let refused = store.insert_key(&second).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict)),
        "a second active key of the same ring: {refused:?}"
    );
    assert_eq!(fixture.keys(workspace.id).await, [data.clone(), transit.clone()]);
    let page = Page {
        size: 1,
        after: Some(KeyPlace {
            ring: Ring::Data,
            version: 1,
        }),
    };
    let rest = store.list_keys(workspace.id, &page).await.expect("read");
    assert_eq!(rest, [transit]);
    let found = store.find_key(workspace.id, Ring::Data, 1).await.expect("read");
    assert_eq!(found, Some(data));
}

pub(crate) async fn of_concurrent_first_keys_one_is_kept(fixture: &Fixture) {
    let workspace = fixture.without_key().await;
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
    let active = fixture.store.find_active_key(workspace.id, Ring::Data).await;
    assert_eq!(active.expect("read"), Some(kept[0].1.clone()));
}

pub(crate) async fn a_key_needs_its_workspace(fixture: &Fixture) {
    let refused = fixture.store.insert_key(&key(WorkspaceId::generate(), 1)).await;
    assert!(matches!(refused, Err(StoreError::NoParent)), "{refused:?}");
}

pub(crate) async fn a_version_that_cannot_be_is_unknown(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    for version in [0, 2, u32::MAX] {
        let found = fixture.store.find_key(workspace.id, Ring::Data, version).await;
        assert_eq!(found.expect("read"), None, "{version}");
    }
}

pub(crate) async fn destroyed_keys_leave_nothing_and_come_never_back(fixture: &Fixture) {
    let ((workspace, _), (other, _)) = (fixture.tenant().await, fixture.tenant().await);
    let store = &fixture.store;
    assert_eq!(
        store
            .destroy_keys(workspace.id, time(5))
            .await
            .expect("destroyed"),
        1
    );
    let keys = fixture.keys(workspace.id).await;
    for key in &keys {
        assert_eq!((key.state, &key.wrapped), (KeyState::Destroyed, &None));
        assert_eq!(key.destroyed_at, Some(time(5)));
    }
    assert_eq!(keys.len(), 2, "a ring without a key has a mark");
    for ring in Ring::ALL {
        let active = store.find_active_key(workspace.id, ring).await;
        assert_eq!(active.expect("read"), None);
        let again = StoredKey {
            ring,
            ..key(workspace.id, 1)
        };
        let refused = store.insert_key(&again).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
    assert_eq!(
        store
            .destroy_keys(workspace.id, time(9))
            .await
            .expect("destroyed"),
        0
    );
    assert_eq!(fixture.keys(workspace.id).await, keys);
    assert!(fixture.keys(other.id).await[0].wrapped.is_some());
}

pub(crate) async fn keys_of_all_workspaces_are_wrapped_anew_unless_they_changed(fixture: &Fixture) {
    let store = &fixture.store;
    let mut workspaces = BTreeSet::new();
    for _ in 0..3 {
        workspaces.insert(fixture.tenant().await.0.id);
    }
    let mut found = Vec::new();
    while let page = store
        .keyed_workspaces(&Page {
            size: 2,
            after: found.last().copied(),
        })
        .await
        .expect("read")
        && !page.is_empty()
    {
        found.extend(page);
    }
    assert_eq!(found, Vec::from_iter(workspaces));
    let keys = store.keys_of(&found).await.expect("read");
    assert_eq!(keys.len(), 3);
    let after = |byte| WrappedKey {
        key_id: "new".to_owned(),
        bytes: vec![byte],
    };
    let rewrapped: Vec<Rewrapped> = keys
        .into_iter()
        .filter_map(StoredKey::usable)
        .map(|before| Rewrapped {
            before,
            after: after(1),
        })
        .collect();
    assert_eq!(store.rewrap(&rewrapped).await.expect("written"), 3);
    let late: Vec<Rewrapped> = rewrapped
        .iter()
        .map(|key| Rewrapped {
            after: after(2),
            ..key.clone()
        })
        .collect();
    assert_eq!(store.rewrap(&late).await.expect("written"), 0);
    for key in store.keys_of(&found).await.expect("read") {
        assert_eq!(key.wrapped, Some(after(1)));
    }
}
