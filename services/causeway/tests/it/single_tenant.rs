//! SINGLE_TENANT_MODE: one workspace, whoever asks and however.

use causeway_context::WorkspaceId;
use causeway_contracts::Role;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::mesh::{Mesh, access_token, text};

async fn mesh() -> Mesh {
    Mesh::with(&[("SINGLE_TENANT_MODE", "true")]).await
}

/// The body of a registration that names no workspace.
fn registration(name: &str) -> Value {
    let email = format!("{name}-{}@example.com", Uuid::now_v7().simple());
    json!({"email": email, "password": "correct horse battery staple"})
}

/// B-TEN-14, B-TEN-15.
#[tokio::test(flavor = "multi_thread")]
async fn every_way_in_ends_in_the_one_workspace() {
    let mesh = mesh().await;
    let only = WorkspaceId::DEFAULT.to_string();
    let ada = mesh.account("ada").await;
    assert_eq!(ada.workspace_id, only);

    let bob = registration("bob");
    let made = mesh
        .anonymous()
        .post("/auth/register", bob.clone())
        .await
        .json(201);
    assert_eq!(made["workspace_id"], only.as_str());
    for workspace in ["", "default", &only] {
        let mut login = bob.clone();
        login["workspace_id"] = json!(workspace);
        let answer = mesh.anonymous().post("/auth/login", login).await;
        assert_eq!(answer.json(200)["workspace_id"], only.as_str(), "{workspace:?}");
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        let refreshed = mesh
            .anonymous()
            .header("cookie", &cookie)
            .post("/auth/refresh", json!({}))
            .await;
        let token = text(&refreshed.json(200), "access_token");
        let status = mesh
            .anonymous()
            .bearer(&token)
            .get("/v1/tenant/status")
            .await
            .json(200);
        assert_eq!(status["workspace_id"], only.as_str());
    }
    let token = ada
        .client
        .post("/v1/tokens", json!({"name": "t"}))
        .await
        .json(200);
    let status = mesh
        .anonymous()
        .bearer(&text(&token, "secret"))
        .get("/v1/tenant/status")
        .await;
    assert_eq!(status.json(200)["workspace_id"], only.as_str());
    let listed = ada.client.get("/v1/workspaces").await.json(200);
    assert_eq!(listed["workspaces"].as_array().map(Vec::len), Some(1));
    let shown = ada.client.get("/v1/workspaces/default").await.json(200);
    assert_eq!(shown["id"], only.as_str());
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_workspace_is_named_made_or_believed() {
    let mesh = mesh().await;
    let ada = mesh.account("ada").await;
    let more = ada.client.post("/v1/workspaces", json!({"name": "more"})).await;
    assert_eq!(more.reason(403), "SINGLE_TENANT_MODE");
    // Its id would be an erased one for ever.
    let all = ada.client.post("/v1/erasures", json!({})).await;
    assert_eq!(all.reason(403), "SINGLE_TENANT_MODE");
    let gone = ada.client.delete("/v1/workspaces/default").await;
    assert_eq!(gone.reason(403), "SINGLE_TENANT_MODE");

    let other = Uuid::now_v7().to_string();
    let named = |name| ada.client.header("x-tenant-id", name);
    assert_eq!(named("default").get("/v1/me").await.status, 200);
    assert_eq!(named(&ada.workspace_id).get("/v1/me").await.status, 200);
    assert_eq!(
        named(&other).get("/v1/me").await.reason(403),
        "WORKSPACE_MISMATCH"
    );
    let login = json!({"email": ada.email, "password": ada.password});
    let public = mesh.anonymous().header("x-tenant-id", &other);
    assert_eq!(
        public.post("/auth/login", login.clone()).await.reason(403),
        "WORKSPACE_MISMATCH"
    );
    let mut elsewhere = login;
    elsewhere["workspace_id"] = json!(other);
    let refused = mesh.anonymous().post("/auth/login", elsewhere).await;
    assert_eq!(refused.reason(403), "WORKSPACE_MISMATCH");

    let forged_elsewhere = access_token(WorkspaceId::generate(), &[Role::Owner]);
    let refused = mesh
        .anonymous()
        .bearer(&forged_elsewhere)
        .get("/v1/secrets")
        .await;
    assert_eq!(refused.reason(403), "WORKSPACE_MISMATCH");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_register_first_one_owns_the_workspace() {
    let mesh = mesh().await;
    let mut tasks = JoinSet::new();
    for index in 0..6 {
        let client = mesh.anonymous();
        let person = registration(&format!("p{index}"));
        tasks.spawn(async move {
            client.post("/auth/register", person.clone()).await.json(201);
            person
        });
    }
    let people = tasks.join_all().await;
    let session = mesh
        .anonymous()
        .post("/auth/login", people[0].clone())
        .await
        .json(200);
    let client = mesh.anonymous().bearer(&text(&session, "access_token"));
    let members = client.get("/v1/members").await.json(200);
    let mut roles: Vec<&str> = members["members"]
        .as_array()
        .expect("members")
        .iter()
        .filter_map(|member| member["role"].as_str())
        .collect();
    roles.sort_unstable();
    assert_eq!(roles, ["owner", "viewer", "viewer", "viewer", "viewer", "viewer"]);
    mesh.end().await;
}
