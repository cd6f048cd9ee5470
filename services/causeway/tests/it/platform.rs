//! What the platform decides about workspaces, and who is the platform.

use causeway_context::WorkspaceId;
use causeway_contracts::Role;
use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::mesh::{Account, Mesh, access_token};

pub(crate) async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    client
        .send("PATCH", path, &body.to_string(), Some("application/json"))
        .await
}

/// A system that this workspace owns, and an owner's client there.
pub(crate) async fn owned_by(platform: WorkspaceId, more: &[(&str, &str)]) -> (Mesh, Client) {
    let id = platform.to_string();
    let mut settings = vec![("PLATFORM_OWNER_TENANT_ID", id.as_str())];
    settings.extend_from_slice(more);
    let mesh = Mesh::with(&settings).await;
    let owner = mesh.anonymous().bearer(&access_token(platform, &[Role::Owner]));
    (mesh, owner)
}

/// Changes what the platform decides about an account's workspace.
pub(crate) async fn decide(platform: &Client, account: &Account, change: Value) -> Value {
    let path = format!("/v1/platform/workspaces/{}", account.workspace_id);
    patch(platform, &path, change).await.json(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_does_not_decide_its_own_tier_and_region() {
    let (mesh, platform) = owned_by(WorkspaceId::generate(), &[]).await;
    let ada = mesh.account("ada").await;
    for change in [json!({"rate_tier": "unlimited"}), json!({"region": "eu-west-1"})] {
        let refused = patch(&ada.client, "/v1/settings", change.clone()).await;
        let problem = refused.json(403);
        let field = change
            .as_object()
            .and_then(|change| change.keys().next())
            .cloned();
        assert_eq!(problem["reason"], "PLATFORM_SETTING");
        assert_eq!(problem["violations"][0]["field"].as_str(), field.as_deref());
    }
    let changed = decide(
        &platform,
        &ada,
        json!({"rate_tier": "enterprise", "region": "eu-west-1"}),
    )
    .await;
    assert_eq!(
        (&changed["rate_tier"], &changed["region"]),
        (&json!("enterprise"), &json!("eu-west-1"))
    );
    let path = format!("/v1/platform/workspaces/{}", ada.workspace_id);
    assert_eq!(platform.get(&path).await.json(200), changed);

    let settings = ada.client.get("/v1/settings").await.json(200);
    assert_eq!(
        (&settings["rate_tier"], &settings["region"]),
        (&json!("enterprise"), &json!("eu-west-1"))
    );
    let status = ada.client.get("/v1/tenant/status").await.json(200);
    assert_eq!(status["region"], "eu-west-1");
    assert_eq!(status["demo"], false);
    assert_eq!(
        status["limits"],
        json!({"rate_tier": "enterprise", "requests_per_minute": 60_000})
    );
    for log in [&ada.client, &platform] {
        let log = log
            .get("/v1/audit/events?action=platform.workspace_updated")
            .await
            .json(200);
        let event = &log["entries"][0]["event"];
        assert_eq!(event["target_id"], ada.workspace_id.as_str(), "{log}");
    }
    mesh.end().await;
}

/// B-TEN-16, B-TEN-18.
#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_in_charge_of_the_platform_decides() {
    let id = WorkspaceId::generate();
    let (mesh, platform) = owned_by(id, &[]).await;
    let (ada, nobody) = (mesh.account("ada").await, Mesh::start().await);
    let path = format!("/v1/platform/workspaces/{}", ada.workspace_id);
    let change = json!({"rate_tier": "free"});
    let viewer = mesh.anonymous().bearer(&access_token(id, &[Role::Viewer]));
    for (client, reason) in [
        (&ada.client, "NOT_PLATFORM_OWNER"),
        (&viewer, "PERMISSION_DENIED"),
    ] {
        assert_eq!(patch(client, &path, change.clone()).await.reason(403), reason);
        assert_eq!(client.get(&path).await.reason(403), reason);
    }
    let unset = nobody.anonymous().bearer(&access_token(id, &[Role::Owner]));
    assert_eq!(
        patch(&unset, &path, change.clone()).await.reason(403),
        "NOT_PLATFORM_OWNER"
    );

    let missing = format!("/v1/platform/workspaces/{}", WorkspaceId::generate());
    assert_eq!(
        patch(&platform, &missing, change).await.reason(404),
        "WORKSPACE_NOT_FOUND"
    );
    let wrong = patch(&platform, &path, json!({"rate_tier": "gold", "name": "x"}))
        .await
        .json(400);
    let fields: Vec<_> = wrong["violations"]
        .as_array()
        .expect("violations")
        .iter()
        .collect();
    assert_eq!(fields.len(), 2, "{wrong}");
    nobody.end().await;
    mesh.end().await;
}
