//! Second factors over the whole system, with an authenticator that nobody here wrote.

mod two_gateways;

use causeway_contracts::{METHODS, Rule};
use chrono::Utc;
use serde_json::{Value, json};
use tonic::Code;
use uuid::Uuid;

use crate::clients;
use crate::exchange::World;
use crate::http::{Answer, Client};
use crate::mesh::{Account, Mesh, text};
use crate::walk::{call, filled, grpc};

fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the service compares codes with the clock"
    )]
    let now = Utc::now().timestamp();
    now
}

/// An authenticator app with one account in it.
struct Authenticator(String);

impl Authenticator {
    /// The code of a time; nothing if the app is not installed.
    async fn code(&self, at: i64) -> Option<String> {
        let environment = [
            ("CAUSEWAY_OTPAUTH_URI", self.0.as_str()),
            ("CAUSEWAY_AT", &at.to_string()),
        ];
        let told = clients::run("authenticator", &environment).await?;
        Some(text(&told, "code"))
    }
}

/// Somebody who has enrolled with the code of the step before this one, so that the one of this step is left.
struct Enrolled {
    account: Account,
    authenticator: Authenticator,
    recovery_codes: Vec<String>,
    /// With the access token that says that the factor was passed.
    client: Client,
}

/// Waits for a step that is not about to end.
async fn early_in_a_step() -> i64 {
    while now() % 30 > 20 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    now()
}

async fn enrol(mesh: &Mesh, name: &str) -> Option<Enrolled> {
    enrol_in(mesh.account(name).await).await
}

async fn enrol_in(account: Account) -> Option<Enrolled> {
    let made = account.client.post("/v1/me/mfa/totp", json!({})).await.json(200);
    let codes = made["recovery_codes"].as_array().expect("codes").iter();
    let recovery_codes: Vec<String> = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
    assert_eq!(recovery_codes.len(), 10);
    let authenticator = Authenticator(text(&made, "otpauth_uri"));
    let code = authenticator.code(early_in_a_step().await - 30).await?;
    let confirmed = account
        .client
        .post("/v1/me/mfa/totp/confirm", json!({"code": code}))
        .await
        .json(200);
    let client = account.client.bearer(&text(&confirmed, "access_token"));
    Some(Enrolled {
        account,
        authenticator,
        recovery_codes,
        client,
    })
}

impl Enrolled {
    async fn first_step(&self, client: &Client) -> Answer {
        let body = json!({"email": self.account.email, "password": self.account.password});
        client.post("/auth/login", body).await
    }

    async fn mfa_token(&self, client: &Client) -> String {
        text(&self.first_step(client).await.json(200), "mfa_token")
    }

    async fn login(&self, client: &Client, code: &str) -> Answer {
        let token = self.mfa_token(client).await;
        client
            .post("/auth/mfa/verify", json!({"mfa_token": token, "code": code}))
            .await
    }
}

async fn actions(client: &Client, action: &str) -> Vec<Value> {
    let log = client
        .get(&format!("/v1/audit/events?action={action}"))
        .await
        .json(200);
    log["entries"].as_array().expect("entries").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_opens_the_second_door() {
    let mesh = Mesh::start().await;
    let Some(ada) = enrol(&mesh, "ada").await else {
        return mesh.end().await;
    };
    let me = ada.client.get("/v1/me").await.json(200);
    let factor = &me["second_factor"];
    assert_eq!(
        (
            &factor["enrolled"],
            &factor["passed"],
            &factor["recovery_codes_left"]
        ),
        (&json!(true), &json!(true), &json!(10)),
        "{me}"
    );
    assert!(factor["confirmed_at"].is_string());
    let old = ada.account.client.get("/v1/me").await.json(200);
    assert_eq!(
        old["second_factor"]["passed"], false,
        "the old access token says nothing of it"
    );

    let first = ada.first_step(&mesh.anonymous()).await;
    assert!(first.header("set-cookie").is_empty());
    let first = first.json(200);
    let mut names: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        (names, &first["mfa_required"]),
        (vec!["mfa_required", "mfa_token"], &json!(true))
    );
    let code = ada.authenticator.code(now()).await.expect("installed");
    let body = json!({"mfa_token": first["mfa_token"], "code": code});
    let answer = mesh.anonymous().post("/auth/mfa/verify", body.clone()).await;
    let session = answer.json(200);
    assert_eq!(session["workspace_id"], ada.account.workspace_id.as_str());
    assert!(!answer.body.contains("cw_rt_") && answer.header("set-cookie").contains("HttpOnly"));
    let again = mesh.anonymous().post("/v1/auth/mfa/verify", body).await;
    assert_eq!(again.reason(401), "INVALID_CODE", "a code works once");

    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    let browser = mesh.anonymous().header("cookie", &cookie);
    let refreshed = browser.post("/auth/refresh", json!({})).await.json(200);
    let client = mesh.anonymous().bearer(&text(&refreshed, "access_token"));
    let me = client.get("/v1/me").await.json(200);
    assert_eq!(
        (&me["mfa"], &me["second_factor"]["passed"]),
        (&json!(true), &json!(true))
    );

    let by_recovery = ada.login(&mesh.anonymous(), &ada.recovery_codes[0]).await;
    let session = by_recovery.json(200);
    assert_eq!(
        ada.login(&mesh.anonymous(), &ada.recovery_codes[0])
            .await
            .reason(401),
        "INVALID_CODE"
    );
    let client = mesh.anonymous().bearer(&text(&session, "access_token"));
    assert_eq!(
        client.get("/v1/me").await.json(200)["second_factor"]["recovery_codes_left"],
        9
    );
    for (action, count) in [
        ("mfa.enrolled", 1),
        ("mfa.confirmed", 1),
        ("mfa.recovery_code_used", 1),
        ("mfa.failed", 2),
    ] {
        assert_eq!(actions(&client, action).await.len(), count, "{action}");
    }
    let whole = client.get("/v1/audit/events").await.body;
    let seed = ada.authenticator.0.split(['=', '&']).nth(1).unwrap().to_owned();
    assert!(!whole.contains(&seed) && !whole.contains(&ada.recovery_codes[1]) && !whole.contains(&code));

    let path = "/v1/me/mfa/totp";
    let remove = async |code: &str| {
        let body = json!({"code": code}).to_string();
        client.send("DELETE", path, &body, Some("application/json")).await
    };
    assert_eq!(remove("000000").await.reason(400), "INVALID_CODE");
    remove(&ada.recovery_codes[1]).await.json(200);
    let session = ada.first_step(&mesh.anonymous()).await.json(200);
    assert!(
        session["access_token"]
            .as_str()
            .is_some_and(|token| !token.is_empty()),
        "one step again"
    );
    mesh.end().await;
}

/// MFA-06.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_first_step_is_refused_by_everything_else() {
    let mesh = Mesh::start().await;
    let Some(ada) = enrol(&mesh, "ada").await else {
        return mesh.end().await;
    };
    let token = ada.mfa_token(&mesh.anonymous()).await;
    let client = mesh.anonymous().bearer(&token);
    let mut walked = 0;
    for method in METHODS {
        match method.rule {
            Rule::Public | Rule::Internal => {}
            Rule::Authenticated | Rule::Permission { .. } => {
                for route in method.routes {
                    let answer = call(&client, route, &filled(route, &Uuid::now_v7().to_string())).await;
                    assert_eq!(
                        answer.reason(401),
                        "UNAUTHENTICATED",
                        "{} {}",
                        route.verb,
                        route.path
                    );
                    walked += 1;
                }
                if let Some(surface) = &method.surface {
                    assert_eq!(
                        client.post(surface.path, json!({})).await.status,
                        401,
                        "{}",
                        surface.path
                    );
                }
            }
        }
        let expected = match method.rule {
            Rule::Internal => Code::Unimplemented,
            Rule::Public => continue,
            Rule::Authenticated | Rule::Permission { .. } => Code::Unauthenticated,
        };
        assert_eq!(
            grpc(&mesh, method, Some(&token)).await,
            expected,
            "{}",
            method.path
        );
    }
    assert!(walked > 50, "{walked} routes");
    let refresh = mesh
        .anonymous()
        .post("/auth/refresh", json!({"refresh_token": token}))
        .await;
    assert_eq!(refresh.status, 401, "{}", refresh.body);
    let exchange = client.post("/auth/exchange", json!({})).await;
    assert!(
        exchange.status.is_client_error() || exchange.status == 503,
        "{}",
        exchange.body
    );
    let access = json!({"mfa_token": ada.account.access_token, "code": "123456"});
    let confused = mesh.anonymous().post("/auth/mfa/verify", access).await;
    assert_eq!(
        confused.reason(401),
        "INVALID_MFA_TOKEN",
        "nor is another token taken for it"
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_factor_needs_it_for_what_is_marked_and_can_pass_it_later() {
    // A provider that asks for no second factor opens sessions which did not pass the one here.
    let world = World::start().await;
    let mesh = &world.mesh;
    let opened = async || {
        let session = world.exchange(&world.token("user_1"), json!({})).await;
        let access = text(&session.json(200), "access_token");
        mesh.anonymous().bearer(&access)
    };
    let first = opened().await;
    let made = first.post("/v1/me/mfa/totp", json!({})).await.json(200);
    let authenticator = Authenticator(text(&made, "otpauth_uri"));
    let Some(code) = authenticator.code(early_in_a_step().await - 30).await else {
        return world.mesh.end().await;
    };
    let confirmed = first.post("/v1/me/mfa/totp/confirm", json!({"code": code})).await;
    confirmed.json(200);
    let client = opened().await;
    let change = json!({"mfa_policy": "optional"}).to_string();
    let marked = client
        .send("PATCH", "/v1/settings", &change, Some("application/json"))
        .await;
    assert_eq!(marked.reason(403), "MFA_REQUIRED");
    // Nor by a program that is made for it: programs are asked for no factor.
    let asked = json!({"name": "t", "scopes": ["secrets.reveal"]});
    for path in ["/v1/api-keys", "/v1/clients"] {
        let made = client.post(path, asked.clone()).await;
        assert_eq!(made.reason(403), "MFA_REQUIRED", "{path}");
    }
    let unmarked = client.post("/v1/tokens", json!({"name": "t"})).await;
    unmarked.json(200);
    let code = authenticator
        .code(early_in_a_step().await)
        .await
        .expect("installed");
    let passed = client
        .post("/v1/me/mfa/verify", json!({"code": code}))
        .await
        .json(200);
    let client = mesh.anonymous().bearer(&text(&passed, "access_token"));
    let marked = client
        .send("PATCH", "/v1/settings", &change, Some("application/json"))
        .await;
    marked.json(200);
    world.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_enforcement_a_policy_changes_nothing() {
    let mesh = Mesh::with(&[("MFA_ENFORCEMENT_DISABLED", "true")]).await;
    let ada = mesh.account("ada").await;
    let change = json!({"mfa_policy": "required"}).to_string();
    ada.client
        .send("PATCH", "/v1/settings", &change, Some("application/json"))
        .await
        .json(200);
    let body = json!({"email": ada.email, "password": ada.password});
    let session = mesh.anonymous().post("/auth/login", body).await.json(200);
    let client = mesh.anonymous().bearer(&text(&session, "access_token"));
    client
        .put("/v1/secrets/a", json!({"kind": "custom", "value": "v"}))
        .await
        .json(200);
    mesh.end().await;
}
