//! People, settings and envelopes of a workspace over HTTP, with what auth makes of them.

use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::mesh::{Account, Mesh, text};

/// The account in another workspace of its own: a new login there.
async fn enter(mesh: &Mesh, account: &Account, workspace_id: &str) -> Client {
    let login = json!({
        "email": account.email,
        "password": account.password,
        "workspace_id": workspace_id,
    });
    let session = mesh.anonymous().post("/auth/login", login).await.json(200);
    assert_eq!(session["workspace_id"], workspace_id);
    mesh.anonymous().bearer(&text(&session, "access_token"))
}

async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    client
        .send("PATCH", path, &body.to_string(), Some("application/json"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_works_in_the_workspace_as_what_it_was_invited() {
    let mesh = Mesh::start().await;
    let (ada, bob) = (mesh.account("ada").await, mesh.account("bob").await);
    let invitation = json!({"email": bob.email, "role": "viewer"});
    let invitation = ada.client.post("/v1/invitations", invitation).await.json(200);
    let accept = json!({"secret": text(&invitation, "secret")});
    let listed = ada.client.get("/v1/invitations").await.json(200);
    assert_eq!(listed["invitations"][0]["id"], invitation["id"]);
    assert_eq!(listed["invitations"][0]["secret"], "");

    let membership = bob
        .client
        .post("/v1/invitations/accept", accept.clone())
        .await
        .json(200);
    assert_eq!(membership["role"], "viewer");
    assert_eq!(membership["workspace"]["id"], ada.workspace_id.as_str());
    let again = bob.client.post("/v1/invitations/accept", accept).await;
    assert_eq!(again.reason(404), "INVITATION_NOT_FOUND");
    let members = ada.client.get("/v1/members").await.json(200);
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2));

    let viewer = enter(&mesh, &bob, &ada.workspace_id).await;
    let secret = json!({"kind": "custom", "value": "v"});
    let refused = viewer.put("/v1/secrets/a", secret.clone()).await;
    assert_eq!(refused.reason(403), "PERMISSION_DENIED");
    let path = format!("/v1/members/{}", bob.user_id);
    let member = patch(&ada.client, &path, json!({"role": "editor"}))
        .await
        .json(200);
    assert_eq!(
        (&member["user_id"], &member["role"]),
        (&json!(bob.user_id), &json!("editor"))
    );
    let editor = enter(&mesh, &bob, &ada.workspace_id).await;
    editor.put("/v1/secrets/a", secret).await.json(200);

    ada.client.delete(&path).await.json(200);
    let login = json!({"email": bob.email, "password": bob.password, "workspace_id": ada.workspace_id});
    let gone = mesh.anonymous().post("/auth/login", login).await;
    assert_eq!(gone.status, 404, "{}", gone.body);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_keeps_an_owner_and_nobody_gives_more_than_it_has() {
    let mesh = Mesh::start().await;
    let (ada, bob) = (mesh.account("ada").await, mesh.account("bob").await);
    let [ada_path, bob_path] = [&ada, &bob].map(|account| format!("/v1/members/{}", account.user_id));
    assert_eq!(ada.client.delete(&ada_path).await.reason(409), "LAST_OWNER");
    let step_down = patch(&ada.client, &ada_path, json!({"role": "admin"})).await;
    assert_eq!(step_down.reason(409), "LAST_OWNER");

    let added = json!({"user_id": bob.user_id, "role": "admin"});
    ada.client.post("/v1/members", added.clone()).await.json(200);
    assert_eq!(
        ada.client.post("/v1/members", added).await.reason(409),
        "MEMBER_EXISTS"
    );
    let admin = enter(&mesh, &bob, &ada.workspace_id).await;
    for (path, body) in [
        (&bob_path, json!({"role": "owner"})),
        (&ada_path, json!({"role": "viewer"})),
    ] {
        assert_eq!(patch(&admin, path, body).await.reason(403), "ROLE_ABOVE_OWN");
    }
    assert_eq!(admin.delete(&ada_path).await.reason(403), "ROLE_ABOVE_OWN");
    let invitation = json!({"email": "eve@example.com", "role": "owner"});
    assert_eq!(
        admin.post("/v1/invitations", invitation).await.reason(403),
        "ROLE_ABOVE_OWN"
    );

    patch(&ada.client, &bob_path, json!({"role": "owner"}))
        .await
        .json(200);
    ada.client.delete(&ada_path).await.json(200);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_change_by_what_the_body_has() {
    let mesh = Mesh::start().await;
    let ada = mesh.account("ada").await;
    let before = ada.client.get("/v1/settings").await.json(200);
    assert_eq!(
        (&before["mfa_policy"], &before["rate_tier"]),
        (&json!("optional"), &json!("standard"))
    );
    let change = json!({"mfa_policy": "required", "ai": {"provider": "openai", "model": "gpt-4o"}});
    let after = patch(&ada.client, "/v1/settings", change).await.json(200);
    assert_eq!(after["ai"]["provider"], "openai");
    let model = json!({"ai": {"model": "gpt-4o-mini"}});
    patch(&ada.client, "/v1/settings?update_mask=ai.model", model)
        .await
        .json(200);
    let after = ada.client.get("/v1/settings").await.json(200);
    assert_eq!(after["ai"]["provider"], "openai");
    assert_eq!(after["ai"]["model"], "gpt-4o-mini");
    assert_eq!(
        (&after["mfa_policy"], &after["rate_tier"]),
        (&json!("required"), &json!("standard"))
    );
    let wrong = patch(&ada.client, "/v1/settings", json!({"rate_tier": "gold"}))
        .await
        .json(400);
    assert_eq!(wrong["violations"][0]["field"], "rate_tier");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_bytes_open_with_their_context_in_their_workspace() {
    let mesh = Mesh::start().await;
    let (ada, bob) = (mesh.account("ada").await, mesh.account("bob").await);
    // "4111 1111" and "\xfb\xff", whose base64 has two spellings.
    let plain = json!({"plaintext": "NDExMSAxMTEx", "context": "+/8="});
    let sealed = ada
        .client
        .post("/v1/crypto/encrypt", plain.clone())
        .await
        .json(200);
    assert_eq!(sealed["key_version"], 1);
    let open = |context: &str| json!({"ciphertext": sealed["ciphertext"], "context": context});
    for spelling in ["+/8=", "-_8=", "-_8"] {
        let opened = ada
            .client
            .post("/v1/crypto/decrypt", open(spelling))
            .await
            .json(200);
        assert_eq!(opened["plaintext"], "NDExMSAxMTEx", "{spelling}");
    }
    let wrong = ada.client.post("/v1/crypto/decrypt", open("AAAA")).await;
    let foreign = bob.client.post("/v1/crypto/decrypt", open("+/8=")).await;
    let answers = [wrong, foreign].map(|answer| {
        let problem = answer.json(400);
        (
            problem["reason"].clone(),
            problem["detail"].clone(),
            problem["title"].clone(),
        )
    });
    assert_eq!(answers[0].0, "DECRYPTION_FAILED");
    assert_eq!(answers[0], answers[1]);

    let batch = json!({"items": [plain.clone(), plain]});
    let batch = ada.client.post("/v1/crypto/encrypt/batch", batch).await.json(200);
    let items = batch["items"].as_array().expect("items").iter();
    let items: Vec<Value> = items
        .map(|item| json!({"ciphertext": item["ciphertext"], "context": "+/8="}))
        .collect();
    let opened = ada
        .client
        .post("/v1/crypto/decrypt/batch", json!({"items": items}))
        .await
        .json(200);
    assert_eq!(opened["items"][1]["plaintext"], "NDExMSAxMTEx");
    mesh.end().await;
}
