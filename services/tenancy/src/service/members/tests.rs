use std::sync::Arc;

use causeway_context::Caller;
use causeway_contracts::Role;
use causeway_errors::Code;
use causeway_outbox::OutboxStore as _;
use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::*;
use crate::domain::lifetime;
use crate::service::tests::{World, context, reason, value, world};

const ANYBODY: &[String] = &[];

fn as_role(caller: &Caller, role: Role, scopes: &[String]) -> Caller {
    let (user, workspace) = (
        caller.user().expect("a person"),
        caller.workspace.expect("has one"),
    );
    Caller::person(caller.kind, user, workspace, &[role], scopes, "s".to_owned())
}

fn user(caller: &Caller) -> UserId {
    caller.user().expect("a person")
}

fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

impl World {
    async fn add(&self, by: &Caller, user: UserId, role: Role) -> Result<Member, TenancyError> {
        let ctx = context("AddMember", by.clone());
        self.tenancy.add_member(&ctx, user, role.into()).await
    }

    async fn update(&self, by: &Caller, user: UserId, role: Role) -> Result<Member, TenancyError> {
        let ctx = context("UpdateMember", by.clone());
        self.tenancy.update_member(&ctx, user, role.into()).await
    }

    async fn remove(&self, by: &Caller, user: UserId) -> Result<(), TenancyError> {
        let ctx = context("RemoveMember", by.clone());
        self.tenancy.remove_member(&ctx, user).await
    }

    async fn invite(
        &self,
        by: &Caller,
        address: &str,
        role: Role,
    ) -> Result<(Invitation, SecretString), TenancyError> {
        let ctx = context("CreateInvitation", by.clone());
        let email = Email::parse(address).expect("an address");
        let expires_at = lifetime(None, ctx.now).expect("a time");
        self.tenancy
            .create_invitation(&ctx, email, role.into(), expires_at)
            .await
    }

    async fn accept(&self, by: &Caller, secret: &SecretString) -> Result<Membership, TenancyError> {
        let ctx = context("AcceptInvitation", by.clone());
        self.tenancy.accept_invitation(&ctx, secret).await
    }

    /// Somebody with a workspace of its own, who also has that role in the workspace of `by`.
    async fn colleague(&self, by: &Caller, role: Role) -> Caller {
        let somebody = self.owner().await;
        self.add(by, user(&somebody), role).await.expect("added");
        let caller = Caller {
            workspace: by.workspace,
            ..somebody
        };
        as_role(&caller, role, ANYBODY)
    }
}

#[tokio::test]
async fn each_change_is_a_fact_about_the_person() {
    let world = world();
    let owner = world.owner().await;
    let colleague = world.colleague(&owner, Role::Viewer).await;
    world
        .update(&owner, user(&colleague), Role::Editor)
        .await
        .expect("changed");
    world.remove(&owner, user(&colleague)).await.expect("removed");
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let ours: Vec<_> = facts
        .iter()
        .filter(|fact| Some(fact.workspace) == owner.workspace)
        .skip(1)
        .collect();
    let actions: Vec<&str> = ours.iter().map(|fact| fact.action.as_str()).collect();
    assert_eq!(actions, ["member.added", "member.role_changed", "member.removed"]);
    for fact in ours {
        assert_eq!((&fact.actor_id, &fact.target_id), (&owner.id, &colleague.id));
    }
}

#[tokio::test]
async fn a_role_is_seen_where_memberships_are_read() {
    let world = world();
    let owner = world.owner().await;
    let colleague = world.colleague(&owner, Role::Viewer).await;
    let role = async || {
        let memberships = world.tenancy.memberships(user(&colleague)).await.expect("read");
        let mut here = memberships
            .into_iter()
            .filter(|one| Some(one.workspace.id) == owner.workspace);
        here.next().map(|one| one.member.role)
    };
    assert_eq!(role().await, Some(Role::Viewer.into()));
    world
        .update(&owner, user(&colleague), Role::Admin)
        .await
        .expect("changed");
    assert_eq!(role().await, Some(Role::Admin.into()));
    world.remove(&owner, user(&colleague)).await.expect("removed");
    assert_eq!(role().await, None);
}

#[tokio::test]
async fn a_narrowed_token_gives_nothing_that_it_does_not_hold() {
    let world = world();
    let (owner, somebody) = (world.owner().await, world.owner().await);
    let scopes = ["members.write".to_owned(), "invitations.write".to_owned()];
    let token = as_role(
        &Caller {
            kind: CallerKind::Token,
            ..owner.clone()
        },
        Role::Owner,
        &scopes,
    );
    let above = refused(Code::PermissionDenied, "ROLE_ABOVE_OWN");
    assert_eq!(
        reason(world.add(&token, user(&somebody), Role::Viewer).await),
        above
    );
    assert_eq!(reason(world.invite(&token, "a@b.c", Role::Viewer).await), above);
    let colleague = world.colleague(&owner, Role::Admin).await;
    assert_eq!(
        reason(world.update(&token, user(&colleague), Role::Viewer).await),
        above
    );
    // To take away is no grant.
    world.remove(&token, user(&colleague)).await.expect("removed");
}

#[tokio::test]
async fn a_token_that_is_older_than_a_demotion_gives_no_more_than_the_person_may() {
    let world = world();
    let (owner, somebody) = (world.owner().await, world.owner().await);
    let second = world.colleague(&owner, Role::Owner).await;
    world
        .update(&owner, user(&second), Role::Admin)
        .await
        .expect("changed");
    let above = refused(Code::PermissionDenied, "ROLE_ABOVE_OWN");
    assert_eq!(
        reason(world.add(&second, user(&somebody), Role::Owner).await),
        above
    );
    assert_eq!(reason(world.invite(&second, "a@b.c", Role::Owner).await), above);
    world.remove(&owner, user(&second)).await.expect("removed");
    let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
    assert_eq!(reason(world.remove(&second, user(&owner)).await), denied);
    assert_eq!(reason(world.invite(&second, "a@b.c", Role::Viewer).await), denied);
}

#[tokio::test]
async fn everybody_may_leave_and_only_who_may_removes_others() {
    let world = world();
    let owner = world.owner().await;
    let (viewer, other) = (
        world.colleague(&owner, Role::Viewer).await,
        world.colleague(&owner, Role::Viewer).await,
    );
    let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
    assert_eq!(reason(world.remove(&viewer, user(&other)).await), denied);
    let token = Caller {
        kind: CallerKind::Token,
        ..viewer.clone()
    };
    assert_eq!(reason(world.remove(&token, user(&viewer)).await), denied);
    world.remove(&viewer, user(&viewer)).await.expect("left");
    let gone = refused(Code::NotFound, "MEMBER_NOT_FOUND");
    assert_eq!(reason(world.remove(&viewer, user(&viewer)).await), gone);
}

#[tokio::test]
async fn the_last_owner_neither_leaves_nor_steps_down() {
    let world = world();
    let owner = world.owner().await;
    let last = refused(Code::FailedPrecondition, "LAST_OWNER");
    assert_eq!(reason(world.remove(&owner, user(&owner)).await), last);
    assert_eq!(
        reason(world.update(&owner, user(&owner), Role::Admin).await),
        last
    );
    let second = world.colleague(&owner, Role::Owner).await;
    world.remove(&owner, user(&owner)).await.expect("left");
    assert_eq!(reason(world.remove(&second, user(&second)).await), last);
}

#[tokio::test]
async fn only_a_person_with_an_account_is_added() {
    let world = world();
    let owner = world.owner().await;
    let nobody = world.add(&owner, UserId::generate(), Role::Viewer).await;
    assert_eq!(reason(nobody), refused(Code::NotFound, "USER_NOT_FOUND"));
    let itself = world.add(&owner, user(&owner), Role::Viewer).await;
    assert_eq!(reason(itself), refused(Code::AlreadyExists, "MEMBER_EXISTS"));
}

#[tokio::test]
async fn an_accepted_invitation_makes_a_member_of_the_workspace_that_wrote_it() {
    let world = world();
    let (owner, somebody) = (world.owner().await, world.owner().await);
    let (invitation, secret) = world
        .invite(&owner, "ada@example.com", Role::Editor)
        .await
        .expect("written");
    assert!(token::check(INVITATION_PREFIX, secret.expose_secret()));
    let membership = world.accept(&somebody, &secret).await.expect("accepted");
    assert_eq!(Some(membership.workspace.id), owner.workspace);
    assert_eq!(
        (membership.member.user, membership.member.role),
        (user(&somebody), Role::Editor.into())
    );
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let last = facts.last().expect("kept");
    assert_eq!(last.action, "invitation.accepted");
    assert_eq!(
        (Some(last.workspace), &last.actor_id),
        (owner.workspace, &somebody.id)
    );
    assert_eq!(last.target_id, invitation.id.to_string());

    let again = world.accept(&world.owner().await, &secret).await;
    assert_eq!(reason(again), refused(Code::NotFound, "INVITATION_NOT_FOUND"));
}

#[tokio::test]
async fn of_many_who_accept_at_once_one_joins() {
    let world = Arc::new(world());
    let owner = world.owner().await;
    let (_, secret) = world
        .invite(&owner, "ada@example.com", Role::Viewer)
        .await
        .expect("written");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (world, secret) = (Arc::clone(&world), secret.clone());
        tasks.spawn(async move {
            let somebody = world.owner().await;
            world.accept(&somebody, &secret).await
        });
    }
    let (joined, others): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(joined.len(), 1);
    for other in others {
        assert_eq!(reason(other), refused(Code::NotFound, "INVITATION_NOT_FOUND"));
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_an_invitation_the_answer_is_one() {
    let world = world();
    let (owner, somebody) = (world.owner().await, world.owner().await);
    let (revoked, revoked_secret) = world
        .invite(&owner, "a@b.c", Role::Viewer)
        .await
        .expect("written");
    let ctx = context("RevokeInvitation", owner.clone());
    world
        .tenancy
        .revoke_invitation(&ctx, revoked.id)
        .await
        .expect("revoked");
    let (_, expired) = world
        .invite(&owner, "a@b.c", Role::Viewer)
        .await
        .expect("written");
    let mut answers = Vec::new();
    for secret in [
        &value(""),
        &value("cw_inv_"),
        &token::mint(token::PERSONAL_ACCESS_TOKEN).secret,
        &token::mint(INVITATION_PREFIX).secret,
        &revoked_secret,
    ] {
        answers.push(world.accept(&somebody, secret).await);
    }
    let mut late = context("AcceptInvitation", somebody.clone());
    late.now += TimeDelta::days(7);
    answers.push(world.tenancy.accept_invitation(&late, &expired).await);
    for answer in answers {
        let error = answer.expect_err("refused").to_api();
        assert_eq!(
            (error.code, error.reason.as_ref(), error.message.as_ref()),
            (Code::NotFound, "INVITATION_NOT_FOUND", "invitation not found")
        );
    }
    let foreign = context("RevokeInvitation", somebody);
    let answer = world.tenancy.revoke_invitation(&foreign, revoked.id).await;
    assert_eq!(reason(answer), refused(Code::NotFound, "INVITATION_NOT_FOUND"));
}

#[tokio::test]
async fn no_fact_holds_an_address_or_a_secret() {
    let world = world();
    let (owner, somebody) = (world.owner().await, world.owner().await);
    let (_, secret) = world
        .invite(&owner, "ada@example.com", Role::Viewer)
        .await
        .expect("written");
    world.accept(&somebody, &secret).await.expect("accepted");
    let facts = world.store.outbox().unsent(10).await.expect("read");
    let text = serde_json::to_string(&facts).expect("JSON");
    assert!(!text.contains("ada@example.com") && !text.contains(secret.expose_secret()));
}

#[tokio::test]
async fn a_program_changes_no_members() {
    let world = world();
    let owner = world.owner().await;
    let client = Caller {
        kind: CallerKind::Client,
        ..owner.clone()
    };
    let answer = world.add(&client, UserId::generate(), Role::Viewer).await;
    assert_eq!(reason(answer), refused(Code::PermissionDenied, "PERSON_REQUIRED"));
}
