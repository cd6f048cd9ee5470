//! Custom roles on the whole system (RBAC-01, RBAC-03, RBAC-04).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::Code;

use crate::http::{Answer, Client};
use crate::mesh::{Account, Mesh, account, text};
use crate::processes::Fleet;

/// Within this time a changed role holds everywhere.
const EVERYWHERE: Duration = Duration::from_secs(5);

async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    client
        .send("PATCH", path, &body.to_string(), Some("application/json"))
        .await
}

async fn role(client: &Client, name: &str, permissions: &[&str]) -> Value {
    let body = json!({"name": name, "permissions": permissions});
    client.post("/v1/roles", body).await.json(200)
}

/// A new session of a person in the workspace.
async fn enter(client: &Client, who: &Account, workspace: &str) -> Client {
    let body = json!({"email": who.email, "password": who.password, "workspace_id": workspace});
    let session = client.post("/auth/login", body).await.json(200);
    client.bearer(&text(&session, "access_token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_role_gives_exactly_its_permissions() {
    let mesh = Mesh::start().await;
    let (ada, bob) = (mesh.account("ada").await, mesh.account("bob").await);
    let made = role(
        &ada.client,
        "Support",
        &["secrets.read", "tokens.write", "members.read"],
    )
    .await;
    let id = text(&made, "id");
    let added = json!({"user_id": bob.user_id, "role": id});
    let member = ada.client.post("/v1/members", added).await.json(200);
    assert_eq!(member["role"], json!(id));
    let inside = enter(&mesh.anonymous(), &bob, &ada.workspace_id).await;
    let me = inside.get("/v1/me").await.json(200);
    assert_eq!(me["permissions"], made["permissions"]);
    assert_eq!(me["principal"]["roles"], json!([id]));
    for (path, status) in [
        ("/v1/secrets", 200),
        ("/v1/members", 200),
        ("/v1/roles", 403),
        ("/v1/settings", 403),
        ("/v1/invitations", 403),
        ("/v1/tokens", 403),
    ] {
        assert_eq!(inside.get(path).await.status, status, "{path}");
    }
    // What it lends goes no further (TOK-03), and is no more than the role is when it is used.
    let wide = json!({"name": "t", "scopes": ["secrets.read", "secrets.write"]});
    assert_eq!(inside.post("/v1/tokens", wide).await.status, 400);
    let lent = inside.post("/v1/tokens", json!({"name": "t"})).await.json(200);
    let token = mesh.anonymous().bearer(&text(&lent, "secret"));
    assert_eq!(
        token.get("/v1/me").await.json(200)["permissions"],
        made["permissions"]
    );
    let narrower = json!({"permissions": ["members.read"], "version": 1});
    let path = format!("/v1/roles/{id}");
    let changed = patch(&ada.client, &path, narrower.clone()).await.json(200);
    assert_eq!(
        (&changed["version"], &changed["name"]),
        (&json!(2), &json!("Support"))
    );
    assert_eq!(
        patch(&ada.client, &path, narrower).await.reason(409),
        "ROLE_CHANGED"
    );
    let started = Instant::now();
    while token.get("/v1/secrets").await.status != 403 {
        assert!(started.elapsed() < EVERYWHERE, "the token still reads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(
        token.get("/v1/me").await.json(200)["permissions"],
        json!(["members.read"])
    );
    // In the own workspace nothing changed.
    bob.client.get("/v1/settings").await.json(200);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_escalates_by_a_role() {
    let mesh = Mesh::start().await;
    let (ada, bob) = (mesh.account("ada").await, mesh.account("bob").await);
    let eve = mesh.account("eve").await;
    let people = [
        "roles.write",
        "roles.read",
        "members.write",
        "members.read",
        "invitations.write",
    ];
    let manager = text(&role(&ada.client, "People", &people).await, "id");
    let added = json!({"user_id": bob.user_id, "role": manager});
    ada.client.post("/v1/members", added).await.json(200);
    let inside = enter(&mesh.anonymous(), &bob, &ada.workspace_id).await;
    // Not into a new role, not into the own one, not into that of somebody else.
    let more = json!({"name": "More", "permissions": ["secrets.reveal"]});
    assert_eq!(
        inside.post("/v1/roles", more).await.reason(403),
        "PERMISSION_NOT_HELD"
    );
    let own = format!("/v1/roles/{manager}");
    let wider = json!({"permissions": ["secrets.reveal", "roles.write"]});
    assert_eq!(
        patch(&inside, &own, wider).await.reason(403),
        "PERMISSION_NOT_HELD"
    );
    let eraser = text(&role(&ada.client, "Eraser", &["erasures.write"]).await, "id");
    let itself = format!("/v1/members/{}", bob.user_id);
    for above in [eraser.as_str(), "owner", "admin", "viewer"] {
        let raised = patch(&inside, &itself, json!({"role": above})).await;
        assert_eq!(raised.reason(403), "ROLE_ABOVE_OWN", "{above}");
        let given = json!({"user_id": eve.user_id, "role": above});
        assert_eq!(
            inside.post("/v1/members", given).await.reason(403),
            "ROLE_ABOVE_OWN"
        );
        let invited = json!({"email": "x@example.com", "role": above});
        assert_eq!(
            inside.post("/v1/invitations", invited).await.reason(403),
            "ROLE_ABOVE_OWN"
        );
    }
    let touched = patch(
        &inside,
        &format!("/v1/roles/{eraser}"),
        json!({"permissions": []}),
    )
    .await;
    assert_eq!(touched.reason(403), "ROLE_ABOVE_OWN");
    let owner = format!("/v1/members/{}", ada.user_id);
    assert_eq!(inside.delete(&owner).await.reason(403), "ROLE_ABOVE_OWN");
    // What it holds it gives.
    let same = json!({"name": "Readers", "permissions": ["members.read"]});
    let readers = text(&inside.post("/v1/roles", same).await.json(200), "id");
    let given = json!({"user_id": eve.user_id, "role": readers});
    inside.post("/v1/members", given).await.json(200);
    assert_eq!(
        inside.delete(&format!("/v1/roles/{readers}")).await.reason(409),
        "ROLE_IN_USE"
    );
    let named = async |name: &str| inside.post("/v1/roles", json!({"name": name})).await;
    assert_eq!(named("Owner").await.status, 400, "reserved");
    assert_eq!(named("readers").await.reason(409), "ROLE_EXISTS");
    assert_eq!(
        inside.delete("/v1/roles/editor").await.reason(403),
        "ROLE_BUILT_IN"
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_another_workspace_are_not_found() {
    let mesh = Mesh::start().await;
    let (ada, bob) = (mesh.account("ada").await, mesh.account("bob").await);
    let theirs = text(&role(&ada.client, "Support", &["secrets.read"]).await, "id");
    let path = format!("/v1/roles/{theirs}");
    assert_eq!(bob.client.get(&path).await.reason(404), "ROLE_NOT_FOUND");
    assert_eq!(bob.client.delete(&path).await.reason(404), "ROLE_NOT_FOUND");
    let change = patch(&bob.client, &path, json!({"permissions": []})).await;
    assert_eq!(change.reason(404), "ROLE_NOT_FOUND");
    let given = json!({"user_id": ada.user_id, "role": theirs});
    assert_eq!(
        bob.client.post("/v1/members", given).await.reason(404),
        "ROLE_NOT_FOUND"
    );
    let invited = json!({"email": "x@example.com", "role": theirs});
    assert_eq!(
        bob.client.post("/v1/invitations", invited).await.reason(404),
        "ROLE_NOT_FOUND"
    );
    let ids = |answer: Value| -> Vec<String> {
        let roles = answer["roles"].as_array().expect("roles").clone();
        roles.iter().map(|role| text(role, "id")).collect()
    };
    let built_in = ["viewer", "editor", "admin", "owner"];
    assert_eq!(ids(bob.client.get("/v1/roles").await.json(200)), built_in);
    assert_eq!(
        ids(ada.client.get("/v1/roles").await.json(200)).last(),
        Some(&theirs)
    );
    mesh.end().await;
}

/// Deny by default: an RPC that the method table does not know is nobody's, whatever the caller holds.
#[tokio::test(flavor = "multi_thread")]
async fn an_rpc_that_nobody_declared_is_refused_to_an_owner() {
    let mesh = Mesh::start().await;
    let ada = mesh.account("ada").await;
    for (service, name) in [
        ("causeway.tenancy.v1.RoleService", "ListEverything"),
        ("causeway.tenancy.v1.BackdoorService", "ListRoles"),
    ] {
        let path = format!("/{service}/{name}");
        let code = crate::walk::grpc_at(&mesh, &path, Some(&ada.access_token)).await;
        assert_eq!(code, Code::Unimplemented, "{path}");
    }
    for path in ["/v1/backdoor", "/v1/roles/x/grant"] {
        assert_eq!(ada.client.post(path, json!({})).await.status, 404, "{path}");
    }
    mesh.end().await;
}

/// RBAC-04: what a role holds changes at two gateways within five seconds, and only for who has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_holds_at_two_gateways_within_five_seconds() {
    let Some(mut fleet) = Fleet::with(&[]).await else {
        return;
    };
    let (one, two) = (fleet.base.clone(), fleet.gateway().await);
    let here = Client::new(&one);
    let (ada, bob) = (account(&here, "ada").await, account(&here, "bob").await);
    let eve = account(&here, "eve").await;
    let support = text(&role(&ada.client, "Support", &["secrets.read"]).await, "id");
    let other = text(&role(&ada.client, "Other", &["secrets.read"]).await, "id");
    for (who, role) in [(&bob, &support), (&eve, &other)] {
        let added = json!({"user_id": who.user_id, "role": role});
        ada.client.post("/v1/members", added).await.json(200);
    }
    let token = async |who: &Account| {
        let body = json!({"email": who.email, "password": who.password, "workspace_id": ada.workspace_id});
        text(&here.post("/auth/login", body).await.json(200), "access_token")
    };
    let (bobs, eves) = (token(&bob).await, token(&eve).await);
    let both = |token: &str| [Client::new(&one).bearer(token), Client::new(&two).bearer(token)];
    for client in both(&bobs).iter().chain(&both(&eves)) {
        client.get("/v1/secrets").await.json(200);
    }
    let changed = json!({"permissions": ["members.read"]});
    patch(&ada.client, &format!("/v1/roles/{support}"), changed)
        .await
        .json(200);
    let fresh = token(&bob).await;
    let delay = crate::revocation::until_refused(&both(&bobs)).await;
    println!("a changed role was refused at two gateways after {delay:?}");
    for client in both(&fresh) {
        client.get("/v1/members").await.json(200);
        assert_eq!(client.get("/v1/secrets").await.status, 403);
    }
    for client in both(&eves) {
        client.get("/v1/secrets").await.json(200);
    }
}
