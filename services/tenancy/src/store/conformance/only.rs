//! The only workspace.

use std::sync::Arc;

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use tokio::task::JoinSet;

use super::{Fixture, fact, workspace_of};
use crate::domain::Workspace;
use crate::store::{Joined, Joining};

fn only() -> Workspace {
    let (workspace, _) = workspace_of(UserId::generate(), 0);
    Workspace {
        id: WorkspaceId::DEFAULT,
        ..workspace
    }
}

fn joining(user: UserId) -> Joining {
    Joining {
        workspace: only(),
        user,
        made: fact(WorkspaceId::DEFAULT, "workspace.created"),
        joined: fact(WorkspaceId::DEFAULT, "member.added"),
    }
}

pub(crate) async fn the_first_owns_the_only_workspace_and_later_ones_read(fixture: &Fixture) {
    let [first, second] = [(); 2].map(|()| UserId::generate());
    let mut roles = Vec::new();
    for user in [first, second, first] {
        let joined = fixture.store.join_only(joining(user)).await.expect("joined");
        assert_eq!(joined.membership.workspace, only_as_stored(&joined));
        roles.push((joined.membership.member.role, joined.fact.is_some()));
    }
    assert_eq!(
        roles,
        [
            (Role::Owner.into(), true),
            (Role::Viewer.into(), true),
            (Role::Owner.into(), false)
        ]
    );
    assert_eq!(fixture.actions().await, ["workspace.created", "member.added"]);
    let page = super::all();
    let memberships = fixture.store.list_memberships(second, &page).await.expect("read");
    assert_eq!(memberships.len(), 1, "whoever joined is found by the person too");
}

fn only_as_stored(joined: &Joined) -> Workspace {
    Workspace {
        id: WorkspaceId::DEFAULT,
        ..joined.membership.workspace.clone()
    }
}

pub(crate) async fn of_many_first_ones_one_owns_the_only_workspace(fixture: &Fixture) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&fixture.store);
        tasks.spawn(async move { store.join_only(joining(UserId::generate())).await });
    }
    let mut owners = 0;
    for joined in tasks.join_all().await {
        let role = joined.expect("joined").membership.member.role;
        owners += usize::from(role == Role::Owner);
        assert!(role == Role::Owner || role == Role::Viewer);
    }
    assert_eq!(owners, 1);
    let actions = fixture.actions().await;
    let made = actions.iter().filter(|action| *action == "workspace.created");
    assert_eq!((made.count(), actions.len()), (1, 8));
}
