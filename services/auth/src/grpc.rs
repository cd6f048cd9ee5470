//! The RPCs: decode, one use case, encode.

mod clients;
mod mfa;
mod oauth;
mod oidc;
mod persons;
mod recovery;
mod revocations;
mod sessions;

use std::sync::Arc;

use causeway_context::{CallContext, from_timestamp, to_timestamp};
use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::auth_service_server::AuthService as Rpc;
use causeway_contracts::to_struct;
use causeway_errors::ApiError;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

pub(crate) use revocations::RevocationRpc;

use crate::domain::PersonalToken;
use crate::service::{
    AuthService, CreateTokenRequest, ExchangeRequest, Exchanged, LoggedIn, LoginRequest, RegisterRequest,
    Tokens, permissions,
};

/// The RPCs over the use cases.
#[derive(Clone)]
pub(crate) struct Grpc(Arc<AuthService>);

impl Grpc {
    /// The RPCs over those use cases.
    pub(crate) fn new(service: Arc<AuthService>) -> Self {
        Self(service)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn call<T>(request: Request<T>) -> Result<(CallContext, T), Status> {
    Ok((CallContext::of(&request)?, request.into_inner()))
}

#[tonic::async_trait]
impl Rpc for Grpc {
    async fn register(&self, request: Request<wire::RegisterRequest>) -> Answer<wire::RegisterResponse> {
        let (
            ctx,
            wire::RegisterRequest {
                email,
                password,
                workspace_name,
            },
        ) = call(request)?;
        let request = RegisterRequest {
            email,
            password,
            workspace_name,
        };
        let made = self.0.register(&ctx, request).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::RegisterResponse {
            user_id: made.user.to_string(),
            workspace_id: made.workspace.to_string(),
            email: made.email.as_str().to_owned(),
        }))
    }

    async fn login(&self, request: Request<wire::LoginRequest>) -> Answer<wire::LoginResponse> {
        let (
            ctx,
            wire::LoginRequest {
                email,
                password,
                workspace_id,
                device_token,
            },
        ) = call(request)?;
        let request = LoginRequest {
            email,
            password,
            workspace_id,
            device_token,
        };
        let answer = match self.0.login(&ctx, request).await.map_err(ApiError::from)? {
            LoggedIn::SecondFactor(token) => mfa::second_step(&token),
            LoggedIn::Open(tokens, device) => wire::LoginResponse {
                access_token: tokens.access.expose_secret().to_owned(),
                token_type: BEARER.to_owned(),
                expires_in: tokens.access_life.num_seconds(),
                workspace_id: tokens.workspace.to_string(),
                refresh_token: tokens.refresh.expose_secret().to_owned(),
                session_id: tokens.session.to_string(),
                mfa_required: None,
                mfa_token: None,
                device_token: shown(device.as_ref()),
            },
        };
        Ok(Response::new(answer))
    }

    async fn exchange(&self, request: Request<wire::ExchangeRequest>) -> Answer<wire::ExchangeResponse> {
        let (
            ctx,
            wire::ExchangeRequest {
                token,
                workspace_id,
                refresh,
            },
        ) = call(request)?;
        let request = ExchangeRequest {
            token: token.into(),
            workspace_id,
            refresh,
            scope: Vec::new(),
        };
        let exchanged: Exchanged = self.0.exchange(&ctx, request).await.map_err(ApiError::from)?;
        let refresh = exchanged.refresh.as_ref();
        Ok(Response::new(wire::ExchangeResponse {
            access_token: exchanged.access.expose_secret().to_owned(),
            issued_token_type: ACCESS_TOKEN.to_owned(),
            token_type: BEARER.to_owned(),
            expires_in: exchanged.access_life.num_seconds(),
            workspace_id: exchanged.workspace.to_string(),
            refresh_token: refresh
                .map(|text| text.expose_secret().to_owned())
                .unwrap_or_default(),
            session_id: exchanged.session.to_string(),
        }))
    }

    async fn refresh(&self, request: Request<wire::RefreshRequest>) -> Answer<wire::RefreshResponse> {
        let (ctx, wire::RefreshRequest { refresh_token }) = call(request)?;
        let tokens: Tokens = self
            .0
            .refresh(&ctx, &refresh_token.into())
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(wire::RefreshResponse {
            access_token: tokens.access.expose_secret().to_owned(),
            token_type: BEARER.to_owned(),
            expires_in: tokens.access_life.num_seconds(),
            workspace_id: tokens.workspace.to_string(),
            refresh_token: tokens.refresh.expose_secret().to_owned(),
        }))
    }

    async fn logout(&self, request: Request<wire::LogoutRequest>) -> Answer<wire::LogoutResponse> {
        let (ctx, wire::LogoutRequest { refresh_token }) = call(request)?;
        self.0
            .logout(&ctx, &refresh_token.into())
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(wire::LogoutResponse {}))
    }

    async fn get_jwks(&self, _: Request<wire::GetJwksRequest>) -> Answer<wire::GetJwksResponse> {
        let set = serde_json::to_value(self.0.jwks()).map_err(|_| ApiError::internal())?;
        let keys = set["keys"].as_array().into_iter().flatten();
        let keys = keys.filter_map(|key| key.as_object().map(to_struct)).collect();
        Ok(Response::new(wire::GetJwksResponse { keys }))
    }

    async fn get_me(&self, request: Request<wire::GetMeRequest>) -> Answer<wire::GetMeResponse> {
        let (ctx, _) = call(request)?;
        let me = self.0.me(&ctx).await.map_err(ApiError::from)?;
        let workspaces = me.workspaces.into_iter().map(|membership| wire::Membership {
            workspace_id: membership.workspace.to_string(),
            name: membership.name,
            role: membership.role,
        });
        let second_factor = me.factor.map(|factor| mfa::second_factor(&me.principal, &factor));
        Ok(Response::new(wire::GetMeResponse {
            principal: Some((&me.principal).into()),
            email: me.email,
            email_verified: me.email_verified,
            workspaces: workspaces.collect(),
            permissions: me.principal.permissions.names(),
            mfa: me.principal.mfa,
            second_factor,
        }))
    }

    async fn create_token(
        &self,
        request: Request<wire::CreateTokenRequest>,
    ) -> Answer<wire::CreateTokenResponse> {
        let (
            ctx,
            wire::CreateTokenRequest {
                name,
                scopes,
                expires_at,
            },
        ) = call(request)?;
        let request = asked(name, scopes, expires_at.map(from_timestamp));
        let created = self.0.create_token(&ctx, request).await.map_err(ApiError::from)?;
        let secret = Some(created.secret.expose_secret().to_owned());
        let token = wire::PersonalAccessToken {
            secret,
            ..encode(created.token)
        };
        Ok(Response::new(wire::CreateTokenResponse { token: Some(token) }))
    }

    async fn list_tokens(
        &self,
        request: Request<wire::ListTokensRequest>,
    ) -> Answer<wire::ListTokensResponse> {
        let (
            ctx,
            wire::ListTokensRequest {
                page_size,
                page_token,
            },
        ) = call(request)?;
        let (tokens, next_page_token) = self
            .0
            .list_tokens(&ctx, page_size, &page_token)
            .await
            .map_err(ApiError::from)?;
        let tokens = tokens.into_iter().map(encode).collect();
        Ok(Response::new(wire::ListTokensResponse {
            tokens,
            next_page_token,
        }))
    }

    async fn delete_token(
        &self,
        request: Request<wire::DeleteTokenRequest>,
    ) -> Answer<wire::DeleteTokenResponse> {
        let (ctx, wire::DeleteTokenRequest { id }) = call(request)?;
        self.0.delete_token(&ctx, &id).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::DeleteTokenResponse {}))
    }

    async fn list_permissions(
        &self,
        _: Request<wire::ListPermissionsRequest>,
    ) -> Answer<wire::ListPermissionsResponse> {
        let permissions = permissions().into_iter().map(|entry| wire::Permission {
            id: entry.id.into(),
            name: entry.name.to_owned(),
            description: entry.description.to_owned(),
            roles: entry
                .roles
                .into_iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
            methods: entry.methods.into_iter().map(str::to_owned).collect(),
        });
        Ok(Response::new(wire::ListPermissionsResponse {
            permissions: permissions.collect(),
        }))
    }

    async fn authenticate_token(
        &self,
        request: Request<wire::AuthenticateTokenRequest>,
    ) -> Answer<wire::AuthenticateTokenResponse> {
        let (ctx, wire::AuthenticateTokenRequest { token }) = call(request)?;
        let proven = self
            .0
            .authenticate_token(&ctx, &token.into())
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(wire::AuthenticateTokenResponse {
            caller: Some((&proven.caller).into()),
            expires_at: Some(to_timestamp(proven.expires_at)),
        }))
    }
}

/// The text of a secret for the client; empty when there is none.
fn shown(secret: Option<&SecretString>) -> String {
    secret
        .map(|text| text.expose_secret().to_owned())
        .unwrap_or_default()
}

/// A token, or a key, as it is asked for: with the end that was read, if one was given.
fn asked(name: String, scopes: Vec<String>, end: Option<Option<DateTime<Utc>>>) -> CreateTokenRequest {
    let expires_at = end.map(|end| end.ok_or("is outside of the calendar")).transpose();
    CreateTokenRequest {
        name,
        scopes,
        expires_at,
    }
}

const BEARER: &str = "Bearer";
/// RFC 8693 §3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn encode(token: PersonalToken) -> wire::PersonalAccessToken {
    wire::PersonalAccessToken {
        id: token.id.to_string(),
        name: token.name.as_str().to_owned(),
        scopes: token.scopes,
        created_at: Some(to_timestamp(token.created_at)),
        expires_at: Some(to_timestamp(token.expires_at)),
        last_used_at: token.last_used_at.map(to_timestamp),
        last_four: token.last_four,
        secret: None,
    }
}
