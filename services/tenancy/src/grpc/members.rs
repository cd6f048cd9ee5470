//! Members and invitations over gRPC.

use causeway_context::{CallContext, UserId, from_timestamp, to_timestamp};
use causeway_contracts::tenancy::v1::member_service_server::MemberService;
use causeway_contracts::tenancy::v1::{self as wire};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{Answer, Fields, Grpc, only, refuse};
use crate::domain::{Email, Invalid, Invitation, MemberRole, lifetime};

#[tonic::async_trait]
impl MemberService for Grpc {
    async fn add_member(&self, request: Request<wire::AddMemberRequest>) -> Answer<wire::AddMemberResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let user = fields.check("user_id", request.user_id.parse::<UserId>());
        let role = fields.check("role", role(&request.role));
        let (Some(user), Some(role)) = (user, role) else {
            return Err(fields.refuse());
        };
        let member = self.0.add_member(&ctx, user, role).await.map_err(refuse)?;
        Ok(Response::new(wire::AddMemberResponse {
            member: Some(member.into()),
        }))
    }

    async fn update_member(
        &self,
        request: Request<wire::UpdateMemberRequest>,
    ) -> Answer<wire::UpdateMemberResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let mask = request.update_mask.unwrap_or_default().paths;
        let mask = fields.check("update_mask", only("role", &mask));
        let Some(member) = fields.check("member", request.member.ok_or("must be there")) else {
            return Err(fields.refuse());
        };
        let user = fields.check("member.user_id", member.user_id.parse::<UserId>());
        let role = fields.check("member.role", role(&member.role));
        let (Some(()), Some(user), Some(role)) = (mask, user, role) else {
            return Err(fields.refuse());
        };
        let member = self.0.update_member(&ctx, user, role).await.map_err(refuse)?;
        Ok(Response::new(wire::UpdateMemberResponse {
            member: Some(member.into()),
        }))
    }

    async fn remove_member(
        &self,
        request: Request<wire::RemoveMemberRequest>,
    ) -> Answer<wire::RemoveMemberResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(user) = fields.check("user_id", request.get_ref().user_id.parse::<UserId>()) else {
            return Err(fields.refuse());
        };
        self.0.remove_member(&ctx, user).await.map_err(refuse)?;
        Ok(Response::new(wire::RemoveMemberResponse {}))
    }

    async fn create_invitation(
        &self,
        request: Request<wire::CreateInvitationRequest>,
    ) -> Answer<wire::CreateInvitationResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let email = fields.check("email", Email::parse(&request.email));
        let role = fields.check("role", role(&request.role));
        let expires_at = fields.check("expires_at", end(request.expires_at, ctx.now));
        let (Some(email), Some(role), Some(expires_at)) = (email, role, expires_at) else {
            return Err(fields.refuse());
        };
        let (invitation, secret) = self
            .0
            .create_invitation(&ctx, email, role, expires_at)
            .await
            .map_err(refuse)?;
        let invitation = wire::Invitation {
            secret: secret.expose_secret().to_owned(),
            ..invitation.into()
        };
        Ok(Response::new(wire::CreateInvitationResponse {
            invitation: Some(invitation),
        }))
    }

    async fn list_invitations(
        &self,
        request: Request<wire::ListInvitationsRequest>,
    ) -> Answer<wire::ListInvitationsResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (invitations, next_page_token) = self.0.invitations(&ctx, &page).await.map_err(refuse)?;
        let invitations = invitations.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListInvitationsResponse {
            invitations,
            next_page_token,
        }))
    }

    async fn revoke_invitation(
        &self,
        request: Request<wire::RevokeInvitationRequest>,
    ) -> Answer<wire::RevokeInvitationResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(id) = fields.check("id", invitation_id(&request.get_ref().id)) else {
            return Err(fields.refuse());
        };
        self.0.revoke_invitation(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::RevokeInvitationResponse {}))
    }

    async fn accept_invitation(
        &self,
        request: Request<wire::AcceptInvitationRequest>,
    ) -> Answer<wire::AcceptInvitationResponse> {
        let ctx = CallContext::of(&request)?;
        let secret = SecretString::from(request.into_inner().secret);
        let membership = self.0.accept_invitation(&ctx, &secret).await.map_err(refuse)?;
        Ok(Response::new(wire::AcceptInvitationResponse {
            membership: Some(membership.into()),
        }))
    }
}

fn role(word: &str) -> Result<MemberRole, Invalid> {
    word.parse()
}

fn invitation_id(text: &str) -> Result<Uuid, Invalid> {
    Uuid::try_parse(text).map_err(|_| "must be a UUID")
}

fn end(asked: Option<prost_types::Timestamp>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let asked = asked
        .map(|asked| from_timestamp(asked).ok_or("must be a time"))
        .transpose()?;
    lifetime(asked, now)
}

impl From<Invitation> for wire::Invitation {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.as_str().to_owned(),
            role: invitation.role.to_string(),
            invited_by: invitation.invited_by.to_string(),
            created_at: Some(to_timestamp(invitation.created_at)),
            expires_at: Some(to_timestamp(invitation.expires_at)),
            secret: String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
