//! Roles over gRPC.

use causeway_context::{CallContext, to_timestamp};
use causeway_contracts::tenancy::v1::role_service_server::RoleService;
use causeway_contracts::tenancy::v1::{self as wire};
use causeway_contracts::{Permission, PermissionSet, Role};
use tonic::{Request, Response};

use super::{Answer, Fields, Grpc, refuse};
use crate::domain::{CustomRole, HeldRole, Invalid, MemberRole, RoleId, RoleName};
use crate::refusal::Refusal;

#[tonic::async_trait]
impl RoleService for Grpc {
    async fn create_role(
        &self,
        request: Request<wire::CreateRoleRequest>,
    ) -> Answer<wire::CreateRoleResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let name = fields.check("name", RoleName::parse(&request.name));
        let wanted = permissions(&mut fields, "permissions", &request.permissions);
        let (Some(name), Some(wanted)) = (name, wanted) else {
            return Err(fields.refuse());
        };
        let role = self.0.create_role(&ctx, name, wanted).await.map_err(refuse)?;
        Ok(Response::new(wire::CreateRoleResponse {
            role: Some(role.into()),
        }))
    }

    async fn list_roles(&self, request: Request<wire::ListRolesRequest>) -> Answer<wire::ListRolesResponse> {
        let ctx = CallContext::of(&request)?;
        let own = self.0.roles(&ctx).await.map_err(refuse)?;
        let built_in = Role::ALL.into_iter().map(built_in);
        Ok(Response::new(wire::ListRolesResponse {
            roles: built_in.chain(own.into_iter().map(Into::into)).collect(),
        }))
    }

    async fn get_role(&self, request: Request<wire::GetRoleRequest>) -> Answer<wire::GetRoleResponse> {
        let ctx = CallContext::of(&request)?;
        let role = match named(&request.get_ref().id) {
            Ok(MemberRole::BuiltIn(role)) => built_in(role),
            Ok(MemberRole::Custom(id)) => self.0.role(&ctx, id).await.map_err(refuse)?.into(),
            Err(refusal) => return Err(refusal.to_api().into()),
        };
        Ok(Response::new(wire::GetRoleResponse { role: Some(role) }))
    }

    async fn update_role(
        &self,
        request: Request<wire::UpdateRoleRequest>,
    ) -> Answer<wire::UpdateRoleResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(role) = fields.check("role", request.role.ok_or("must be there")) else {
            return Err(fields.refuse());
        };
        let mask = request.update_mask.unwrap_or_default().paths;
        let mask = fields.check("update_mask", may_change(&mask).map(|()| mask.as_slice()));
        let changes = |field| mask.is_some_and(|mask| mask.iter().any(|path| path == field));
        let name = match changes("name") {
            true => fields.check("role.name", RoleName::parse(&role.name)).map(Some),
            false => Some(None),
        };
        let wanted = match changes("permissions") {
            true => permissions(&mut fields, "role.permissions", &role.permissions).map(Some),
            false => Some(None),
        };
        let version = fields.check("role.version", version(role.version));
        let (Some(_), Some(name), Some(wanted), Some(version)) = (mask, name, wanted, version) else {
            return Err(fields.refuse());
        };
        let id = custom(&role.id)?;
        let role = self.0.update_role(&ctx, id, version, name, wanted);
        let role = role.await.map_err(refuse)?;
        Ok(Response::new(wire::UpdateRoleResponse {
            role: Some(role.into()),
        }))
    }

    async fn delete_role(
        &self,
        request: Request<wire::DeleteRoleRequest>,
    ) -> Answer<wire::DeleteRoleResponse> {
        let ctx = CallContext::of(&request)?;
        let id = custom(&request.get_ref().id)?;
        self.0.delete_role(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::DeleteRoleResponse {}))
    }
}

fn named(id: &str) -> Result<MemberRole, Refusal> {
    id.parse().map_err(|_| Refusal::RoleNotFound)
}

/// A role that can change.
fn custom(id: &str) -> Result<RoleId, causeway_errors::ApiError> {
    match named(id).map_err(Refusal::to_api)? {
        MemberRole::Custom(id) => Ok(id),
        MemberRole::BuiltIn(_) => Err(Refusal::RoleBuiltIn.to_api()),
    }
}

/// `version` may stand in a body without being a change.
fn may_change(paths: &[String]) -> Result<(), Invalid> {
    let mut changes = paths.iter().filter(|path| *path != "version").peekable();
    if changes.peek().is_none() {
        return Err("must name the fields to change");
    }
    match changes.all(|path| path == "name" || path == "permissions") {
        true => Ok(()),
        false => Err("only name and permissions can change"),
    }
}

fn version(number: i64) -> Result<Option<u32>, Invalid> {
    match number {
        0 => Ok(None),
        number => u32::try_from(number).map(Some).map_err(|_| "is not a version"),
    }
}

/// The permissions of those names, or what is wrong with each that is none.
fn permissions(fields: &mut Fields, field: &str, names: &[String]) -> Option<PermissionSet> {
    let mut known = true;
    for (index, name) in names.iter().enumerate() {
        let found = Permission::named(name).ok_or("is not a permission");
        known &= fields.check(&format!("{field}[{index}]"), found).is_some();
    }
    known.then(|| names.iter().collect())
}

fn built_in(role: Role) -> wire::Role {
    wire::Role {
        id: role.as_str().to_owned(),
        name: role.as_str().to_owned(),
        built_in: true,
        permissions: HeldRole::from(role).permissions.names(),
        ..wire::Role::default()
    }
}

impl From<CustomRole> for wire::Role {
    fn from(role: CustomRole) -> Self {
        Self {
            id: role.id.0.to_string(),
            name: role.name.as_str().to_owned(),
            built_in: false,
            permissions: role.permissions.names(),
            version: role.version.into(),
            created_at: Some(to_timestamp(role.created_at)),
            updated_at: Some(to_timestamp(role.updated_at)),
        }
    }
}

#[cfg(test)]
mod tests;
