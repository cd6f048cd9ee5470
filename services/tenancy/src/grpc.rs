//! The RPCs: decode, one use case, encode.

mod crypto;
mod keys;
mod lifecycle;
mod members;
mod platform;
mod revocations;
mod roles;
mod settings;

use std::sync::Arc;

use causeway_context::{CallContext, UserId, WorkspaceId, to_timestamp};
use causeway_contracts::tenancy::v1::tenancy_service_server::TenancyService;
use causeway_contracts::tenancy::v1::{self as wire};
use causeway_errors::{ApiError, Violation};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Response, Status};

pub(crate) use revocations::RevocationRpc;

use crate::domain::{
    Belonging, Member, Membership, MfaPolicy, Secret, SecretKind, SecretName, Workspace, WorkspaceName,
};
use crate::error::TenancyError;
use crate::page::{self, Page, Place};
use crate::service::Tenancy;

const VALUE_BYTES: usize = 65_536;

/// How many memberships may be asked for at once.
const PLACES: usize = 64;

/// The services over gRPC.
#[derive(Clone)]
pub(crate) struct Grpc(Arc<Tenancy>);

impl Grpc {
    /// The RPCs of these use cases.
    pub(crate) fn new(tenancy: Tenancy) -> Self {
        Self(Arc::new(tenancy))
    }
}

/// What is wrong with a request, all of it.
#[derive(Default)]
struct Fields(Vec<Violation>);

impl Fields {
    fn check<T, E: ToString>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value
            .map_err(|wrong| {
                self.0.push(Violation {
                    field: field.to_owned(),
                    description: wrong.to_string(),
                });
            })
            .ok()
    }

    fn page<P: Place>(&mut self, size: i32, token: &str) -> Option<Page<P>> {
        let size = self.check("page_size", page::size(size));
        let after = self.check("page_token", page::place(token));
        Some(Page {
            size: size?,
            after: after?,
        })
    }

    fn refuse(self) -> Status {
        ApiError::violations(self.0).into()
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// The end of a failure: its causes go to the log, once, and what may be shown goes out.
fn refuse(error: TenancyError) -> Status {
    let outside = error.to_api();
    if error.is_ours() {
        causeway_telemetry::report(&error, outside.error_id, "a tenancy call failed");
    }
    outside.into()
}

#[tonic::async_trait]
impl TenancyService for Grpc {
    async fn create_workspace(
        &self,
        request: Request<wire::CreateWorkspaceRequest>,
    ) -> Answer<wire::CreateWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(name) = fields.check("name", WorkspaceName::parse(&request.get_ref().name)) else {
            return Err(fields.refuse());
        };
        let workspace = self.0.create_workspace(&ctx, name).await.map_err(refuse)?;
        Ok(Response::new(wire::CreateWorkspaceResponse {
            workspace: Some(workspace.into()),
        }))
    }

    async fn provision_workspace(
        &self,
        request: Request<wire::ProvisionWorkspaceRequest>,
    ) -> Answer<wire::ProvisionWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let id = fields.check("workspace_id", request.workspace_id.parse::<WorkspaceId>());
        let name = fields.check("name", WorkspaceName::parse(&request.name));
        let owner = fields.check("owner_user_id", request.owner_user_id.parse::<UserId>());
        let (Some(id), Some(name), Some(owner)) = (id, name, owner) else {
            return Err(fields.refuse());
        };
        let workspace = self
            .0
            .provision_workspace(&ctx, id, name, owner)
            .await
            .map_err(refuse)?;
        Ok(Response::new(wire::ProvisionWorkspaceResponse {
            workspace: Some(workspace.into()),
        }))
    }

    async fn list_memberships(
        &self,
        request: Request<wire::ListMembershipsRequest>,
    ) -> Answer<wire::ListMembershipsResponse> {
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let user = fields.check("user_id", request.user_id.parse::<UserId>());
        let only = match request.workspace_id.as_str() {
            "" => Some(None),
            id => fields.check("workspace_id", id.parse::<WorkspaceId>()).map(Some),
        };
        let (Some(user), Some(only)) = (user, only) else {
            return Err(fields.refuse());
        };
        let places: Vec<_> = match only {
            Some(workspace) => vec![(workspace, user)],
            None => {
                let memberships = self.0.memberships(user).await.map_err(refuse)?;
                memberships.iter().map(|one| (one.workspace.id, user)).collect()
            }
        };
        let mut answer = wire::ListMembershipsResponse::default();
        for found in self
            .0
            .belongings(&places)
            .await
            .map_err(refuse)?
            .into_iter()
            .flatten()
        {
            let workspace_id = found.membership.workspace.id.to_string();
            if found.mfa_policy == MfaPolicy::Required {
                answer.mfa_workspace_ids.push(workspace_id.clone());
            }
            answer
                .custom_grants
                .extend(found.custom.map(|held| wire::CustomGrant {
                    workspace_id,
                    permissions: held.to_bytes(),
                }));
            answer.memberships.push(found.membership.into());
        }
        Ok(Response::new(answer))
    }

    async fn find_memberships(
        &self,
        request: Request<wire::FindMembershipsRequest>,
    ) -> Answer<wire::FindMembershipsResponse> {
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let places = places(&request.places, &mut fields);
        let Some(places) = places else {
            return Err(fields.refuse());
        };
        let found = self.0.belongings(&places).await.map_err(refuse)?;
        Ok(Response::new(wire::FindMembershipsResponse {
            found: found.into_iter().map(found_membership).collect(),
        }))
    }

    async fn list_workspaces(
        &self,
        request: Request<wire::ListWorkspacesRequest>,
    ) -> Answer<wire::ListWorkspacesResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (workspaces, next_page_token) = self.0.workspaces(&ctx, &page).await.map_err(refuse)?;
        let workspaces = workspaces.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListWorkspacesResponse {
            workspaces,
            next_page_token,
        }))
    }

    async fn get_workspace(
        &self,
        request: Request<wire::GetWorkspaceRequest>,
    ) -> Answer<wire::GetWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(id) = fields.check("id", WorkspaceId::named(&request.get_ref().id)) else {
            return Err(fields.refuse());
        };
        let workspace = self.0.workspace(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::GetWorkspaceResponse {
            workspace: Some(workspace.into()),
        }))
    }

    async fn update_workspace(
        &self,
        request: Request<wire::UpdateWorkspaceRequest>,
    ) -> Answer<wire::UpdateWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let mask = request.update_mask.unwrap_or_default().paths;
        let mask = fields.check("update_mask", only("name", &mask));
        let Some(workspace) = fields.check("workspace", request.workspace.ok_or("must be there")) else {
            return Err(fields.refuse());
        };
        let id = fields.check("workspace.id", WorkspaceId::named(&workspace.id));
        let name = fields.check("workspace.name", WorkspaceName::parse(&workspace.name));
        let (Some(()), Some(id), Some(name)) = (mask, id, name) else {
            return Err(fields.refuse());
        };
        let workspace = self.0.rename_workspace(&ctx, id, &name).await.map_err(refuse)?;
        Ok(Response::new(wire::UpdateWorkspaceResponse {
            workspace: Some(workspace.into()),
        }))
    }

    async fn delete_workspace(
        &self,
        request: Request<wire::DeleteWorkspaceRequest>,
    ) -> Answer<wire::DeleteWorkspaceResponse> {
        self.order_deletion(request).await
    }

    async fn list_members(
        &self,
        request: Request<wire::ListMembersRequest>,
    ) -> Answer<wire::ListMembersResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (members, next_page_token) = self.0.members(&ctx, &page).await.map_err(refuse)?;
        let members = members.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListMembersResponse {
            members,
            next_page_token,
        }))
    }

    async fn get_tenant_status(
        &self,
        request: Request<wire::GetTenantStatusRequest>,
    ) -> Answer<wire::GetTenantStatusResponse> {
        let ctx = CallContext::of(&request)?;
        let status = self.0.status(&ctx).await.map_err(refuse)?;
        Ok(Response::new(wire::GetTenantStatusResponse {
            workspace_id: status.workspace.to_string(),
            region: status.region,
            demo: status.demo,
            rate_tier: status.rate_tier.as_str().to_owned(),
            limits: Some(wire::TenantLimits {
                rate_tier: status.rate_tier.as_str().to_owned(),
                requests_per_minute: status
                    .rate_tier
                    .per_minute()
                    .map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)),
            }),
        }))
    }

    async fn put_secret(&self, request: Request<wire::PutSecretRequest>) -> Answer<wire::PutSecretResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let name = fields.check("name", SecretName::parse(&request.name));
        let kind = fields.check("kind", SecretKind::parse(&request.kind));
        let value = fields.check("value", value_of(request.value));
        let (Some(name), Some(kind), Some(value)) = (name, kind, value) else {
            return Err(fields.refuse());
        };
        let secret = self
            .0
            .put_secret(&ctx, &name, kind, &value)
            .await
            .map_err(refuse)?;
        Ok(Response::new(wire::PutSecretResponse {
            secret: Some(secret.into()),
        }))
    }

    async fn get_secret(&self, request: Request<wire::GetSecretRequest>) -> Answer<wire::GetSecretResponse> {
        let ctx = CallContext::of(&request)?;
        let name = secret_name(&request.get_ref().name)?;
        let secret = self.0.secret(&ctx, &name).await.map_err(refuse)?;
        Ok(Response::new(wire::GetSecretResponse {
            secret: Some(secret.into()),
        }))
    }

    async fn list_secrets(
        &self,
        request: Request<wire::ListSecretsRequest>,
    ) -> Answer<wire::ListSecretsResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (secrets, next_page_token) = self.0.secrets(&ctx, &page).await.map_err(refuse)?;
        let secrets = secrets.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ListSecretsResponse {
            secrets,
            next_page_token,
        }))
    }

    async fn delete_secret(
        &self,
        request: Request<wire::DeleteSecretRequest>,
    ) -> Answer<wire::DeleteSecretResponse> {
        let ctx = CallContext::of(&request)?;
        let name = secret_name(&request.get_ref().name)?;
        self.0.delete_secret(&ctx, &name).await.map_err(refuse)?;
        Ok(Response::new(wire::DeleteSecretResponse {}))
    }

    async fn reveal_secret(
        &self,
        request: Request<wire::RevealSecretRequest>,
    ) -> Answer<wire::RevealSecretResponse> {
        let ctx = CallContext::of(&request)?;
        let name = secret_name(&request.get_ref().name)?;
        let (value, version) = self.0.reveal_secret(&ctx, &name).await.map_err(refuse)?;
        let value = value.expose_secret().to_owned();
        Ok(Response::new(wire::RevealSecretResponse {
            value,
            version: version.into(),
        }))
    }
}

fn secret_name(text: &str) -> Result<SecretName, ApiError> {
    SecretName::parse(text).map_err(|wrong| ApiError::invalid("name", wrong))
}

fn value_of(text: String) -> Result<SecretString, &'static str> {
    // Wrapped first, so that a refused value is overwritten too.
    let value = SecretString::from(text);
    if (1..=VALUE_BYTES).contains(&value.expose_secret().len()) {
        Ok(value)
    } else {
        Err("must have 1 to 65536 bytes")
    }
}

/// A mask that names one field and no other.
fn only(field: &str, paths: &[String]) -> Result<(), String> {
    match paths {
        [] => Err("must name the fields to change".to_owned()),
        paths if paths.iter().all(|path| path == field) => Ok(()),
        _ => Err(format!("only {field} can change")),
    }
}

impl From<Workspace> for wire::Workspace {
    fn from(workspace: Workspace) -> Self {
        Self {
            id: workspace.id.to_string(),
            name: workspace.name.as_str().to_owned(),
            region: workspace.region,
            created_at: Some(to_timestamp(workspace.created_at)),
            updated_at: Some(to_timestamp(workspace.updated_at)),
        }
    }
}

/// All places, or what is wrong with each of them.
fn places(asked: &[wire::MembershipPlace], fields: &mut Fields) -> Option<Vec<(WorkspaceId, UserId)>> {
    if asked.len() > PLACES {
        fields.check::<(), _>("places", Err(format!("must be at most {PLACES}")));
        return None;
    }
    let place = |(index, place): (usize, &wire::MembershipPlace)| {
        let workspace = fields.check(
            &format!("places[{index}].workspace_id"),
            place.workspace_id.parse(),
        );
        let user = fields.check(&format!("places[{index}].user_id"), place.user_id.parse());
        workspace.zip(user)
    };
    let places: Vec<_> = asked.iter().enumerate().map(place).collect();
    places.into_iter().collect()
}

fn found_membership(found: Option<Belonging>) -> wire::FoundMembership {
    match found {
        Some(found) => wire::FoundMembership {
            membership: Some(found.membership.into()),
            mfa_required: found.mfa_policy == MfaPolicy::Required,
            custom_permissions: found.custom.map(|held| held.to_bytes()).unwrap_or_default(),
        },
        None => wire::FoundMembership::default(),
    }
}

impl From<Membership> for wire::Membership {
    fn from(membership: Membership) -> Self {
        let role = membership.member.role.to_string();
        Self {
            workspace: Some(membership.workspace.into()),
            role,
        }
    }
}

impl From<Member> for wire::Member {
    fn from(member: Member) -> Self {
        Self {
            user_id: member.user.to_string(),
            role: member.role.to_string(),
            joined_at: Some(to_timestamp(member.joined_at)),
        }
    }
}

impl From<Secret> for wire::Secret {
    fn from(secret: Secret) -> Self {
        Self {
            name: secret.name.as_str().to_owned(),
            kind: secret.kind.as_str().to_owned(),
            version: secret.version.into(),
            key_version: i32::try_from(secret.key_version).unwrap_or(i32::MAX),
            created_at: Some(to_timestamp(secret.created_at)),
            updated_at: Some(to_timestamp(secret.updated_at)),
        }
    }
}

#[cfg(test)]
mod tests;
