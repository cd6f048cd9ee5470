//! The RPCs of OAuth.

use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::oauth_service_server::OauthService as Rpc;
use causeway_errors::ApiError;
use secrecy::ExposeSecret as _;
use tonic::{Request, Response};

use super::{ACCESS_TOKEN, Answer, BEARER, Grpc, call};
use crate::service::{ClientCredentials, Granted, Introspected, RevokeRequest, TokenRequest};

#[tonic::async_trait]
impl Rpc for Grpc {
    async fn token(&self, request: Request<wire::TokenRequest>) -> Answer<wire::TokenResponse> {
        let (ctx, request) = call(request)?;
        let granted = self
            .0
            .grant(&ctx, decode(request))
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(encode(&granted)))
    }

    async fn introspect(
        &self,
        request: Request<wire::IntrospectRequest>,
    ) -> Answer<wire::IntrospectResponse> {
        let (
            ctx,
            wire::IntrospectRequest {
                token,
                token_type_hint: _,
                client_id,
                client_secret,
            },
        ) = call(request)?;
        let client = shown(client_id, client_secret);
        let found = self.0.introspect(&ctx, &client, &token.into()).await;
        let found = found.map_err(ApiError::from)?;
        Ok(Response::new(found.map(worth).unwrap_or_default()))
    }

    async fn revoke(&self, request: Request<wire::RevokeRequest>) -> Answer<wire::RevokeResponse> {
        let (
            ctx,
            wire::RevokeRequest {
                token,
                token_type_hint: _,
                client_id,
                client_secret,
            },
        ) = call(request)?;
        let request = RevokeRequest {
            token: token.into(),
            client: shown(client_id, client_secret),
        };
        self.0.revoke(&ctx, request).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::RevokeResponse {}))
    }

    async fn report_leaked_token(
        &self,
        request: Request<wire::ReportLeakedTokenRequest>,
    ) -> Answer<wire::ReportLeakedTokenResponse> {
        let (ctx, wire::ReportLeakedTokenRequest { token, found_at }) = call(request)?;
        let reported = self.0.report_leak(&ctx, &token.into(), &found_at).await;
        reported.map_err(ApiError::from)?;
        Ok(Response::new(wire::ReportLeakedTokenResponse {}))
    }
}

fn shown(id: String, secret: String) -> ClientCredentials {
    ClientCredentials {
        id,
        secret: secret.into(),
    }
}

fn decode(request: wire::TokenRequest) -> TokenRequest {
    TokenRequest {
        grant_type: request.grant_type,
        client: shown(request.client_id, request.client_secret),
        scope: request.scope,
        refresh_token: request.refresh_token.into(),
        subject_token: request.subject_token.into(),
        subject_token_type: request.subject_token_type,
        actor_token: request.actor_token.into(),
        actor_token_type: request.actor_token_type,
        requested_token_type: request.requested_token_type,
        targets: request
            .audience
            .into_iter()
            .chain(request.resource)
            .filter(|target| !target.is_empty())
            .collect(),
        workspace_id: request.workspace_id,
    }
}

fn encode(granted: &Granted) -> wire::TokenResponse {
    let refresh = granted.refresh.as_ref();
    wire::TokenResponse {
        access_token: granted.access.expose_secret().to_owned(),
        issued_token_type: if granted.exchanged { ACCESS_TOKEN } else { "" }.to_owned(),
        token_type: BEARER.to_owned(),
        expires_in: granted.access_life.num_seconds(),
        scope: granted.scope.clone(),
        refresh_token: refresh
            .map(|text| text.expose_secret().to_owned())
            .unwrap_or_default(),
        workspace_id: granted.workspace.to_string(),
    }
}

fn worth(found: Introspected) -> wire::IntrospectResponse {
    wire::IntrospectResponse {
        active: true,
        scope: found.scope,
        client_id: found.client_id,
        token_type: found.kind.as_str().to_owned(),
        exp: found.expires_at,
        iat: found.issued_at,
        nbf: found.not_before,
        sub: found.subject,
        aud: found.audience.unwrap_or_default(),
        iss: found.issuer.unwrap_or_default(),
        jti: found.jti,
        workspace_id: found.workspace.to_string(),
    }
}
