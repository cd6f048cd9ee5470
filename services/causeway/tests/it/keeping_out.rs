//! Persons whom the platform keeps out, and browsers that nobody else can lock out.

use std::time::Instant;

use causeway_context::WorkspaceId;
use causeway_contracts::Role;
use serde_json::{Value, json};

use crate::http::{Answer, Client};
use crate::mesh::{Mesh, access_token, account, text};
use crate::processes::Fleet;
use crate::revocation::until_refused;

/// The cookie of that name which an answer sets, as a browser sends it back.
fn cookie(answer: &Answer, name: &str) -> String {
    let set = answer.headers.get_all("set-cookie").iter();
    let mut set = set.map(|value| value.to_str().unwrap());
    let whole = set.find(|cookie| cookie.starts_with(&format!("{name}=")));
    whole.unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_kept_out_is_refused_at_two_gateways_within_five_seconds() {
    let platform = WorkspaceId::generate();
    let id = platform.to_string();
    let Some(mut fleet) = Fleet::with(&[("PLATFORM_OWNER_TENANT_ID", &id)]).await else {
        return;
    };
    let (one, two) = (fleet.base.clone(), fleet.gateway().await);
    let here = Client::new(&one);
    let owner = here.bearer(&access_token(platform, &[Role::Owner]));
    let ada = account(&here, "ada").await;
    let body = json!({"email": ada.email, "password": ada.password});
    let login = here.post("/auth/login", body.clone()).await;
    let browser = here.header("cookie", &cookie(&login, "refresh_token"));
    let session = text(&login.json(200), "access_token");
    let token = ada
        .client
        .post("/v1/tokens", json!({"name": "t"}))
        .await
        .json(200);
    let token = text(&token, "secret");
    let key = json!({"name": "k", "scopes": ["secrets.read"]});
    let key = ada.client.post("/v1/api-keys", key).await.json(200);
    let key = text(&key, "secret");
    let mut clients = Vec::new();
    for base in [&one, &two] {
        clients.push(Client::new(base).bearer(&session));
        clients.push(Client::new(base).bearer(&ada.access_token));
        clients.push(Client::new(base).bearer(&token));
        clients.push(Client::new(base).header("x-api-key", &key));
    }
    for client in &clients {
        client.get("/v1/me").await.json(200);
    }

    let path = format!("/v1/platform/users/{}", ada.user_id);
    let disable = format!("{path}/disable");
    let refused = ada.client.post(&disable, json!({})).await;
    assert_eq!(refused.reason(403), "NOT_PLATFORM_OWNER");
    let out = owner.post(&disable, json!({"reason": "left"})).await.json(200);
    assert_eq!((&out["disabled"], &out["reason"]), (&json!(true), &json!("left")));
    println!(
        "kept out at two gateways after {:?}",
        until_refused(&clients).await
    );
    for email in [ada.email.as_str(), "nobody@example.com"] {
        let login = json!({"email": email, "password": ada.password});
        let refused = here.post("/auth/login", login).await;
        assert_eq!(refused.reason(401), "INVALID_CREDENTIALS", "{email}");
    }
    let refresh = browser.post("/auth/refresh", json!({})).await;
    assert_eq!(refresh.reason(401), "INVALID_REFRESH_TOKEN");
    let told = owner
        .get("/v1/audit/events?action=platform.user_disabled")
        .await
        .json(200);
    assert_eq!(
        told["entries"][0]["event"]["target_id"],
        ada.user_id.as_str(),
        "{told}"
    );

    let back = owner.post(&format!("{path}/enable"), json!({})).await.json(200);
    assert_eq!(back["disabled"], false);
    let again = text(&here.post("/auth/login", body).await.json(200), "access_token");
    let started = Instant::now();
    for base in [&one, &two] {
        let client = Client::new(base);
        client.bearer(&again).get("/v1/me").await.json(200);
        client.bearer(&token).get("/v1/me").await.json(200);
    }
    println!("let in again at once: {:?}", started.elapsed());
    let log = Client::new(&two).bearer(&again);
    let log = log
        .get("/v1/audit/events?action=platform.user_disabled")
        .await
        .json(200);
    assert_eq!(log["entries"].as_array().map(Vec::len), Some(1), "{log}");
    let refresh = browser.post("/auth/refresh", json!({})).await;
    assert_eq!(
        refresh.reason(401),
        "INVALID_REFRESH_TOKEN",
        "what ended stays so"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_known_is_not_locked_out_by_others() {
    let mesh = Mesh::start().await;
    let ada = mesh.account("ada").await;
    let right = json!({"email": ada.email, "password": ada.password});
    let login = mesh.anonymous().post("/auth/login", right.clone()).await;
    let device = cookie(&login, "causeway_device");
    let set: Vec<&str> = login
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(set.len(), 2, "{set:?}");
    assert!(set.iter().all(|cookie| cookie.contains("; HttpOnly")), "{set:?}");
    let answered: Value = login.json(200);
    assert!(answered.get("device_token").is_none(), "not in the body");

    let wrong = json!({"email": ada.email, "password": "a wrong password"});
    while mesh.anonymous().post("/auth/login", wrong.clone()).await.status == 401 {}
    let stranger = mesh.anonymous().post("/auth/login", right.clone()).await;
    assert_eq!(stranger.reason(429), "TOO_MANY_GUESSES");
    let browser = mesh.anonymous().header("cookie", &device);
    let known = browser.post("/auth/login", right.clone()).await;
    assert_ne!(cookie(&known, "causeway_device"), device);
    known.json(200);
    let foreign = mesh.account("eve").await;
    let body = json!({"email": foreign.email, "password": foreign.password});
    let login = mesh.anonymous().post("/auth/login", body).await;
    let of_eve = mesh
        .anonymous()
        .header("cookie", &cookie(&login, "causeway_device"));
    let refused = of_eve.post("/auth/login", right).await;
    assert_eq!(
        refused.reason(429),
        "TOO_MANY_GUESSES",
        "a device of another account"
    );
    mesh.end().await;
}
