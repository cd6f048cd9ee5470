//! Sessions on the wire.

use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::session_service_server::SessionService;

use super::{Answer, ApiError, Grpc, Request, Response, call, to_timestamp};
use crate::domain::{Session, SignIn};
use crate::service::current;

#[tonic::async_trait]
impl SessionService for Grpc {
    async fn list_sessions(
        &self,
        request: Request<wire::ListSessionsRequest>,
    ) -> Answer<wire::ListSessionsResponse> {
        let (
            ctx,
            wire::ListSessionsRequest {
                page_size,
                page_token,
            },
        ) = call(request)?;
        let found = self.0.list_sessions(&ctx, page_size, &page_token).await;
        let (sessions, next_page_token) = found.map_err(ApiError::from)?;
        let asking = current(&ctx);
        let sessions = sessions.into_iter().map(|session| {
            let current = Some(session.id) == asking;
            encode(session, current)
        });
        Ok(Response::new(wire::ListSessionsResponse {
            sessions: sessions.collect(),
            next_page_token,
        }))
    }

    async fn delete_session(
        &self,
        request: Request<wire::DeleteSessionRequest>,
    ) -> Answer<wire::DeleteSessionResponse> {
        let (ctx, wire::DeleteSessionRequest { id }) = call(request)?;
        self.0.delete_session(&ctx, &id).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::DeleteSessionResponse {}))
    }

    async fn delete_sessions(
        &self,
        request: Request<wire::DeleteSessionsRequest>,
    ) -> Answer<wire::DeleteSessionsResponse> {
        let (ctx, wire::DeleteSessionsRequest { include_current }) = call(request)?;
        let closed = self.0.delete_sessions(&ctx, include_current).await;
        Ok(Response::new(wire::DeleteSessionsResponse {
            closed: count(closed.map_err(ApiError::from)?),
        }))
    }

    async fn list_member_sessions(
        &self,
        request: Request<wire::ListMemberSessionsRequest>,
    ) -> Answer<wire::ListMemberSessionsResponse> {
        let (ctx, request) = call(request)?;
        let found = self
            .0
            .list_member_sessions(&ctx, &request.user_id, request.page_size, &request.page_token)
            .await;
        let (sessions, next_page_token) = found.map_err(ApiError::from)?;
        let asking = current(&ctx);
        let sessions = sessions.into_iter().map(|session| {
            let current = Some(session.id) == asking;
            encode(session, current)
        });
        Ok(Response::new(wire::ListMemberSessionsResponse {
            sessions: sessions.collect(),
            next_page_token,
        }))
    }

    async fn delete_member_sessions(
        &self,
        request: Request<wire::DeleteMemberSessionsRequest>,
    ) -> Answer<wire::DeleteMemberSessionsResponse> {
        let (ctx, wire::DeleteMemberSessionsRequest { user_id }) = call(request)?;
        let closed = self.0.delete_member_sessions(&ctx, &user_id).await;
        Ok(Response::new(wire::DeleteMemberSessionsResponse {
            closed: count(closed.map_err(ApiError::from)?),
        }))
    }

    async fn list_sign_ins(
        &self,
        request: Request<wire::ListSignInsRequest>,
    ) -> Answer<wire::ListSignInsResponse> {
        let (
            ctx,
            wire::ListSignInsRequest {
                page_size,
                page_token,
            },
        ) = call(request)?;
        let found = self.0.list_sign_ins(&ctx, page_size, &page_token).await;
        let (sign_ins, next_page_token) = found.map_err(ApiError::from)?;
        Ok(Response::new(wire::ListSignInsResponse {
            sign_ins: sign_ins.into_iter().map(told).collect(),
            next_page_token,
        }))
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn encode(session: Session, current: bool) -> wire::Session {
    wire::Session {
        id: session.id.to_string(),
        workspace_id: session.workspace.to_string(),
        method: session.trace.method,
        opened_at: Some(to_timestamp(session.opened_at)),
        last_used_at: Some(to_timestamp(session.last_used_at)),
        expires_at: Some(to_timestamp(session.expires_at)),
        network: session.trace.network,
        agent: session.trace.agent,
        current,
    }
}

fn told(sign_in: SignIn) -> wire::SignIn {
    let outcome = match sign_in.session {
        Some(_) => "success",
        None => "failure",
    };
    wire::SignIn {
        at: Some(to_timestamp(sign_in.at)),
        method: sign_in.trace.method,
        outcome: outcome.to_owned(),
        network: sign_in.trace.network,
        agent: sign_in.trace.agent,
        session_id: sign_in.session.map(|id| id.to_string()).unwrap_or_default(),
    }
}
