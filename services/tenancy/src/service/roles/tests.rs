use causeway_context::Caller;
use causeway_contracts::{CallerKind, Role};
use causeway_errors::Code;
use causeway_outbox::OutboxStore as _;
use causeway_revocation::{Ended, Revocations as _};

use super::*;
use crate::domain::MemberRole;
use crate::service::tests::{World, context, reason, world};

fn set(names: &[&str]) -> PermissionSet {
    names.iter().collect()
}

impl World {
    async fn make_role(&self, by: &Caller, permissions: &[&str]) -> Result<CustomRole, TenancyError> {
        let ctx = context("CreateRole", by.clone());
        let name = RoleName::parse("Support").expect("a name");
        self.tenancy.create_role(&ctx, name, set(permissions)).await
    }

    async fn rewrite(&self, by: &Caller, id: RoleId, to: &[&str]) -> Result<CustomRole, TenancyError> {
        let ctx = context("UpdateRole", by.clone());
        self.tenancy
            .update_role(&ctx, id, None, None, Some(set(to)))
            .await
    }

    async fn ended(&self) -> Vec<Ended> {
        let now = context("ListRoles", Caller::anonymous()).now;
        let page = self.store.revocations().after("", now).await.expect("read");
        page.revocations.into_iter().map(|one| one.ended).collect()
    }
}

/// RBAC-04: a token of an owner that was narrowed makes no role that holds more than it does.
#[tokio::test]
async fn a_narrowed_token_puts_into_a_role_only_what_it_holds() {
    let world = world();
    let owner = world.owner().await;
    let narrowed = Caller {
        permissions: set(&["roles.write", "secrets.read"]),
        ..owner.clone()
    };
    let above = (Code::PermissionDenied, "PERMISSION_NOT_HELD".to_owned());
    assert_eq!(
        reason(world.make_role(&narrowed, &["secrets.reveal"]).await),
        above
    );
    let role = world.make_role(&narrowed, &["secrets.read"]).await.expect("made");
    assert_eq!(
        reason(world.rewrite(&narrowed, role.id, &["secrets.write"]).await),
        above
    );
    let changed = world.rewrite(&owner, role.id, &["secrets.write"]).await;
    assert_eq!(changed.expect("changed").permissions, ["secrets.write"]);
}

#[tokio::test]
async fn each_change_is_a_fact_that_says_what_changed() {
    let world = world();
    let owner = world.owner().await;
    let role = world.make_role(&owner, &["secrets.read", "audit.read"]).await;
    let role = role.expect("made");
    world
        .rewrite(&owner, role.id, &["secrets.read", "secrets.write"])
        .await
        .expect("changed");
    let ctx = context("DeleteRole", owner);
    world.tenancy.delete_role(&ctx, role.id).await.expect("deleted");
    let facts = world.store.outbox().unsent(100).await.expect("read");
    let told: Vec<_> = facts
        .iter()
        .filter(|fact| fact.target_id == role.id.0.to_string())
        .map(|fact| {
            let names = |key: &str| fact.details[key].to_string();
            (fact.action.as_str(), names("added"), names("removed"))
        })
        .collect();
    let row = |action, added: &str, removed: &str| (action, added.to_owned(), removed.to_owned());
    assert_eq!(
        told,
        [
            row("role.created", r#"["audit.read","secrets.read"]"#, "[]"),
            row("role.changed", r#"["secrets.write"]"#, r#"["audit.read"]"#),
            row("role.deleted", "[]", r#"["secrets.read","secrets.write"]"#),
        ]
    );
}

/// RBAC-04: who has the role holds the old permissions no longer than gateways take to hear of it.
#[tokio::test]
async fn a_change_of_what_a_role_holds_ends_its_access_tokens_and_a_new_name_does_not() {
    let world = world();
    let owner = world.owner().await;
    let role = world.make_role(&owner, &["secrets.read"]).await.expect("made");
    let ctx = context("UpdateRole", owner.clone());
    let name = RoleName::parse("Other").expect("a name");
    let renamed = world
        .tenancy
        .update_role(&ctx, role.id, Some(1), Some(name), None)
        .await;
    assert_eq!(renamed.expect("renamed").version, 2);
    assert_eq!(world.ended().await, []);
    world.rewrite(&owner, role.id, &[]).await.expect("changed");
    assert_eq!(world.ended().await, [Ended::Role(role.id.0)]);
}

/// RBAC-04: only an owner is above an owner, for an erasure too.
#[tokio::test]
async fn a_role_that_may_erase_erases_nobody_above_it() {
    let world = world();
    let (owner, other) = (world.owner().await, world.owner().await);
    let role = world.make_role(&owner, &["erasures.write"]).await.expect("made");
    let officer = world.owner().await.user().expect("a person");
    let second = other.user().expect("a person");
    let workspace = owner.workspace.expect("has one");
    for (user, role) in [
        (officer, MemberRole::Custom(role.id)),
        (second, Role::Owner.into()),
    ] {
        let ctx = context("AddMember", owner.clone());
        world.tenancy.add_member(&ctx, user, role).await.expect("added");
    }
    let asks = Caller {
        permissions: set(&["erasures.write"]),
        ..crate::service::tests::person(CallerKind::User, officer, workspace)
    };
    let erase = async |by: &Caller, subject| {
        let ctx = context("CreateErasure", by.clone());
        world.tenancy.create_erasure(&ctx, Some(subject), ctx.now).await
    };
    assert_eq!(
        reason(erase(&asks, second).await),
        (Code::PermissionDenied, "ROLE_ABOVE_OWN".to_owned())
    );
    assert!(erase(&asks, officer).await.is_ok(), "oneself is nobody else");
    assert!(erase(&owner, second).await.is_ok());
}

/// A token of a member says what its custom role holds: nothing else asks for it.
#[tokio::test]
async fn memberships_come_with_what_custom_roles_hold() {
    let world = world();
    let (owner, other) = (world.owner().await, world.owner().await);
    let role = world.make_role(&owner, &["secrets.read"]).await.expect("made");
    let (user, workspace) = (other.user().expect("a person"), owner.workspace.expect("has one"));
    let ctx = context("AddMember", owner);
    let added = world
        .tenancy
        .add_member(&ctx, user, MemberRole::Custom(role.id))
        .await;
    added.expect("added");
    let home = other.workspace.expect("has one");
    let places = [(workspace, user), (home, user)];
    let found = world.tenancy.belongings(&places).await.expect("read");
    let custom = found.into_iter().map(|one| one.expect("a member").custom);
    assert_eq!(custom.collect::<Vec<_>>(), [Some(set(&["secrets.read"])), None]);
}
