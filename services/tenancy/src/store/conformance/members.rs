//! Changes of membership.

use std::sync::Arc;

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use tokio::task::JoinSet;

use super::{Fixture, all, change, fact, refusal, time, workspace_of};
use crate::domain::{Member, MemberStep};
use crate::refusal::Refusal;
use crate::store::StoreError;

pub(crate) async fn a_person_with_an_account_joins_once(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, somebody) = fixture.tenant().await;
    let join = MemberStep::Join(Role::Editor.into());
    let joined = fixture.change(&owner, somebody.user, join).await.expect("joined");
    let expected = Member {
        workspace: ours.id,
        user: somebody.user,
        role: Role::Editor.into(),
        joined_at: time(10),
    };
    assert_eq!(joined, expected);
    let store = &fixture.store;
    assert_eq!(
        store.find_member(ours.id, somebody.user).await.expect("read"),
        Some(expected)
    );
    let memberships = store.list_memberships(somebody.user, &all()).await.expect("read");
    let ids: Vec<WorkspaceId> = memberships.iter().map(|one| one.workspace.id).collect();
    assert_eq!(ids, [theirs.id, ours.id]);

    let again = fixture
        .change(&owner, somebody.user, MemberStep::Join(Role::Admin.into()))
        .await;
    assert_eq!(refusal(again), Refusal::MemberExists);
    let nobody = fixture.change(&owner, UserId::generate(), join).await;
    assert_eq!(refusal(nobody), Refusal::UserNotFound);
    assert_eq!(fixture.actions().await.len(), 3);
}

pub(crate) async fn a_new_role_is_seen_everywhere(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let colleague = fixture.colleague(&owner, Role::Viewer).await;
    let changed = fixture
        .change(&owner, colleague.user, MemberStep::Become(Role::Admin.into()))
        .await
        .expect("changed");
    let expected = Member {
        role: Role::Admin.into(),
        ..colleague
    };
    assert_eq!(changed, expected);
    let store = &fixture.store;
    let memberships = store.list_memberships(expected.user, &all()).await.expect("read");
    let there = memberships.into_iter().find(|one| one.workspace.id == ours.id);
    assert_eq!(there.map(|one| one.member), Some(expected.clone()));
    assert_eq!(
        store.find_member(ours.id, expected.user).await.expect("read"),
        Some(expected)
    );

    let facts = fixture.outbox.unsent(10).await.expect("read");
    let last = facts.last().expect("kept");
    assert_eq!(last.details["from"], "viewer");
    assert_eq!(last.details["to"], "admin");
    let nobody = fixture
        .change(
            &owner,
            UserId::generate(),
            MemberStep::Become(Role::Viewer.into()),
        )
        .await;
    assert_eq!(refusal(nobody), Refusal::MemberNotFound);
}

pub(crate) async fn a_member_that_left_belongs_no_more(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let colleague = fixture.colleague(&owner, Role::Viewer).await;
    let left = fixture
        .change(&colleague, colleague.user, MemberStep::Leave)
        .await;
    assert_eq!(left.expect("left"), colleague);
    let store = &fixture.store;
    assert_eq!(
        store.find_member(ours.id, colleague.user).await.expect("read"),
        None
    );
    let memberships = store
        .list_memberships(colleague.user, &all())
        .await
        .expect("read");
    assert!(memberships.iter().all(|one| one.workspace.id != ours.id));
    let again = fixture.change(&owner, colleague.user, MemberStep::Leave).await;
    assert_eq!(refusal(again), Refusal::MemberNotFound);
    let back = fixture
        .change(&owner, colleague.user, MemberStep::Join(Role::Viewer.into()))
        .await;
    assert_eq!(back.expect("joined"), colleague);
}

pub(crate) async fn what_the_actor_is_now_counts(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let admin = fixture.colleague(&owner, Role::Admin).await;
    let viewer = fixture.colleague(&owner, Role::Viewer).await;
    let facts = fixture.actions().await.len();

    let raised = fixture
        .change(&admin, viewer.user, MemberStep::Become(Role::Owner.into()))
        .await;
    assert_eq!(refusal(raised), Refusal::RoleAboveOwn);
    let thrown_out = fixture.change(&admin, owner.user, MemberStep::Leave).await;
    assert_eq!(refusal(thrown_out), Refusal::RoleAboveOwn);
    let last = fixture
        .change(&owner, owner.user, MemberStep::Become(Role::Viewer.into()))
        .await;
    assert_eq!(refusal(last), Refusal::LastOwner);
    let left = fixture.change(&owner, owner.user, MemberStep::Leave).await;
    assert_eq!(refusal(left), Refusal::LastOwner);
    assert_eq!(fixture.actions().await.len(), facts);

    fixture
        .change(&owner, admin.user, MemberStep::Become(Role::Editor.into()))
        .await
        .expect("changed");
    let was_admin = fixture.change(&admin, viewer.user, MemberStep::Leave).await;
    assert_eq!(refusal(was_admin), Refusal::NotAllowed);
    let (_, stranger) = fixture.tenant().await;
    let from_outside = Member {
        workspace: ours.id,
        ..stranger
    };
    let refused = fixture
        .change(&from_outside, viewer.user, MemberStep::Leave)
        .await;
    assert_eq!(refusal(refused), Refusal::NotAllowed);
}

pub(crate) async fn a_workspace_that_is_not_there_has_no_members_to_change(fixture: &Fixture) {
    let (_, nobody) = workspace_of(UserId::generate(), 0);
    let refused = fixture.change(&nobody, nobody.user, MemberStep::Leave).await;
    assert!(matches!(refused, Err(StoreError::NoParent)), "{refused:?}");
}

async fn owners(fixture: &Fixture, workspace: WorkspaceId) -> usize {
    let members = fixture.store.list_members(workspace, &all()).await.expect("read");
    members.iter().filter(|member| member.role == Role::Owner).count()
}

pub(crate) async fn two_owners_that_demote_each_other_leave_one(fixture: &Fixture) {
    for _ in 0..8 {
        let (workspace, first) = fixture.tenant().await;
        let second = fixture.colleague(&first, Role::Owner).await;
        let mut tasks = JoinSet::new();
        for (actor, target) in [(&first, &second), (&second, &first)] {
            let change = change(actor, target.user, MemberStep::Become(Role::Admin.into()));
            let (store, fact) = (Arc::clone(&fixture.store), fact(workspace.id, "demoted"));
            tasks.spawn(async move { store.change_member(&change, fact).await });
        }
        let (done, refused): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(
            (done.len(), owners(fixture, workspace.id).await),
            (1, 1),
            "{refused:?}"
        );
        // Who comes second is an owner no more.
        assert!(
            refused
                .into_iter()
                .all(|answer| refusal(answer) == Refusal::RoleAboveOwn)
        );
    }
}

pub(crate) async fn of_owners_that_leave_together_one_stays(fixture: &Fixture) {
    let (workspace, first) = fixture.tenant().await;
    let mut all_owners = vec![first.clone()];
    for _ in 0..5 {
        all_owners.push(fixture.colleague(&first, Role::Owner).await);
    }
    let mut tasks = JoinSet::new();
    for (index, owner) in all_owners.iter().enumerate() {
        let step = if index % 2 == 0 {
            MemberStep::Leave
        } else {
            MemberStep::Become(Role::Viewer.into())
        };
        let change = change(owner, owner.user, step);
        let (store, fact) = (Arc::clone(&fixture.store), fact(workspace.id, "gone"));
        tasks.spawn(async move { store.change_member(&change, fact).await });
    }
    let (done, refused): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (5, 1));
    assert!(
        refused
            .into_iter()
            .all(|answer| refusal(answer) == Refusal::LastOwner)
    );
    assert_eq!(owners(fixture, workspace.id).await, 1);
    let gone = fixture
        .actions()
        .await
        .iter()
        .filter(|action| *action == "gone")
        .count();
    assert_eq!(gone, 5);
}
