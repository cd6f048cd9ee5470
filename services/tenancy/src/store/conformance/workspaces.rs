//! Workspaces, members and memberships.

use causeway_context::{UserId, WorkspaceId};
use chrono::TimeDelta;

use super::{Fixture, all, fact, time, workspace_of};
use crate::domain::{Member, Membership, Workspace, WorkspaceName};
use crate::page::Page;
use crate::store::StoreError;

pub(crate) async fn a_workspace_is_found_with_its_owner(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    let store = &fixture.store;
    assert_eq!(
        store.find_workspace(workspace.id).await.expect("read"),
        Some(workspace.clone())
    );
    assert_eq!(
        store.find_member(workspace.id, owner.user).await.expect("read"),
        Some(owner.clone())
    );
    assert_eq!(
        store.list_members(workspace.id, &all()).await.expect("read"),
        [owner]
    );
    assert_eq!(
        store.find_workspace(WorkspaceId::generate()).await.expect("read"),
        None
    );
    assert_eq!(
        store
            .find_member(workspace.id, UserId::generate())
            .await
            .expect("read"),
        None
    );
}

pub(crate) async fn an_id_is_taken_once(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    let (other, _) = workspace_of(UserId::generate(), 5);
    let thief = Member {
        user: UserId::generate(),
        ..owner.clone()
    };
    let again = Workspace {
        id: workspace.id,
        ..other
    };
    let refused = fixture
        .store
        .create_workspace(&again, &thief, fact(workspace.id, "workspace.created"))
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(
        fixture.store.find_workspace(workspace.id).await.expect("read"),
        Some(workspace.clone())
    );
    assert_eq!(
        fixture
            .store
            .list_members(workspace.id, &all())
            .await
            .expect("read"),
        [owner]
    );
    assert_eq!(
        fixture
            .store
            .list_memberships(thief.user, &all())
            .await
            .expect("read"),
        []
    );
    assert_eq!(fixture.actions().await, ["workspace.created"]);
}

pub(crate) async fn a_renamed_workspace_keeps_the_rest(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let renamed = WorkspaceName::parse("Other").expect("a name");
    let expected = Workspace {
        name: renamed.clone(),
        updated_at: time(9),
        ..workspace.clone()
    };
    let answer = fixture
        .store
        .rename_workspace(workspace.id, &renamed, time(9), fact(workspace.id, "renamed"))
        .await;
    assert_eq!(answer.expect("renamed"), Some(expected.clone()));
    assert_eq!(
        fixture.store.find_workspace(workspace.id).await.expect("read"),
        Some(expected)
    );
    let nobody = WorkspaceId::generate();
    let answer = fixture
        .store
        .rename_workspace(nobody, &renamed, time(9), fact(nobody, "never"))
        .await;
    assert_eq!(answer.expect("asked"), None);
    assert_eq!(fixture.actions().await, ["workspace.created", "renamed"]);
}

pub(crate) async fn memberships_come_oldest_first_and_in_pages(fixture: &Fixture) {
    let user = UserId::generate();
    let mut expected = Vec::new();
    // Two have the same time: the id decides.
    for seconds in [30, 10, 20, 20, 0] {
        let (workspace, member) = workspace_of(user, seconds);
        fixture
            .store
            .create_workspace(&workspace, &member, fact(workspace.id, "created"))
            .await
            .expect("created");
        expected.push(Membership { workspace, member });
    }
    fixture.tenant().await;
    expected.sort_by_key(Membership::place);

    let mut found: Vec<Membership> = Vec::new();
    for _ in 0..3 {
        let page = Page {
            size: 2,
            after: found.last().map(Membership::place),
        };
        found.extend(fixture.store.list_memberships(user, &page).await.expect("read"));
    }
    assert_eq!(found, expected);
}

pub(crate) async fn members_come_in_pages(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    let list = |page| async move {
        fixture
            .store
            .list_members(workspace.id, &page)
            .await
            .expect("read")
    };
    assert_eq!(
        list(Page { size: 1, after: None }).await,
        std::slice::from_ref(&owner)
    );
    assert_eq!(
        list(Page {
            size: 1,
            after: Some(owner.place())
        })
        .await,
        []
    );
    let mut before = owner.place();
    before.at -= TimeDelta::microseconds(1);
    assert_eq!(
        list(Page {
            size: 1,
            after: Some(before)
        })
        .await,
        [owner]
    );
}
