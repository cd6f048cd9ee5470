//! Two tenants, and the facts that changes leave.

use causeway_context::RateTier;
use causeway_contracts::Role;
use causeway_outbox::OutboxEvent;

use super::keys::transit;
use super::{Fixture, all, fact, refusal, time};
use crate::domain::{Invitation, MemberStep, Ring, Secret, SettingChange, Settings, WorkspaceName};
use crate::refusal::Refusal;
use crate::store::StoreError;

pub(crate) async fn other_tenants_see_nothing(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, stranger) = fixture.tenant().await;
    let stored = fixture.stored(ours.id, "a").await;
    fixture
        .store
        .insert_key(&transit(ours.id))
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
    assert_eq!(
        store.find_key(theirs.id, Ring::Transit, 1).await.expect("read"),
        None
    );
    assert_eq!(
        store
            .find_active_key(theirs.id, Ring::Data)
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
    store.insert_key(&transit(theirs.id)).await.expect("inserted");
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
            .find_active_key(ours.id, Ring::Data)
            .await
            .expect("read")
            .map(|key| key.version),
        Some(1)
    );
    assert_eq!(store.find_workspace(ours.id).await.expect("read"), Some(ours));
}

pub(crate) async fn other_tenants_see_no_people_and_no_settings(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, stranger) = fixture.tenant().await;
    fixture.colleague(&owner, Role::Viewer).await;
    fixture.invite(&owner, "ada@example.com", Role::Viewer).await;
    let tier = [SettingChange::RateTier(RateTier::Free)];
    fixture.set(ours.id, &tier).await.expect("set");
    let store = &fixture.store;
    assert_eq!(
        store.list_members(theirs.id, &all()).await.expect("read"),
        [stranger]
    );
    assert_eq!(store.list_invitations(theirs.id, &all()).await.expect("read"), []);
    assert_eq!(
        fixture.settings(theirs.id).await,
        Some(Settings::untouched(&theirs))
    );
}

pub(crate) async fn other_tenants_change_no_people_and_no_settings(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, stranger) = fixture.tenant().await;
    let (invited, secret) = fixture.invite(&owner, "ada@example.com", Role::Owner).await;
    let facts = fixture.actions().await.len();
    for step in [MemberStep::Leave, MemberStep::Become(Role::Viewer.into())] {
        let refused = fixture.change(&stranger, owner.user, step).await;
        assert_eq!(refusal(refused), Refusal::MemberNotFound);
    }
    let store = &fixture.store;
    let revoked = store
        .revoke_invitation(theirs.id, invited.id, fact(theirs.id, "never"))
        .await;
    assert!(!revoked.expect("asked"));
    let bent = Invitation {
        workspace: theirs.id,
        ..invited.clone()
    };
    let accepted = fixture.accept(&bent, owner.user, time(15)).await;
    assert_eq!(refusal(accepted), Refusal::InvitationNotFound);
    assert_eq!(fixture.actions().await.len(), facts);

    let tier = [SettingChange::RateTier(RateTier::Free)];
    fixture.set(theirs.id, &tier).await.expect("set");
    assert_eq!(fixture.settings(ours.id).await, Some(Settings::untouched(&ours)));
    assert_eq!(
        store.find_member(ours.id, owner.user).await.expect("read"),
        Some(owner)
    );
    assert_eq!(store.find_invitation(&secret).await.expect("read"), Some(invited));
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
