//! Two tenants, and the facts that changes leave.

use causeway_outbox::OutboxEvent;

use super::{Fixture, all, fact, key, time};
use crate::domain::{Secret, WorkspaceName};
use crate::store::StoreError;

pub(crate) async fn other_tenants_see_nothing(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, stranger) = fixture.tenant().await;
    let stored = fixture.stored(ours.id, "a").await;
    fixture
        .store
        .insert_key(&key(ours.id, 2))
        .await
        .expect("inserted");
    let store = &fixture.store;
    assert_eq!(
        store.find_member(theirs.id, owner.user).await.expect("read"),
        None
    );
    assert_eq!(
        store.list_members(theirs.id, &all()).await.expect("read"),
        std::slice::from_ref(&stranger)
    );
    let memberships = store.list_memberships(stranger.user, &all()).await.expect("read");
    assert_eq!(
        memberships.iter().map(|one| one.workspace.id).collect::<Vec<_>>(),
        [theirs.id]
    );
    assert_eq!(store.find_key(theirs.id, 2).await.expect("read"), None);
    assert_eq!(
        store
            .find_active_key(theirs.id)
            .await
            .expect("read")
            .map(|key| key.version),
        Some(1)
    );
    assert_eq!(
        store.find_secret(theirs.id, &stored.name).await.expect("read"),
        None
    );
    assert_eq!(store.list_secrets(theirs.id, &all()).await.expect("read"), []);
}

pub(crate) async fn other_tenants_change_nothing(fixture: &Fixture) {
    let (ours, _) = fixture.tenant().await;
    let (theirs, _) = fixture.tenant().await;
    let stored = fixture.stored(ours.id, "a").await;
    let store = &fixture.store;
    let stolen = Secret {
        workspace: theirs.id,
        version: 2,
        ..stored.clone()
    };
    let refused = store.replace_secret(&stolen, fact(theirs.id, "never")).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let deleted = store
        .delete_secret(theirs.id, &stored.name, fact(theirs.id, "never"))
        .await;
    assert!(!deleted.expect("asked"));
    fixture.stored(theirs.id, "a").await;
    store.insert_key(&key(theirs.id, 2)).await.expect("inserted");
    let renamed = WorkspaceName::parse("Theirs").expect("a name");
    store
        .rename_workspace(theirs.id, &renamed, time(1), fact(theirs.id, "renamed"))
        .await
        .expect("renamed");
    assert_eq!(
        store.find_secret(ours.id, &stored.name).await.expect("read"),
        Some(stored)
    );
    assert_eq!(
        store
            .find_active_key(ours.id)
            .await
            .expect("read")
            .map(|key| key.version),
        Some(1)
    );
    assert_eq!(store.find_workspace(ours.id).await.expect("read"), Some(ours));
}

pub(crate) async fn each_change_leaves_one_fact(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let read = OutboxEvent {
        details: serde_json::Map::from_iter([("version".to_owned(), 1.into())]),
        ..fact(workspace.id, "secret.revealed")
    };
    fixture.store.record(read.clone()).await.expect("kept");
    let facts = fixture.outbox.unsent(10).await.expect("read");
    assert_eq!(facts.len(), 2);
    assert_eq!(facts[1], read);
    fixture.outbox.mark_sent(&[facts[0].id]).await.expect("marked");
    assert_eq!(fixture.outbox.unsent(10).await.expect("read"), [read]);
}
