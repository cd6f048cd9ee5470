//! What the platform decides about workspaces, over gRPC; and what the door asks about them.

use causeway_context::{CallContext, RateTier, WorkspaceId, to_timestamp};
use causeway_contracts::tenancy::v1::platform_service_server::PlatformService;
use causeway_contracts::tenancy::v1::{self as wire};
use tonic::{Request, Response};

use super::{Answer, Fields, Grpc, refuse};
use crate::domain::{SettingChange, Settings, Workspace, region};

#[tonic::async_trait]
impl PlatformService for Grpc {
    async fn get_platform_workspace(
        &self,
        request: Request<wire::GetPlatformWorkspaceRequest>,
    ) -> Answer<wire::GetPlatformWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        // Whoever may not ask hears nothing about the fields either.
        self.0.require_platform(&ctx).map_err(refuse)?;
        let mut fields = Fields::default();
        let Some(id) = fields.check("id", WorkspaceId::named(&request.get_ref().id)) else {
            return Err(fields.refuse());
        };
        let found = self.0.platform_workspace(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::GetPlatformWorkspaceResponse {
            workspace: Some(encode(found)),
        }))
    }

    async fn update_platform_workspace(
        &self,
        request: Request<wire::UpdatePlatformWorkspaceRequest>,
    ) -> Answer<wire::UpdatePlatformWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        self.0.require_platform(&ctx).map_err(refuse)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let mask = request.update_mask.unwrap_or_default().paths;
        let workspace = fields.check("workspace", request.workspace.ok_or("must be there"));
        let Some(workspace) = workspace else {
            return Err(fields.refuse());
        };
        let id = fields.check("workspace.id", WorkspaceId::named(&workspace.id));
        let changes = changes(&mut fields, &mask, &workspace);
        let (Some(id), Some(changes)) = (id, changes) else {
            return Err(fields.refuse());
        };
        let changed = self.0.change_platform_workspace(&ctx, id, &changes, mask).await;
        Ok(Response::new(wire::UpdatePlatformWorkspaceResponse {
            workspace: Some(encode(changed.map_err(refuse)?)),
        }))
    }

    async fn resolve_tenant(
        &self,
        request: Request<wire::ResolveTenantRequest>,
    ) -> Answer<wire::ResolveTenantResponse> {
        let mut fields = Fields::default();
        let id = request.get_ref().workspace_id.parse::<WorkspaceId>();
        let Some(id) = fields.check("workspace_id", id) else {
            return Err(fields.refuse());
        };
        let tenant = self.0.resolve(id).await.map_err(refuse)?;
        Ok(Response::new(wire::ResolveTenantResponse {
            region: tenant.region,
            rate_tier: tenant.rate_tier.as_str().to_owned(),
            retention_days: tenant.retention.number(),
        }))
    }
}

/// The changes that the mask names; nothing if anything is wrong with one of them.
fn changes(
    fields: &mut Fields,
    mask: &[String],
    workspace: &wire::PlatformWorkspace,
) -> Option<Vec<SettingChange>> {
    if mask.is_empty() {
        fields.check("update_mask", Err::<(), _>("must name the fields to change"));
        return None;
    }
    let changes: Vec<Option<SettingChange>> = mask
        .iter()
        .map(|path| {
            let change = match path.as_str() {
                "rate_tier" => RateTier::parse(&workspace.rate_tier).map(SettingChange::RateTier),
                "region" => region(&workspace.region).map(SettingChange::Region),
                _ => {
                    let wrong = "only rate_tier and region can change";
                    return fields.check("update_mask", Err::<SettingChange, _>(wrong));
                }
            };
            fields.check(&format!("workspace.{path}"), change)
        })
        .collect();
    changes.into_iter().collect()
}

fn encode((workspace, settings): (Workspace, Settings)) -> wire::PlatformWorkspace {
    wire::PlatformWorkspace {
        id: workspace.id.to_string(),
        name: workspace.name.as_str().to_owned(),
        rate_tier: settings.rate_tier.as_str().to_owned(),
        region: settings.region,
        created_at: Some(to_timestamp(workspace.created_at)),
    }
}

#[cfg(test)]
mod tests;
