//! Every route and every RPC, walked from the method table: nobody, somebody without the permission, somebody of
//! another workspace. A new RPC is walked without being named here, or the test says what it needs to know.

use causeway_context::WorkspaceId;
use causeway_contracts::{CallerKind, METHODS, Method, Route, Rule};
use causeway_mesh::far;
use http::{Request, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::http::{Answer, Client};
use crate::mesh::{Account, Mesh, access_token, text};

pub(crate) async fn call(client: &Client, route: &Route, path: &str) -> Answer {
    let (body, kind) = if route.body.is_empty() {
        ("", None)
    } else {
        ("{}", Some("application/json"))
    };
    client.send(route.verb, path, body, kind).await
}

/// The path with that text for every parameter.
pub(crate) fn filled(route: &Route, value: &str) -> String {
    let parts = route
        .path
        .split('/')
        .map(|part| if part.starts_with('{') { value } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The code that an RPC over gRPC answers, with an empty message.
pub(crate) async fn grpc(mesh: &Mesh, method: &Method, token: Option<&str>) -> Code {
    grpc_at(mesh, method.path, token).await
}

/// The same of a path that may be no RPC's.
pub(crate) async fn grpc_at(mesh: &Mesh, path: &str, token: Option<&str>) -> Code {
    let channel = far(mesh.base.parse().unwrap(), &CancellationToken::new());
    let mut request = Request::builder()
        .method("POST")
        .uri(format!("{}{path}", mesh.base))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let empty = Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[
        0, 0, 0, 0, 0,
    ])));
    let response = channel.oneshot(request.body(empty).unwrap()).await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status.code();
    }
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    body.trailers()
        .and_then(Status::from_header_map)
        .map_or(Code::Ok, |status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_anywhere() {
    let mesh = Mesh::start().await;
    for method in METHODS {
        for route in method.routes {
            let answer = call(
                &mesh.anonymous(),
                route,
                &filled(route, &Uuid::now_v7().to_string()),
            )
            .await;
            let public = method.rule == Rule::Public;
            if public {
                assert_ne!(
                    serde_json::from_str::<Value>(&answer.body).unwrap()["reason"],
                    "UNAUTHENTICATED"
                );
            } else {
                assert_eq!(
                    answer.reason(401),
                    "UNAUTHENTICATED",
                    "{} {}",
                    route.verb,
                    route.path
                );
                assert!(
                    answer.header("www-authenticate").starts_with("Bearer"),
                    "{}",
                    route.path
                );
            }
        }
        if let Some(surface) = &method.surface {
            let answer = mesh.anonymous().post(surface.path, json!({})).await;
            assert_eq!(answer.status, 401, "{}", surface.path);
        }
        let expected = match method.rule {
            Rule::Internal => Code::Unimplemented,
            Rule::Public => continue,
            Rule::Authenticated | Rule::Permission { .. } => Code::Unauthenticated,
        };
        assert_eq!(grpc(&mesh, method, None).await, expected, "{}", method.path);
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_the_permission_is_refused_everywhere() {
    let mesh = Mesh::start().await;
    let token = access_token(WorkspaceId::generate(), &[]);
    let client = mesh.anonymous().bearer(&token);
    for method in METHODS {
        let refused = match method.rule {
            Rule::Permission { .. } => true,
            Rule::Authenticated => !method.callers.contains(&CallerKind::User),
            Rule::Public | Rule::Internal => continue,
        };
        if !refused {
            continue;
        }
        for route in method.routes {
            let answer = call(&client, route, &filled(route, &Uuid::now_v7().to_string())).await;
            assert_eq!(
                answer.status, 403,
                "{} {}: {}",
                route.verb, route.path, answer.body
            );
        }
        if let Some(surface) = &method.surface {
            assert_eq!(
                client.post(surface.path, json!({})).await.status,
                403,
                "{}",
                surface.path
            );
        }
        assert_eq!(
            grpc(&mesh, method, Some(&token)).await,
            Code::PermissionDenied,
            "{}",
            method.path
        );
    }
    mesh.end().await;
}

/// What one workspace has, by the RPC that shows it: the value of the path's parameter.
async fn belongings(account: &Account) -> Vec<(&'static str, String)> {
    let client = &account.client;
    let token = client.post("/v1/tokens", json!({"name": "t"})).await.json(200);
    let sessions = client.get("/v1/me/sessions").await.json(200);
    client
        .put("/v1/secrets/own", json!({"kind": "custom", "value": "v"}))
        .await
        .json(200);
    let model = json!({"name": "m", "kind": "thompson", "offers": [{"offer_id": "a"}, {"offer_id": "b"}]});
    let model = client.post("/v1/scoring/models", model).await.json(200);
    let model_id = text(&model, "id");
    let asked = json!({"customer_id": "c", "model_id": model_id});
    let made = client.post("/v1/recommend", asked).await.json(200);
    let invited = json!({"email": "ada@example.com", "role": "viewer"});
    let invited = client.post("/v1/invitations", invited).await.json(200);
    let program = client
        .post("/v1/clients", json!({"name": "c", "scopes": ["secrets.read"]}))
        .await
        .json(200);
    let program = text(&program, "id");
    let key = json!({"name": "k", "scopes": ["secrets.read"]});
    let key = client.post("/v1/api-keys", key).await.json(200);
    let erasure = json!({"scheduled_for": crate::lifecycle::some_weeks_ahead()});
    let erasure = client.post("/v1/erasures", erasure).await.json(202);
    let export = client.post("/v1/exports", json!({})).await.json(202);
    let rotation = client.post("/v1/keys/rotate", json!({})).await.json(202);
    let role = client
        .post("/v1/roles", json!({"name": "Support"}))
        .await
        .json(200);
    let role = text(&role, "id");
    vec![
        ("GetRotation", text(&rotation, "id")),
        // Nobody's, and nowhere until it is set up.
        ("StartSignIn", "google".to_owned()),
        ("FinishSignIn", "google".to_owned()),
        ("DeleteToken", text(&token, "id")),
        ("DeleteSession", text(&sessions["sessions"][0], "id")),
        ("ListMemberSessions", account.user_id.clone()),
        ("DeleteMemberSessions", account.user_id.clone()),
        ("GetClient", program.clone()),
        ("UpdateClient", program.clone()),
        ("DeleteClient", program.clone()),
        ("RotateClient", program.clone()),
        ("CompleteClientRotation", program.clone()),
        ("CancelClientRotation", program),
        ("DeleteApiKey", text(&key, "id")),
        ("GetWorkspace", account.workspace_id.clone()),
        ("UpdateWorkspace", account.workspace_id.clone()),
        ("GetSecret", "own".to_owned()),
        ("DeleteSecret", "own".to_owned()),
        ("RevealSecret", "own".to_owned()),
        ("GetModel", model_id.clone()),
        ("GetModelState", model_id.clone()),
        ("DeleteModel", model_id),
        ("GetDecision", text(&made, "recommendation_id")),
        ("UpdateMember", account.user_id.clone()),
        ("RemoveMember", account.user_id.clone()),
        ("RevokeInvitation", text(&invited, "id")),
        ("GetRole", role.clone()),
        ("UpdateRole", role.clone()),
        ("DeleteRole", role),
        ("DeleteWorkspace", account.workspace_id.clone()),
        ("GetErasure", text(&erasure, "id")),
        ("CancelErasure", text(&erasure, "id")),
        ("GetExport", text(&export, "id")),
        ("DownloadExport", text(&export, "id")),
        // A number that the other log does not have.
        ("GetEvent", "12".to_owned()),
    ]
}

/// Routes about any workspace or person, for those alone who own the platform: others hear nothing of what is there.
const PLATFORM: [&str; 5] = [
    "GetPlatformWorkspace",
    "UpdatePlatformWorkspace",
    "GetPlatformUser",
    "DisablePlatformUser",
    "EnablePlatformUser",
];

/// Routes with a parameter that names a thing of the caller's own to make.
const MAKING: [&str; 1] = ["PutSecret"];

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_workspace_finds_nothing() {
    let mesh = Mesh::start().await;
    let (owner, stranger) = (mesh.account("owner").await, mesh.account("stranger").await);
    let belongings = belongings(&owner).await;
    for method in METHODS {
        for route in method.routes.iter().filter(|route| route.path.contains('{')) {
            if MAKING.contains(&method.name) {
                continue;
            }
            if PLATFORM.contains(&method.name) {
                let path = filled(route, &owner.workspace_id);
                let answer = call(&stranger.client, route, &path).await;
                assert_eq!(
                    answer.status, 403,
                    "{} {}: {}",
                    route.verb, route.path, answer.body
                );
                continue;
            }
            let known = belongings.iter().find(|(name, _)| *name == method.name);
            let (_, id) = known.unwrap_or_else(|| panic!("say in `belongings` what {} shows", method.path));
            let change = match route.body {
                "workspace" | "client" | "role" => Some(r#"{"name":"n"}"#),
                "member" => Some(r#"{"role":"viewer"}"#),
                _ => None,
            };
            let answer = match change {
                Some(change) => {
                    stranger
                        .client
                        .send(route.verb, &filled(route, id), change, Some("application/json"))
                        .await
                }
                None => call(&stranger.client, route, &filled(route, id)).await,
            };
            // To delete what is not there is no error where the RPC says so, but it must not have been deleted.
            let gone = answer.status == 404;
            assert!(
                gone,
                "{} {} answered a stranger {}: {}",
                route.verb, route.path, answer.status, answer.body
            );
        }
    }
    for (path, field) in [
        ("/v1/secrets", "secrets"),
        ("/v1/scoring/models", "models"),
        ("/v1/tokens", "tokens"),
        ("/v1/clients", "clients"),
        ("/v1/api-keys", "api_keys"),
        ("/v1/invitations", "invitations"),
    ] {
        assert_eq!(
            stranger.client.get(path).await.json(200)[field],
            json!([]),
            "{path}"
        );
        assert_ne!(
            owner.client.get(path).await.json(200)[field],
            json!([]),
            "{path} still has what it had"
        );
    }
    let model = belongings
        .iter()
        .find(|(name, _)| *name == "GetModel")
        .map(|(_, id)| id);
    let recommend = json!({"customer_id": "c", "model_id": model});
    assert_eq!(stranger.client.post("/v1/recommend", recommend).await.status, 404);
    let workspaces: Value = stranger.client.get("/v1/workspaces").await.json(200);
    assert_eq!(workspaces["workspaces"].as_array().map(Vec::len), Some(1));
    let mismatch = stranger
        .client
        .header("x-tenant-id", &owner.workspace_id)
        .get("/v1/secrets")
        .await;
    assert_eq!(mismatch.reason(403), "WORKSPACE_MISMATCH");
    mesh.end().await;
}
