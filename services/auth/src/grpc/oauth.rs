//! The RPCs of OAuth.

use causeway_contracts::PERMISSIONS;
use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::oauth_service_server::OauthService as Rpc;
use causeway_errors::ApiError;
use secrecy::ExposeSecret as _;
use tonic::{Request, Response};

use super::{ACCESS_TOKEN, Answer, BEARER, Grpc, call};
use crate::domain::Grant;
use crate::service::{
    ClientCredentials, Granted, Introspected, Metadata, RevokeRequest, ScanReport, Scanned, TokenRequest,
};

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

    async fn report_scanned_tokens(
        &self,
        request: Request<wire::ReportScannedTokensRequest>,
    ) -> Answer<wire::ReportScannedTokensResponse> {
        let (
            ctx,
            wire::ReportScannedTokensRequest {
                payload,
                key_identifier,
                signature,
            },
        ) = call(request)?;
        let payload = payload.unwrap_or_default();
        let report = ScanReport {
            body: &payload.data,
            key_id: &key_identifier,
            signature: &signature,
        };
        let scanned = self.0.report_scanned(&ctx, report).await;
        let labels = scanned.map_err(ApiError::from)?.into_iter().map(labelled);
        Ok(Response::new(wire::ReportScannedTokensResponse {
            labels: labels.collect(),
        }))
    }

    async fn get_oauth_metadata(
        &self,
        _: Request<wire::GetOauthMetadataRequest>,
    ) -> Answer<wire::GetOauthMetadataResponse> {
        let metadata = self.0.metadata().map_err(ApiError::from)?;
        Ok(Response::new(described(metadata)))
    }
}

fn labelled(scanned: Scanned) -> wire::ScannedToken {
    wire::ScannedToken {
        token_raw: scanned.text().to_owned(),
        label: scanned.label().to_owned(),
        token_type: scanned.kind,
    }
}

fn described(metadata: &Metadata) -> wire::GetOauthMetadataResponse {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    // Who shows a refresh token, or a token to exchange, needs to be no client.
    let clients = words(&["client_secret_basic", "client_secret_post"]);
    let anybody = [clients.clone(), words(&["none"])].concat();
    wire::GetOauthMetadataResponse {
        issuer: metadata.issuer.clone(),
        token_endpoint: metadata.at("/auth/token"),
        introspection_endpoint: metadata.at("/auth/introspect"),
        revocation_endpoint: metadata.at("/auth/revoke"),
        jwks_uri: metadata.at("/.well-known/jwks.json"),
        grant_types_supported: Grant::ALL.iter().map(|grant| grant.as_str().to_owned()).collect(),
        response_types_supported: Vec::new(),
        token_endpoint_auth_methods_supported: anybody.clone(),
        introspection_endpoint_auth_methods_supported: clients,
        revocation_endpoint_auth_methods_supported: anybody,
        scopes_supported: words(PERMISSIONS),
        service_documentation: metadata.at("/docs"),
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
