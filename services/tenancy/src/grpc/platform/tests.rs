use super::*;
use crate::grpc::tests::{fields, platform_world, request_to};

fn update(id: &str, rate_tier: &str, region: &str, paths: &[&str]) -> wire::UpdatePlatformWorkspaceRequest {
    wire::UpdatePlatformWorkspaceRequest {
        workspace: Some(wire::PlatformWorkspace {
            id: id.to_owned(),
            rate_tier: rate_tier.to_owned(),
            region: region.to_owned(),
            ..wire::PlatformWorkspace::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_a_change_is_told_at_once() {
    let world = platform_world().await;
    let wrong = update("acme", "gold", "EU", &["rate_tier", "region", "name"]);
    let request = request_to("PlatformService", "UpdatePlatformWorkspace", &world.caller, wrong);
    let expected = [
        "workspace.id",
        "workspace.rate_tier",
        "workspace.region",
        "update_mask",
    ];
    assert_eq!(
        fields(world.grpc.update_platform_workspace(request).await),
        expected
    );
    let nothing = update("default", "free", "eu-west-1", &[]);
    let request = request_to(
        "PlatformService",
        "UpdatePlatformWorkspace",
        &world.caller,
        nothing,
    );
    assert_eq!(
        fields(world.grpc.update_platform_workspace(request).await),
        ["update_mask"]
    );
}

#[tokio::test]
async fn a_changed_workspace_is_shown_as_it_is_resolved() {
    let world = platform_world().await;
    let own = world.caller.workspace.expect("a tenant").to_string();
    let change = update(&own, "free", "eu-west-1", &["rate_tier", "region"]);
    let request = request_to(
        "PlatformService",
        "UpdatePlatformWorkspace",
        &world.caller,
        change,
    );
    let answer = world
        .grpc
        .update_platform_workspace(request)
        .await
        .expect("changed");
    let changed = answer.into_inner().workspace.expect("answered");
    assert_eq!(
        (changed.rate_tier.as_str(), changed.region.as_str()),
        ("free", "eu-west-1")
    );

    let message = wire::GetPlatformWorkspaceRequest { id: own.clone() };
    let request = request_to("PlatformService", "GetPlatformWorkspace", &world.caller, message);
    let answer = world.grpc.get_platform_workspace(request).await.expect("read");
    assert_eq!(answer.into_inner().workspace, Some(changed));

    let message = wire::ResolveTenantRequest { workspace_id: own };
    let request = request_to("PlatformService", "ResolveTenant", &world.caller, message);
    let answer = world
        .grpc
        .resolve_tenant(request)
        .await
        .expect("read")
        .into_inner();
    assert_eq!(
        (answer.rate_tier.as_str(), answer.region.as_str()),
        ("free", "eu-west-1")
    );
}
