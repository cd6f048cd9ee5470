//! The RPCs of OAuth clients and API keys.

use causeway_context::{from_timestamp, to_timestamp};
use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::client_service_server::ClientService as Rpc;
use causeway_errors::ApiError;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use tonic::{Request, Response, Status};

use super::{Answer, Grpc, asked, call};
use crate::domain::{Client, PersonalToken};
use crate::service::{ClientChange, CreateClientRequest, RotationEnd, WithSecret};

#[tonic::async_trait]
impl Rpc for Grpc {
    async fn create_client(
        &self,
        request: Request<wire::CreateClientRequest>,
    ) -> Answer<wire::CreateClientResponse> {
        let (ctx, wire::CreateClientRequest { name, scopes, grants }) = call(request)?;
        let request = CreateClientRequest { name, scopes, grants };
        let made = self
            .0
            .create_client(&ctx, request)
            .await
            .map_err(ApiError::from)?;
        let client = Some(with_secret(made, ctx.now));
        Ok(Response::new(wire::CreateClientResponse { client }))
    }

    async fn list_clients(
        &self,
        request: Request<wire::ListClientsRequest>,
    ) -> Answer<wire::ListClientsResponse> {
        let (
            ctx,
            wire::ListClientsRequest {
                page_size,
                page_token,
            },
        ) = call(request)?;
        let listed = self.0.list_clients(&ctx, page_size, &page_token).await;
        let (clients, next_page_token) = listed.map_err(ApiError::from)?;
        let clients = clients.into_iter().map(|client| encode(client, ctx.now));
        Ok(Response::new(wire::ListClientsResponse {
            clients: clients.collect(),
            next_page_token,
        }))
    }

    async fn get_client(&self, request: Request<wire::GetClientRequest>) -> Answer<wire::GetClientResponse> {
        let (ctx, wire::GetClientRequest { id }) = call(request)?;
        let client = self.0.get_client(&ctx, &id).await.map_err(ApiError::from)?;
        let client = Some(encode(client, ctx.now));
        Ok(Response::new(wire::GetClientResponse { client }))
    }

    async fn update_client(
        &self,
        request: Request<wire::UpdateClientRequest>,
    ) -> Answer<wire::UpdateClientResponse> {
        let (ctx, wire::UpdateClientRequest { client, update_mask }) = call(request)?;
        let client = client.ok_or_else(|| ApiError::invalid("client", "must be given"))?;
        let id = client.id.clone();
        let change = change(client, update_mask.map(|mask| mask.paths).unwrap_or_default())?;
        let changed = self.0.update_client(&ctx, &id, change).await;
        let client = Some(encode(changed.map_err(ApiError::from)?, ctx.now));
        Ok(Response::new(wire::UpdateClientResponse { client }))
    }

    async fn delete_client(
        &self,
        request: Request<wire::DeleteClientRequest>,
    ) -> Answer<wire::DeleteClientResponse> {
        let (ctx, wire::DeleteClientRequest { id }) = call(request)?;
        self.0.delete_client(&ctx, &id).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::DeleteClientResponse {}))
    }

    async fn rotate_client(
        &self,
        request: Request<wire::RotateClientRequest>,
    ) -> Answer<wire::RotateClientResponse> {
        let (ctx, wire::RotateClientRequest { id, overlap_seconds }) = call(request)?;
        let rotated = self.0.rotate_client(&ctx, &id, overlap_seconds).await;
        let client = Some(with_secret(rotated.map_err(ApiError::from)?, ctx.now));
        Ok(Response::new(wire::RotateClientResponse { client }))
    }

    async fn complete_client_rotation(
        &self,
        request: Request<wire::CompleteClientRotationRequest>,
    ) -> Answer<wire::CompleteClientRotationResponse> {
        let (ctx, wire::CompleteClientRotationRequest { id }) = call(request)?;
        let ended = self.0.end_rotation(&ctx, &id, RotationEnd::Complete).await;
        let client = Some(encode(ended.map_err(ApiError::from)?, ctx.now));
        Ok(Response::new(wire::CompleteClientRotationResponse { client }))
    }

    async fn cancel_client_rotation(
        &self,
        request: Request<wire::CancelClientRotationRequest>,
    ) -> Answer<wire::CancelClientRotationResponse> {
        let (ctx, wire::CancelClientRotationRequest { id }) = call(request)?;
        let ended = self.0.end_rotation(&ctx, &id, RotationEnd::Cancel).await;
        let client = Some(encode(ended.map_err(ApiError::from)?, ctx.now));
        Ok(Response::new(wire::CancelClientRotationResponse { client }))
    }

    async fn create_api_key(
        &self,
        request: Request<wire::CreateApiKeyRequest>,
    ) -> Answer<wire::CreateApiKeyResponse> {
        let (
            ctx,
            wire::CreateApiKeyRequest {
                name,
                scopes,
                expires_at,
            },
        ) = call(request)?;
        let request = asked(name, scopes, expires_at.map(from_timestamp));
        let made = self
            .0
            .create_api_key(&ctx, request)
            .await
            .map_err(ApiError::from)?;
        let api_key = wire::ApiKey {
            secret: Some(made.secret.expose_secret().to_owned()),
            ..encode_key(made.token)
        };
        let api_key = Some(api_key);
        Ok(Response::new(wire::CreateApiKeyResponse { api_key }))
    }

    async fn list_api_keys(
        &self,
        request: Request<wire::ListApiKeysRequest>,
    ) -> Answer<wire::ListApiKeysResponse> {
        let (
            ctx,
            wire::ListApiKeysRequest {
                page_size,
                page_token,
            },
        ) = call(request)?;
        let listed = self.0.list_api_keys(&ctx, page_size, &page_token).await;
        let (keys, next_page_token) = listed.map_err(ApiError::from)?;
        Ok(Response::new(wire::ListApiKeysResponse {
            api_keys: keys.into_iter().map(encode_key).collect(),
            next_page_token,
        }))
    }

    async fn delete_api_key(
        &self,
        request: Request<wire::DeleteApiKeyRequest>,
    ) -> Answer<wire::DeleteApiKeyResponse> {
        let (ctx, wire::DeleteApiKeyRequest { id }) = call(request)?;
        self.0.delete_api_key(&ctx, &id).await.map_err(ApiError::from)?;
        Ok(Response::new(wire::DeleteApiKeyResponse {}))
    }

    async fn describe_credential(
        &self,
        request: Request<wire::DescribeCredentialRequest>,
    ) -> Answer<wire::DescribeCredentialResponse> {
        let (
            ctx,
            wire::DescribeCredentialRequest {
                credential,
                workspace_id,
            },
        ) = call(request)?;
        let described = self.0.describe_credential(&ctx, &credential, &workspace_id).await;
        let standing = described.map_err(ApiError::from)?;
        Ok(Response::new(wire::DescribeCredentialResponse {
            caller: standing.caller.as_ref().map(Into::into),
            revoked_token_ids: standing.revoked,
        }))
    }
}

/// What a mask asks to change.
fn change(client: wire::Client, mask: Vec<String>) -> Result<ClientChange, Status> {
    if mask.is_empty() {
        return Err(ApiError::invalid("update_mask", "must name what to change").into());
    }
    let mut change = ClientChange::default();
    for path in mask {
        match path.as_str() {
            "name" => change.name = Some(client.name.clone()),
            "scopes" => change.scopes = Some(client.scopes.clone()),
            "grants" => change.grants = Some(client.grants.clone()),
            "disabled" => change.disabled = Some(client.disabled),
            // REST puts every field of the body into the mask, and the id stands in the path.
            "id" => {}
            _ => return Err(ApiError::invalid(format!("client.{path}"), "cannot be changed").into()),
        }
    }
    Ok(change)
}

fn with_secret(made: WithSecret, now: DateTime<Utc>) -> wire::Client {
    wire::Client {
        client_secret: Some(made.secret.expose_secret().to_owned()),
        ..encode(made.client, now)
    }
}

fn encode(client: Client, now: DateTime<Utc>) -> wire::Client {
    let secrets = client.live_secrets(now).map(|secret| wire::ClientSecret {
        last_four: secret.last_four.clone(),
        created_at: Some(to_timestamp(secret.created_at)),
        expires_at: secret.expires_at.map(to_timestamp),
    });
    wire::Client {
        id: client.id.to_string(),
        client_id: client.id.to_string(),
        name: client.name.as_str().to_owned(),
        secrets: secrets.collect(),
        grants: client
            .grants
            .iter()
            .map(|grant| grant.as_str().to_owned())
            .collect(),
        disabled: client.disabled,
        granted_by: client.granted_by.to_string(),
        created_at: Some(to_timestamp(client.created_at)),
        scopes: client.scopes,
        client_secret: None,
    }
}

fn encode_key(key: PersonalToken) -> wire::ApiKey {
    wire::ApiKey {
        id: key.id.to_string(),
        name: key.name.as_str().to_owned(),
        scopes: key.scopes,
        created_at: Some(to_timestamp(key.created_at)),
        expires_at: Some(to_timestamp(key.expires_at)),
        last_used_at: key.last_used_at.map(to_timestamp),
        last_four: key.last_four,
        granted_by: key.user.to_string(),
        secret: None,
    }
}
