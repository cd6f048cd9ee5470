//! Roles that workspaces make.

use std::sync::Arc;

use causeway_contracts::{PermissionSet, Role};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Fixture, all, fact, invitation, refusal, time};
use crate::domain::{
    CustomRole, Invitation, Member, MemberRole, MemberStep, RoleChange, RoleId, RoleName, RoleStep,
};
use crate::refusal::Refusal;
use crate::store::StoreError;

fn set(names: &[&str]) -> PermissionSet {
    names.iter().collect()
}

fn named(name: &str) -> RoleName {
    RoleName::parse(name).expect("a name")
}

fn role_change(by: &Member, role: RoleId, step: RoleStep) -> RoleChange {
    RoleChange {
        workspace: by.workspace,
        actor: by.user,
        role,
        step,
        at: time(10),
    }
}

fn create(name: &str, permissions: &[&str]) -> RoleStep {
    RoleStep::Create(named(name), set(permissions))
}

fn hold(permissions: &[&str]) -> RoleStep {
    RoleStep::Update {
        version: None,
        name: None,
        permissions: Some(set(permissions)),
    }
}

impl Fixture {
    async fn change_role(&self, by: &Member, role: RoleId, step: RoleStep) -> Result<CustomRole, StoreError> {
        let change = role_change(by, role, step);
        self.store
            .change_role(&change, fact(by.workspace, "role.changed"))
            .await
    }

    async fn role(&self, by: &Member, name: &str, permissions: &[&str]) -> CustomRole {
        let id = RoleId(Uuid::now_v7());
        self.change_role(by, id, create(name, permissions))
            .await
            .expect("made")
    }

    /// A person with that custom role in the workspace of `by`.
    async fn with_role(&self, by: &Member, role: &CustomRole) -> Member {
        self.colleague(by, MemberRole::Custom(role.id)).await
    }

    async fn invitations_of(&self, by: &Member) -> Vec<Invitation> {
        self.store
            .list_invitations(by.workspace, &all())
            .await
            .expect("read")
    }
}

pub(crate) async fn a_role_is_made_changed_and_deleted(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (store, facts) = (&fixture.store, fixture.actions().await.len());
    let support = fixture
        .role(&owner, "Support", &["secrets.read", "audit.read"])
        .await;
    let sales = fixture.role(&owner, "Sales", &[]).await;
    let found = store.find_role(ours.id, support.id).await.expect("read");
    assert_eq!(found.as_ref(), Some(&support));
    assert_eq!(support.permissions, ["audit.read", "secrets.read"]);
    let rename = RoleStep::Update {
        version: Some(1),
        name: Some(named("SUPPORT")),
        permissions: Some(set(&["secrets.read"])),
    };
    let changed = fixture
        .change_role(&owner, support.id, rename)
        .await
        .expect("changed");
    let expected = CustomRole {
        name: named("SUPPORT"),
        permissions: set(&["secrets.read"]),
        version: 2,
        ..support
    };
    assert_eq!(changed, expected);
    assert_eq!(
        store.list_roles(ours.id).await.expect("read"),
        [expected.clone(), sales.clone()]
    );
    let gone = fixture.change_role(&owner, expected.id, RoleStep::Delete).await;
    assert_eq!(gone.expect("deleted"), expected);
    assert_eq!(store.list_roles(ours.id).await.expect("read"), [sales]);
    assert_eq!(store.find_role(ours.id, expected.id).await.expect("read"), None);
    assert_eq!(fixture.actions().await.len(), facts + 4, "each change is a fact");
}

/// RBAC-04: who asks is looked up with the change.
pub(crate) async fn the_rules_of_roles_are_asked_with_the_workspace_held(fixture: &Fixture) {
    let (_, owner) = fixture.tenant().await;
    let admin = fixture.colleague(&owner, Role::Admin).await;
    let viewer = fixture.colleague(&owner, Role::Viewer).await;
    let (_, stranger) = fixture.tenant().await;
    let from_outside = Member {
        workspace: owner.workspace,
        ..stranger
    };
    let above = fixture.role(&owner, "Eraser", &["erasures.write"]).await;
    let facts = fixture.actions().await.len();
    let new = || RoleId(Uuid::now_v7());
    for (actor, role, step, rule) in [
        (&viewer, new(), create("x", &[]), Refusal::NotAllowed),
        (&from_outside, new(), create("x", &[]), Refusal::NotAllowed),
        (
            &admin,
            new(),
            create("x", &["erasures.write"]),
            Refusal::PermissionNotHeld,
        ),
        (&admin, above.id, hold(&[]), Refusal::RoleAboveOwn),
        (&admin, above.id, RoleStep::Delete, Refusal::RoleAboveOwn),
        (&owner, new(), create("eRASER", &[]), Refusal::RoleExists),
        (&owner, new(), hold(&[]), Refusal::RoleNotFound),
        (&owner, new(), RoleStep::Delete, Refusal::RoleNotFound),
    ] {
        assert_eq!(refusal(fixture.change_role(actor, role, step).await), rule);
    }
    let roles = fixture.store.list_roles(owner.workspace).await;
    assert_eq!(roles.expect("read"), [above]);
    assert_eq!(fixture.actions().await.len(), facts, "what is refused is no fact");
}

pub(crate) async fn a_role_that_somebody_has_stays(fixture: &Fixture) {
    let (_, owner) = fixture.tenant().await;
    let support = fixture.role(&owner, "Support", &["secrets.read"]).await;
    let delete = async || fixture.change_role(&owner, support.id, RoleStep::Delete).await;
    let bob = fixture.with_role(&owner, &support).await;
    assert_eq!(refusal(delete().await), Refusal::RoleInUse);
    let viewer = MemberStep::Become(Role::Viewer.into());
    fixture.change(&owner, bob.user, viewer).await.expect("changed");
    let (open, _) = fixture
        .invite(&owner, "ada@example.com", MemberRole::Custom(support.id))
        .await;
    assert_eq!(open.role, MemberRole::Custom(support.id));
    assert_eq!(refusal(delete().await), Refusal::RoleInUse);
    let store = &fixture.store;
    let revoked = store
        .revoke_invitation(owner.workspace, open.id, fact(owner.workspace, "revoked"))
        .await;
    assert!(revoked.expect("revoked"));
    let expired = Invitation {
        expires_at: time(9),
        ..invitation(&owner, "eve@example.com", MemberRole::Custom(support.id))
    };
    store
        .insert_invitation(&expired, &super::hash(), fact(owner.workspace, "invited"))
        .await
        .expect("kept");
    delete().await.expect("nobody can come by what has expired");
    assert_eq!(fixture.invitations_of(&owner).await, []);
}

pub(crate) async fn a_member_has_a_custom_role_and_what_it_holds_counts(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let people = fixture
        .role(
            &owner,
            "People",
            &["members.write", "secrets.read", "roles.write"],
        )
        .await;
    let reader = fixture.role(&owner, "Reader", &["secrets.read"]).await;
    let bob = fixture.with_role(&owner, &people).await;
    let stored = fixture.store.find_member(ours.id, bob.user).await.expect("read");
    assert_eq!(
        stored.map(|member| member.role),
        Some(MemberRole::Custom(people.id))
    );
    // It gives what it holds, and touches nobody who holds more.
    let eve = fixture.with_role(&bob, &reader).await;
    let above = fixture
        .change(&bob, eve.user, MemberStep::Become(Role::Viewer.into()))
        .await;
    assert_eq!(refusal(above), Refusal::RoleAboveOwn);
    let owner_gone = fixture.change(&bob, owner.user, MemberStep::Leave).await;
    assert_eq!(refusal(owner_gone), Refusal::RoleAboveOwn);
    let raised = fixture
        .change_role(&bob, people.id, hold(&["secrets.write"]))
        .await;
    assert_eq!(refusal(raised), Refusal::PermissionNotHeld);
    // What it does not hold any more it cannot do.
    fixture
        .change_role(&owner, people.id, hold(&["secrets.read"]))
        .await
        .expect("changed");
    let late = fixture.change(&bob, eve.user, MemberStep::Leave).await;
    assert_eq!(refusal(late), Refusal::NotAllowed);
    let unknown = MemberStep::Become(MemberRole::Custom(RoleId(Uuid::now_v7())));
    let given = fixture.change(&owner, eve.user, unknown).await;
    assert_eq!(refusal(given), Refusal::RoleNotFound);
}

pub(crate) async fn an_invitation_dies_when_its_writer_holds_less_than_its_role(fixture: &Fixture) {
    let (_, owner) = fixture.tenant().await;
    let reader = fixture.role(&owner, "Reader", &["secrets.read"]).await;
    let host = fixture
        .role(&owner, "Host", &["invitations.write", "secrets.read"])
        .await;
    let bob = fixture.with_role(&owner, &host).await;
    let into = MemberRole::Custom(reader.id);
    let (open, _) = fixture.invite(&bob, "ada@example.com", into).await;
    let (_, ada) = fixture.tenant().await;
    // The role that it opens grows over its writer.
    let grown = ["secrets.read", "secrets.write"];
    fixture
        .change_role(&owner, reader.id, hold(&grown))
        .await
        .expect("changed");
    let refused = fixture.accept(&open, ada.user, time(15)).await;
    assert_eq!(refusal(refused), Refusal::InvitationNotFound);
    fixture
        .change_role(&owner, reader.id, hold(&["secrets.read"]))
        .await
        .expect("changed");
    // Its writer has another role: it goes at once.
    let viewer = MemberStep::Become(Role::Viewer.into());
    fixture.change(&owner, bob.user, viewer).await.expect("changed");
    assert_eq!(fixture.invitations_of(&owner).await, []);
    let again = fixture.change(&owner, bob.user, MemberStep::Become(MemberRole::Custom(host.id)));
    again.await.expect("changed");
    let (open, _) = fixture.invite(&bob, "ada@example.com", into).await;
    let joined = fixture.accept(&open, ada.user, time(15)).await.expect("accepted");
    assert_eq!(joined.member.role, into);
}

pub(crate) async fn of_concurrent_changes_of_one_version_one_is_made(fixture: &Fixture) {
    let (_, owner) = fixture.tenant().await;
    let role = fixture.role(&owner, "Support", &[]).await;
    let mut changes = JoinSet::new();
    for number in 0..8 {
        let step = RoleStep::Update {
            version: Some(1),
            name: Some(named(&format!("Support {number}"))),
            permissions: None,
        };
        let (store, change) = (Arc::clone(&fixture.store), role_change(&owner, role.id, step));
        let fact = fact(owner.workspace, "role.changed");
        changes.spawn(async move { store.change_role(&change, fact).await });
    }
    let answers = changes.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = answers.into_iter().filter(Result::is_err);
    assert!(refused.map(refusal).all(|rule| rule == Refusal::RoleChanged));
}

/// RLS-12.
pub(crate) async fn other_tenants_see_and_change_no_roles(fixture: &Fixture) {
    let (ours, owner) = fixture.tenant().await;
    let (theirs, stranger) = fixture.tenant().await;
    let role = fixture.role(&owner, "Support", &["secrets.read"]).await;
    let facts = fixture.actions().await.len();
    let store = &fixture.store;
    assert_eq!(store.list_roles(theirs.id).await.expect("read"), []);
    assert_eq!(store.find_role(theirs.id, role.id).await.expect("read"), None);
    for step in [hold(&[]), RoleStep::Delete] {
        let refused = fixture.change_role(&stranger, role.id, step).await;
        assert_eq!(refusal(refused), Refusal::RoleNotFound);
    }
    let foreign = MemberRole::Custom(role.id);
    let given = fixture
        .change(&stranger, owner.user, MemberStep::Join(foreign))
        .await;
    assert_eq!(refusal(given), Refusal::RoleNotFound);
    let invited = invitation(&stranger, "ada@example.com", foreign);
    let invited = store
        .insert_invitation(&invited, &super::hash(), fact(theirs.id, "never"))
        .await;
    assert_eq!(refusal(invited), Refusal::RoleNotFound);
    assert_eq!(fixture.actions().await.len(), facts);
    // The same name twice, and ours as if the others were not there.
    let twin = fixture.role(&stranger, "Support", &["secrets.write"]).await;
    assert_eq!(store.list_roles(theirs.id).await.expect("read"), [twin]);
    assert_eq!(store.list_roles(ours.id).await.expect("read"), [role]);
}
