//! Invitations.

use std::sync::Arc;

use causeway_context::UserId;
use causeway_contracts::Role;
use tokio::task::JoinSet;

use super::{Fixture, all, fact, hash, invitation, refusal, time};
use crate::domain::{Invitation, Member, MemberRole, MemberStep, Membership};
use crate::page::Page;
use crate::refusal::Refusal;

pub(crate) async fn an_invitation_is_found_by_its_secret_alone(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (invited, secret) = fixture.invite(&owner, "ada@example.com", Role::Viewer).await;
    let store = &fixture.store;
    assert_eq!(
        store.find_invitation(&secret).await.expect("read"),
        Some(invited.clone())
    );
    assert_eq!(store.find_invitation(&hash()).await.expect("read"), None);
    assert_eq!(
        store.list_invitations(ours.id, &all()).await.expect("read"),
        [invited]
    );
    assert_eq!(
        fixture.actions().await,
        ["workspace.created", "invitation.created"]
    );
}

pub(crate) async fn invitations_come_in_pages(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let mut expected = Vec::new();
    for (number, seconds) in [3, 1, 2, 2, 0].into_iter().enumerate() {
        let invited = Invitation {
            created_at: time(seconds),
            ..invitation(&owner, &format!("p{number}@example.com"), Role::Viewer)
        };
        fixture
            .store
            .insert_invitation(&invited, &hash(), fact(ours.id, "invitation.created"))
            .await
            .expect("inserted");
        expected.push(invited);
    }
    expected.sort_by_key(Invitation::place);
    let mut found: Vec<Invitation> = Vec::new();
    for _ in 0..3 {
        let page = Page {
            size: 2,
            after: found.last().map(Invitation::place),
        };
        found.extend(
            fixture
                .store
                .list_invitations(ours.id, &page)
                .await
                .expect("read"),
        );
    }
    assert_eq!(found, expected);
}

pub(crate) async fn an_address_has_one_open_invitation(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (first, first_secret) = fixture.invite(&owner, "ada@example.com", Role::Viewer).await;
    let again = invitation(&owner, "Ada@Example.com", Role::Editor);
    let refused = fixture
        .store
        .insert_invitation(&again, &hash(), fact(ours.id, "never"))
        .await;
    assert_eq!(refusal(refused), Refusal::InvitationExists);

    let later = Invitation {
        created_at: first.expires_at,
        expires_at: time(30),
        ..again
    };
    let secret = hash();
    fixture
        .store
        .insert_invitation(&later, &secret, fact(ours.id, "invitation.created"))
        .await
        .expect("the first has expired");
    assert_eq!(
        fixture.store.find_invitation(&first_secret).await.expect("read"),
        None
    );
    assert_eq!(
        fixture
            .store
            .list_invitations(ours.id, &all())
            .await
            .expect("read"),
        [later]
    );
    let (_, elsewhere) = fixture.tenant().await;
    fixture.invite(&elsewhere, "ada@example.com", Role::Viewer).await;
}

pub(crate) async fn only_who_may_give_a_role_invites_into_it(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (_, stranger) = fixture.tenant().await;
    let from_outside = Member {
        workspace: ours.id,
        ..stranger
    };
    let admin = fixture.colleague(&owner, Role::Admin).await;
    let editor = fixture.colleague(&owner, Role::Editor).await;
    for (writer, role, rule) in [
        (&admin, Role::Owner, Refusal::RoleAboveOwn),
        (&editor, Role::Viewer, Refusal::NotAllowed),
        (&from_outside, Role::Viewer, Refusal::NotAllowed),
    ] {
        let invited = invitation(writer, "ada@example.com", role);
        let refused = fixture
            .store
            .insert_invitation(&invited, &hash(), fact(ours.id, "never"))
            .await;
        assert_eq!(refusal(refused), rule);
    }
    assert_eq!(
        fixture
            .store
            .list_invitations(ours.id, &all())
            .await
            .expect("read"),
        []
    );
    fixture.invite(&admin, "ada@example.com", Role::Admin).await;
}

pub(crate) async fn who_accepts_becomes_a_member(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (invited, secret) = fixture.invite(&owner, "ada@example.com", Role::Editor).await;
    let user = UserId::generate();
    let member = Member {
        workspace: ours.id,
        user,
        role: Role::Editor.into(),
        joined_at: time(15),
    };
    let accepted = fixture.accept(&invited, user, time(15)).await.expect("accepted");
    let expected = Membership {
        workspace: ours.clone(),
        member,
    };
    assert_eq!(accepted, expected);
    let store = &fixture.store;
    assert_eq!(
        store.list_memberships(user, &all()).await.expect("read"),
        [expected]
    );
    assert_eq!(store.find_invitation(&secret).await.expect("read"), None);
    assert_eq!(store.list_invitations(ours.id, &all()).await.expect("read"), []);
    let again = fixture.accept(&invited, UserId::generate(), time(15)).await;
    assert_eq!(refusal(again), Refusal::InvitationNotFound);
    assert_eq!(
        fixture.actions().await,
        ["workspace.created", "invitation.created", "invitation.accepted"]
    );
}

pub(crate) async fn of_many_who_accept_one_joins(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (invited, _) = fixture.invite(&owner, "ada@example.com", Role::Viewer).await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, invited) = (Arc::clone(&fixture.store), invited.clone());
        let fact = fact(ours.id, "invitation.accepted");
        tasks.spawn(async move {
            store
                .accept_invitation(&invited, UserId::generate(), time(15), fact)
                .await
        });
    }
    let (joined, refused): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(joined.len(), 1);
    assert!(
        refused
            .into_iter()
            .all(|answer| refusal(answer) == Refusal::InvitationNotFound)
    );
    let members = fixture.store.list_members(ours.id, &all()).await.expect("read");
    assert_eq!(members.len(), 2);
    assert_eq!(fixture.actions().await.len(), 3);
}

pub(crate) async fn an_invitation_that_ended_opens_nothing(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (expired, _) = fixture.invite(&owner, "ada@example.com", Role::Viewer).await;
    let late = fixture
        .accept(&expired, UserId::generate(), expired.expires_at)
        .await;
    assert_eq!(refusal(late), Refusal::InvitationNotFound);
    let (revoked, secret) = fixture.invite(&owner, "bob@example.com", Role::Viewer).await;
    for found in [true, false] {
        let answer = fixture
            .store
            .revoke_invitation(ours.id, revoked.id, fact(ours.id, "invitation.revoked"))
            .await;
        assert_eq!(answer.expect("revoked"), found);
    }
    assert_eq!(fixture.store.find_invitation(&secret).await.expect("read"), None);
    let answer = fixture.accept(&revoked, UserId::generate(), time(15)).await;
    assert_eq!(refusal(answer), Refusal::InvitationNotFound);
    assert_eq!(
        fixture.actions().await,
        [
            "workspace.created",
            "invitation.created",
            "invitation.created",
            "invitation.revoked"
        ]
    );
}

pub(crate) async fn a_member_uses_up_no_invitation(fixture: &Fixture) {
    let (_, owner) = fixture.tenant().await;
    let (invited, secret) = fixture.invite(&owner, "ada@example.com", Role::Viewer).await;
    let refused = fixture.accept(&invited, owner.user, time(15)).await;
    assert_eq!(refusal(refused), Refusal::MemberExists);
    assert_eq!(
        fixture.store.find_invitation(&secret).await.expect("read"),
        Some(invited.clone())
    );
    fixture
        .accept(&invited, UserId::generate(), time(15))
        .await
        .expect("accepted");
}

pub(crate) async fn invitations_end_with_what_their_writer_may_give(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let second = fixture.colleague(&owner, Role::Owner).await;
    let addresses = async || -> Vec<String> {
        let left = fixture
            .store
            .list_invitations(ours.id, &all())
            .await
            .expect("read");
        left.iter()
            .map(|invited| invited.email.as_str().to_owned())
            .collect()
    };
    fixture.invite(&owner, "kept@example.com", Role::Owner).await;
    fixture.invite(&second, "owner@example.com", Role::Owner).await;
    fixture.invite(&second, "admin@example.com", Role::Admin).await;
    let demote = |role| fixture.change(&owner, second.user, MemberStep::Become(MemberRole::BuiltIn(role)));
    demote(Role::Admin).await.expect("changed");
    assert_eq!(addresses().await, ["kept@example.com", "admin@example.com"]);
    demote(Role::Viewer).await.expect("changed");
    assert_eq!(addresses().await, ["kept@example.com"]);

    demote(Role::Admin).await.expect("changed");
    let (_, secret) = fixture.invite(&second, "viewer@example.com", Role::Viewer).await;
    fixture
        .change(&owner, second.user, MemberStep::Leave)
        .await
        .expect("removed");
    assert_eq!(addresses().await, ["kept@example.com"]);
    assert_eq!(fixture.store.find_invitation(&secret).await.expect("read"), None);
}
