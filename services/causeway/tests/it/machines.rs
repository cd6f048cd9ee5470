//! Programs at the door: OAuth clients, API keys, and the endpoints of OAuth as clients of the protocol use them.

mod gateways;
mod leaks;
mod services;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::mesh::{Account, Mesh, text};

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange";

struct Program {
    id: String,
    secret: String,
}

impl Program {
    async fn of(account: &Account, body: Value) -> Self {
        let made = account.client.post("/v1/clients", body).await.json(200);
        Self {
            id: text(&made, "id"),
            secret: text(&made, "client_secret"),
        }
    }

    fn basic(&self, client: &Client) -> Client {
        let shown = STANDARD.encode(format!("{}:{}", self.id, self.secret));
        client.header("authorization", &format!("Basic {shown}"))
    }

    async fn token(&self, client: &Client) -> String {
        let answer = form(
            &self.basic(client),
            "/auth/token",
            "grant_type=client_credentials",
        )
        .await;
        text(&answer.json(200), "access_token")
    }
}

async fn form(client: &Client, path: &str, body: &str) -> Answer {
    client.send("POST", path, body, FORM).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    let json = answer.json(status);
    assert!(json["error_description"].is_string(), "{json}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    text(&json, "error")
}

/// CC-01.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_a_token_as_the_protocol_says() {
    let mesh = Mesh::start().await;
    let account = mesh.account("oauth").await;
    let scopes = json!({"name": "batch", "scopes": ["secrets.read", "secrets.write"]});
    let program = Program::of(&account, scopes).await;
    let (nobody, basic) = (mesh.anonymous(), program.basic(&mesh.anonymous()));
    let in_body = format!("client_id={}&client_secret={}", program.id, program.secret);
    for path in ["/auth/token", "/v1/auth/token", "/api/v1/auth/token"] {
        let by_body = format!("grant_type=client_credentials&{in_body}&unknown=1");
        for answer in [
            form(&basic, path, "grant_type=client_credentials&scope=secrets.read").await,
            form(&nobody, path, &by_body).await,
        ] {
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("pragma"), "no-cache");
            let json = answer.json(200);
            assert_eq!(
                (&json["token_type"], &json["expires_in"]),
                (&json!("Bearer"), &json!(900))
            );
            assert!(json.get("refresh_token").is_none(), "RFC 6749 §4.4.3");
            assert!(json.get("issued_token_type").is_none());
        }
    }
    let as_json =
        json!({"grant_type": "client_credentials", "client_id": program.id, "client_secret": program.secret});
    nobody.post("/auth/token", as_json).await.json(200);

    let both = format!("grant_type=client_credentials&{in_body}");
    for (client, body, expected) in [
        (&basic, both.as_str(), "invalid_request"),
        (
            &basic,
            "grant_type=client_credentials&grant_type=refresh_token",
            "invalid_request",
        ),
        (&basic, "grant_type=password", "unsupported_grant_type"),
        (
            &basic,
            "grant_type=client_credentials&scope=workspaces.write",
            "invalid_scope",
        ),
        (
            &basic,
            "grant_type=client_credentials&audience=elsewhere",
            "invalid_target",
        ),
        (
            &basic,
            "grant_type=refresh_token&refresh_token=x",
            "unauthorized_client",
        ),
        (&basic, "scope=a", "invalid_request"),
        (&basic, "grant_type=%zz", "invalid_request"),
        (
            &nobody,
            "grant_type=refresh_token&refresh_token=x",
            "invalid_grant",
        ),
    ] {
        assert_eq!(
            refused(&form(client, "/auth/token", body).await, 400),
            expected,
            "{body}"
        );
    }
    let in_query = form(&basic, "/auth/token?grant_type=client_credentials", "").await;
    assert_eq!(refused(&in_query, 400), "invalid_request");
    let typed = basic.send("POST", "/auth/token", "<a/>", Some("text/xml")).await;
    assert_eq!(refused(&typed, 400), "invalid_request");

    let wrong = Program {
        id: program.id.clone(),
        secret: program.secret.chars().rev().collect(),
    };
    for client in [
        nobody.clone(),
        wrong.basic(&nobody),
        nobody.header("authorization", "Basic ???"),
        nobody.bearer(&account.access_token),
    ] {
        let answer = form(&client, "/auth/token", "grant_type=client_credentials").await;
        assert_eq!(refused(&answer, 401), "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic "));
    }
    mesh.end().await;
}

/// CC-01, TOK-03, TOK-06.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_a_caller_with_what_its_token_and_its_maker_may() {
    let mesh = Mesh::start().await;
    let account = mesh.account("caller").await;
    let program = Program::of(
        &account,
        json!({"name": "batch", "scopes": ["secrets.read", "clients.read"]}),
    )
    .await;
    let basic = program.basic(&mesh.anonymous());
    let machine = mesh.anonymous().bearer(&program.token(&mesh.anonymous()).await);
    let me = machine.get("/v1/me").await.json(200);
    assert_eq!(
        (&me["principal"]["kind"], &me["principal"]["id"]),
        (&json!("client"), &json!(program.id))
    );
    assert_eq!(me["principal"]["workspace_id"], json!(account.workspace_id));
    assert_eq!(me["permissions"], json!(["clients.read", "secrets.read"]));
    machine.get("/v1/secrets").await.json(200);
    let written = machine
        .put("/v1/secrets/s", json!({"kind": "custom", "value": "v"}))
        .await;
    assert_eq!(written.reason(403), "PERMISSION_DENIED");
    let narrow = form(
        &basic,
        "/auth/token",
        "grant_type=client_credentials&scope=clients.read",
    )
    .await;
    let narrow = mesh.anonymous().bearer(&text(&narrow.json(200), "access_token"));
    assert_eq!(narrow.get("/v1/secrets").await.status, 403);
    let making = machine.post("/v1/clients", json!({"name": "child"})).await;
    assert_eq!(making.status, 403, "no client makes a client");

    let answer = account.client.get("/v1/clients").await.json(200);
    let listed = answer["clients"].to_string();
    assert!(listed.contains(&program.id) && !listed.contains(&program.secret));
    assert_eq!(
        answer["clients"][0]["secrets"][0]["last_four"],
        json!(program.secret[program.secret.len() - 4..])
    );

    let key = json!({"name": "ci", "scopes": ["secrets.read"]});
    let key = account.client.post("/v1/api-keys", key).await.json(200);
    let key = text(&key, "secret");
    for shown in [
        mesh.anonymous().header("x-api-key", &key),
        mesh.anonymous().bearer(&key),
    ] {
        shown.get("/v1/secrets").await.json(200);
        assert_eq!(shown.get("/v1/clients").await.status, 403);
    }
    let two = machine.header("x-api-key", &key).get("/v1/secrets").await;
    assert_eq!(two.reason(400), "SEVERAL_CREDENTIALS");
    let in_query = mesh
        .anonymous()
        .get(&format!("/v1/secrets?access_token={key}"))
        .await;
    assert_eq!(
        in_query.status, 401,
        "a token in the query proves nobody (TOK-06)"
    );

    let body = format!(
        "{EXCHANGE}&subject_token={key}&subject_token_type=urn:ietf:params:oauth:token-type:access_token"
    );
    let exchanged = form(&mesh.anonymous(), "/auth/token", &body).await.json(200);
    assert_eq!(
        exchanged["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    assert_eq!(exchanged["scope"], "secrets.read");
    let short = mesh.anonymous().bearer(&text(&exchanged, "access_token"));
    short.get("/v1/secrets").await.json(200);
    mesh.end().await;
}

/// INT-01, REV-01, TOK-05.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_looked_into_and_revoked_as_the_protocol_says() {
    let mesh = Mesh::start().await;
    let (account, stranger) = (mesh.account("own").await, mesh.account("foreign").await);
    let program = Program::of(&account, json!({"name": "batch", "scopes": ["secrets.read"]})).await;
    let other = Program::of(&stranger, json!({"name": "other"})).await;
    let nobody = mesh.anonymous();
    let (own, foreign) = (program.basic(&nobody), other.basic(&nobody));
    let token = program.token(&nobody).await;
    let asked = format!("token={token}&token_type_hint=refresh_token");
    let active = form(&own, "/auth/introspect", &asked).await.json(200);
    assert_eq!(
        (&active["active"], &active["scope"]),
        (&json!(true), &json!("secrets.read"))
    );
    assert_eq!(
        (&active["client_id"], &active["sub"]),
        (&json!(program.id), &json!(program.id))
    );
    assert_eq!(active["token_type"], "access_token");
    let inactive = |answer: Answer| assert_eq!(answer.json(200), json!({"active": false}));
    inactive(form(&foreign, "/auth/introspect", &asked).await);
    inactive(form(&own, "/auth/introspect", "token=nonsense").await);
    let by_person = form(&account.client, "/auth/introspect", &asked).await.json(200);
    assert_eq!(by_person["active"], true);
    assert_eq!(
        refused(&form(&nobody, "/auth/introspect", &asked).await, 401),
        "invalid_client"
    );
    let forged = form(&nobody.bearer("a.b.c"), "/auth/introspect", &asked).await;
    assert_eq!(refused(&forged, 401), "invalid_token");

    assert_eq!(
        refused(&form(&nobody, "/auth/revoke", &asked).await, 401),
        "invalid_client"
    );
    let wrong = form(&foreign, "/auth/revoke", &asked).await;
    assert_eq!(refused(&wrong, 400), "unauthorized_client");
    assert_eq!(form(&own, "/auth/revoke", &asked).await.json(200), json!({}));
    assert_eq!(
        form(&own, "/auth/revoke", "token=nonsense").await.json(200),
        json!({})
    );
    inactive(form(&own, "/auth/introspect", &asked).await);

    let key = json!({"name": "ci", "scopes": ["secrets.read"]});
    let key = account.client.post("/v1/api-keys", key).await.json(200);
    let found = json!({"token": text(&key, "secret"), "found_at": "a public repository"});
    nobody.post("/auth/tokens/leaked", found).await.json(200);
    inactive(
        form(
            &own,
            "/auth/introspect",
            &format!("token={}", text(&key, "secret")),
        )
        .await,
    );
    let told = account
        .client
        .get("/v1/audit/events?action=token.leaked")
        .await
        .json(200);
    assert_eq!(told["entries"].as_array().map(Vec::len), Some(1), "{told}");
    assert!(!told.to_string().contains(&text(&key, "secret")));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_with_a_token_is_replayed() {
    let mesh = Mesh::start().await;
    let account = mesh.account("replay").await;
    let program = Program::of(&account, json!({"name": "batch"})).await;
    let keyed = mesh.anonymous().header("idempotency-key", "one");
    let granted = form(
        &program.basic(&keyed),
        "/auth/token",
        "grant_type=client_credentials",
    )
    .await;
    granted.json(200);
    let again = form(&keyed, "/auth/token", "grant_type=client_credentials").await;
    assert_eq!(
        refused(&again, 401),
        "invalid_client",
        "the key is bound to no client"
    );
    mesh.end().await;
}

/// CC-03.
#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_work_during_a_rotation() {
    let mesh = Mesh::start().await;
    let account = mesh.account("rotation").await;
    let old = Program::of(&account, json!({"name": "batch"})).await;
    let rotate = format!("/v1/clients/{}/rotate", old.id);
    let made = account
        .client
        .post(&rotate, json!({"overlap_seconds": 600}))
        .await
        .json(200);
    assert_eq!(made["secrets"].as_array().map(Vec::len), Some(2));
    let new = Program {
        id: old.id.clone(),
        secret: text(&made, "client_secret"),
    };
    for program in [&old, &new] {
        program.token(&mesh.anonymous()).await;
    }
    let again = account.client.post(&rotate, json!({})).await;
    assert_eq!(again.reason(409), "ROTATION_RUNNING");
    account
        .client
        .post(&format!("{rotate}/complete"), json!({}))
        .await
        .json(200);
    new.token(&mesh.anonymous()).await;
    let ended = form(
        &old.basic(&mesh.anonymous()),
        "/auth/token",
        "grant_type=client_credentials",
    )
    .await;
    assert_eq!(refused(&ended, 401), "invalid_client");
    mesh.end().await;
}
