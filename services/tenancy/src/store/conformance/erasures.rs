//! What an erasure takes, and what it leaves.

use causeway_holder::{Applied, Tombstone};

use super::exports::export;
use super::lifecycle::erasure;
use super::*;

fn rows(applied: &Applied, table: &str) -> u64 {
    let table = format!("tenancy.{table}");
    let found = applied.erased.iter().find(|count| count.table == table);
    found.map_or(0, |count| count.rows)
}

/// ERA-01.
pub(crate) async fn an_erased_workspace_is_gone_and_its_neighbour_is_not(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let (neighbour, other) = fixture.tenant().await;
    for (workspace, owner) in [(&workspace, &owner), (&neighbour, &other)] {
        store
            .insert_secret(&secret(workspace.id, "s"), fact(workspace.id, "secret.created"))
            .await
            .expect("added");
        let open = invitation(owner, "ada@example.com", Role::Viewer);
        store
            .insert_invitation(&open, &hash(), fact(workspace.id, "invitation.created"))
            .await
            .expect("added");
        let export = export(workspace.id, owner.user, 0);
        store
            .insert_export(&export, fact(workspace.id, "export.requested"))
            .await
            .expect("added");
    }
    let guest = change(&other, owner.user, MemberStep::Join(Role::Viewer.into()));
    store
        .change_member(&guest, fact(neighbour.id, "member.added"))
        .await
        .expect("joined");
    let kept = fixture.lines(neighbour.id).await;

    let tombstone = fixture.buried(workspace.id, None).await;
    let applied = store.apply_tombstone(&tombstone, time(5)).await.expect("erased");
    for table in ["workspaces", "members", "invitations", "secrets", "exports"] {
        assert_eq!(rows(&applied, table), 1, "{table}");
    }
    assert_eq!(
        applied.leavers,
        Vec::<Uuid>::new(),
        "the owner is a guest next door"
    );
    assert_eq!(
        store
            .apply_tombstone(&tombstone, time(6))
            .await
            .expect("erased again"),
        applied
    );
    assert_eq!(store.find_workspace(workspace.id).await.expect("read"), None);
    assert_eq!(
        store.find_secret(workspace.id, &name("s")).await.expect("read"),
        None
    );
    assert!(
        fixture
            .lines(workspace.id)
            .await
            .iter()
            .all(|part| part.rows == 0)
    );
    assert_eq!(fixture.lines(neighbour.id).await, kept);
    let late = export(workspace.id, owner.user, 7);
    let late = store
        .insert_export(&late, fact(workspace.id, "export.requested"))
        .await;
    assert!(matches!(late, Err(StoreError::NoParent)));
    let again = Member {
        joined_at: time(8),
        ..owner
    };
    let made = store.create_workspace(&workspace, &again, fact(workspace.id, "workspace.created"));
    assert!(
        matches!(made.await, Err(StoreError::NoParent)),
        "its id is used up"
    );
}

/// ERA-04.
pub(crate) async fn an_erased_person_is_gone_and_the_workspace_is_not(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let (leaves, stays) = (UserId::generate(), fixture.tenant().await.1.user);
    let (own, home) = workspace_of(leaves, 0);
    store
        .create_workspace(&own, &home, fact(own.id, "workspace.created"))
        .await
        .expect("made");
    for user in [leaves, stays] {
        let joins = change(&owner, user, MemberStep::Join(Role::Admin.into()));
        store
            .change_member(&joins, fact(workspace.id, "member.added"))
            .await
            .expect("joined");
    }
    let member = store
        .find_member(workspace.id, leaves)
        .await
        .expect("read")
        .expect("a member");
    let written = invitation(&member, "by@example.com", Role::Viewer);
    let addressed = invitation(&owner, "to@example.com", Role::Viewer);
    let neither = invitation(&owner, "else@example.com", Role::Viewer);
    for one in [&written, &addressed, &neither] {
        store
            .insert_invitation(one, &hash(), fact(workspace.id, "invitation.created"))
            .await
            .expect("added");
    }
    let own = export(workspace.id, leaves, 0);
    store
        .insert_export(&own, fact(workspace.id, "export.requested"))
        .await
        .expect("added");
    let tombstone = Tombstone {
        addresses: vec!["to@example.com".to_owned()],
        ..fixture.buried(workspace.id, Some(leaves)).await
    };
    let applied = store.apply_tombstone(&tombstone, time(5)).await.expect("erased");
    assert_eq!(
        (
            rows(&applied, "members"),
            rows(&applied, "invitations"),
            rows(&applied, "exports")
        ),
        (1, 2, 1)
    );
    assert_eq!(applied.leavers, Vec::<Uuid>::new(), "has a workspace of its own");
    assert_eq!(store.find_member(workspace.id, leaves).await.expect("read"), None);
    let open = store.list_invitations(workspace.id, &all()).await.expect("read");
    assert_eq!(open, [neither]);
    let export = store
        .find_export(workspace.id, own.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!(export.requested_by, None, "the export stays and names nobody");
    assert_eq!(store.owners(workspace.id).await.expect("read"), [owner.user]);
    let text = format!("{:?}", fixture.lines(workspace.id).await);
    assert!(!text.contains(&leaves.to_string()) && text.contains(&stays.to_string()));

    let up = change(&owner, stays, MemberStep::Become(Role::Owner.into()));
    store
        .change_member(&up, fact(workspace.id, "member.updated"))
        .await
        .expect("an owner");
    let last = fixture.buried(workspace.id, Some(owner.user)).await;
    let applied = store.apply_tombstone(&last, time(6)).await.expect("erased");
    assert_eq!(applied.leavers, [owner.user.0], "belonged nowhere else");
}

/// ERA-04.
pub(crate) async fn an_owner_is_buried_only_beside_another_one(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let bury = async |user: UserId| {
        let erasure = fixture.ordered(&erasure(workspace.id, Some(user), 0)).await;
        store.bury(&erasure, time(1)).await
    };
    let refused = async |user: UserId| refusal(bury(user).await.map(|tombstone| tombstone.number));
    assert_eq!(refused(owner.user).await, Refusal::LastOwner);
    assert_eq!(refused(UserId::generate()).await, Refusal::MemberNotFound);
    let stays = fixture.second_owner(&owner).await;
    let buried = bury(owner.user).await.expect("there is another one");
    assert_eq!(
        store.owners(workspace.id).await.expect("read"),
        [stays],
        "who is as good as gone counts no more"
    );
    let other = Member { user: stays, ..owner };
    let leaves = change(&other, stays, MemberStep::Leave);
    let left = store
        .change_member(&leaves, fact(workspace.id, "member.removed"))
        .await;
    assert_eq!(refusal(left), Refusal::LastOwner);
    store.apply_tombstone(&buried, time(2)).await.expect("erased");
    assert_eq!(store.owners(workspace.id).await.expect("read"), [stays]);
}

/// ERA-03.
pub(crate) async fn a_number_that_erased_somebody_else_erases_nobody(fixture: &Fixture) {
    let store = &fixture.store;
    let (erased, _) = fixture.tenant().await;
    let (other, _) = fixture.tenant().await;
    let tombstone = fixture.buried(erased.id, None).await;
    store.apply_tombstone(&tombstone, time(2)).await.expect("erased");
    // As a ledger that was restored from an old backup would number it.
    let numbered_anew = Tombstone {
        workspace: other.id,
        ..tombstone
    };
    let answer = store.apply_tombstone(&numbered_anew, time(3)).await;
    assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
    assert!(store.find_workspace(other.id).await.expect("read").is_some());
}
