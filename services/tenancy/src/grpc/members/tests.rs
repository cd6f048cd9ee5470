use causeway_errors::Code;
use chrono::TimeDelta;

use super::*;
use crate::grpc::tests::{World, fields, refused, request_to, world};

fn call<T>(world: &World, rpc: &str, message: T) -> Request<T> {
    request_to("MemberService", rpc, &world.caller, message)
}

impl World {
    async fn invite(
        &self,
        email: &str,
        role: &str,
        expires_at: Option<prost_types::Timestamp>,
    ) -> Answer<wire::CreateInvitationResponse> {
        let message = wire::CreateInvitationRequest {
            email: email.to_owned(),
            role: role.to_owned(),
            expires_at,
        };
        let request = call(self, "CreateInvitation", message);
        self.grpc.create_invitation(request).await
    }

    async fn change(
        &self,
        member: Option<wire::Member>,
        paths: &[&str],
    ) -> Answer<wire::UpdateMemberResponse> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let message = wire::UpdateMemberRequest {
            member,
            update_mask: Some(prost_types::FieldMask { paths }),
        };
        self.grpc.update_member(call(self, "UpdateMember", message)).await
    }

    fn itself(&self, role: &str) -> Option<wire::Member> {
        Some(wire::Member {
            user_id: self.caller.id.clone(),
            role: role.to_owned(),
            joined_at: None,
        })
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let world = world().await;
    let message = wire::AddMemberRequest::default();
    let answer = world.grpc.add_member(call(&world, "AddMember", message)).await;
    assert_eq!(fields(answer), ["user_id", "role"]);
    let nobody = Some(wire::Member::default());
    assert_eq!(
        fields(world.change(nobody, &["joined_at"]).await),
        ["update_mask", "member.user_id", "member.role"]
    );
    assert_eq!(fields(world.change(None, &[]).await), ["update_mask", "member"]);
    let long_ago = Some(prost_types::Timestamp::default());
    assert_eq!(
        fields(world.invite("nobody", "king", long_ago).await),
        ["email", "role", "expires_at"]
    );
    let message = wire::RemoveMemberRequest::default();
    let answer = world
        .grpc
        .remove_member(call(&world, "RemoveMember", message))
        .await;
    assert_eq!(fields(answer), ["user_id"]);
    let message = wire::RevokeInvitationRequest { id: "x".to_owned() };
    let answer = world
        .grpc
        .revoke_invitation(call(&world, "RevokeInvitation", message))
        .await;
    assert_eq!(fields(answer), ["id"]);
    let message = wire::ListInvitationsRequest {
        page_size: -1,
        page_token: "?".to_owned(),
    };
    let answer = world
        .grpc
        .list_invitations(call(&world, "ListInvitations", message))
        .await;
    assert_eq!(fields(answer), ["page_size", "page_token"]);
}

#[tokio::test]
async fn the_last_owner_is_told_why_it_stays() {
    let world = world().await;
    let error = refused(world.change(world.itself("viewer"), &["role"]).await);
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::FailedPrecondition, "LAST_OWNER")
    );
    assert_eq!(causeway_errors::http_status(&error), 409);
    let same = world
        .change(world.itself("owner"), &["role"])
        .await
        .expect("changed");
    assert_eq!(same.into_inner().member.expect("answered").role, "owner");
}

#[tokio::test]
async fn the_secret_of_an_invitation_is_shown_once() {
    let world = world().await;
    let made = world
        .invite("Ada@Example.com", "viewer", None)
        .await
        .expect("written")
        .into_inner()
        .invitation
        .expect("answered");
    assert!(made.secret.starts_with("cw_inv_"));
    assert_eq!(made.email, "ada@example.com");
    assert_eq!(made.invited_by, world.caller.id);
    let [created, expires] =
        [made.created_at, made.expires_at].map(|time| time.and_then(from_timestamp).expect("a time"));
    assert_eq!(expires - created, TimeDelta::days(7));

    let message = wire::ListInvitationsRequest::default();
    let listed = world
        .grpc
        .list_invitations(call(&world, "ListInvitations", message))
        .await
        .expect("read")
        .into_inner();
    let expected = wire::Invitation {
        secret: String::new(),
        ..made
    };
    assert_eq!(listed.invitations, [expected]);
    assert_eq!(listed.next_page_token, "");
}

#[tokio::test]
async fn who_accepts_is_told_where_it_belongs_now() {
    let world = world().await;
    let made = world
        .invite("ada@example.com", "editor", None)
        .await
        .expect("written");
    let secret = made.into_inner().invitation.expect("answered").secret;
    let guest = causeway_context::Caller {
        id: UserId::generate().to_string(),
        workspace: Some(causeway_context::WorkspaceId::generate()),
        ..world.caller.clone()
    };
    let message = wire::AcceptInvitationRequest { secret };
    let accept = |message| {
        world
            .grpc
            .accept_invitation(request_to("MemberService", "AcceptInvitation", &guest, message))
    };
    let membership = accept(message.clone())
        .await
        .expect("accepted")
        .into_inner()
        .membership;
    let membership = membership.expect("answered");
    assert_eq!(membership.role, "editor");
    assert_eq!(membership.workspace.expect("answered").name, "Acme");
    assert_eq!(refused(accept(message).await).reason, "INVITATION_NOT_FOUND");
}
