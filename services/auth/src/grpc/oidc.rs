//! Sign-in at providers, on the wire.

use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::oidc_service_server::OidcService;
use secrecy::ExposeSecret as _;

use super::{Answer, ApiError, BEARER, Grpc, Request, Response, call};
use crate::service::{FinishRequest, SignedIn, StartRequest};

#[tonic::async_trait]
impl OidcService for Grpc {
    async fn list_providers(
        &self,
        _: Request<wire::ListProvidersRequest>,
    ) -> Answer<wire::ListProvidersResponse> {
        let providers = self.0.provider_names().map(|name| wire::SignInProvider {
            name: name.to_owned(),
            start_path: format!("/auth/oidc/{name}/start"),
        });
        Ok(Response::new(wire::ListProvidersResponse {
            providers: providers.collect(),
        }))
    }

    async fn start_sign_in(
        &self,
        request: Request<wire::StartSignInRequest>,
    ) -> Answer<wire::StartSignInResponse> {
        let (
            ctx,
            wire::StartSignInRequest {
                provider,
                return_to,
                workspace_id,
            },
        ) = call(request)?;
        let request = StartRequest {
            provider,
            return_to,
            workspace_id,
        };
        let started = self.0.start_sign_in(&ctx, request).await;
        let started = started.map_err(ApiError::from)?;
        Ok(Response::new(wire::StartSignInResponse {
            location: started.location,
            sign_in_token: started.token.expose_secret().to_owned(),
        }))
    }

    async fn finish_sign_in(
        &self,
        request: Request<wire::FinishSignInRequest>,
    ) -> Answer<wire::FinishSignInResponse> {
        let (
            ctx,
            wire::FinishSignInRequest {
                provider,
                code,
                state,
                iss,
                error,
                sign_in_token,
            },
        ) = call(request)?;
        let request = FinishRequest {
            provider,
            code: code.into(),
            state: state.into(),
            issuer: iss,
            error,
            token: sign_in_token.into(),
        };
        let finished = self.0.finish_sign_in(&ctx, request).await;
        let (signed_in, return_to) = finished.map_err(ApiError::from)?;
        let return_to = return_to.unwrap_or_default();
        Ok(Response::new(match signed_in {
            SignedIn::SecondFactor(token) => wire::FinishSignInResponse {
                mfa_required: Some(true),
                mfa_token: Some(token.expose_secret().to_owned()),
                return_to,
                ..wire::FinishSignInResponse::default()
            },
            SignedIn::Open(tokens) => wire::FinishSignInResponse {
                access_token: tokens.access.expose_secret().to_owned(),
                token_type: BEARER.to_owned(),
                expires_in: tokens.access_life.num_seconds(),
                workspace_id: tokens.workspace.to_string(),
                refresh_token: tokens.refresh.expose_secret().to_owned(),
                session_id: tokens.session.to_string(),
                mfa_required: None,
                mfa_token: None,
                return_to,
            },
        }))
    }
}
