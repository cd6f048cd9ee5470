//! Erasure and export, from outside.

mod crashes;
mod downloads;
mod restores;

use std::process::Command;
use std::time::Duration;

use causeway_contracts::METHODS;
use causeway_testkit::TestDb;
use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::database::MASTER_KEY;
use crate::http::Client;
use crate::mesh::{Account, Mesh, text};

const PATIENCE: Duration = Duration::from_secs(30);
const CANARY: &str = "canary-8f1e6a2b";

/// Asks until the state is that one.
async fn until(client: &Client, path: &str, state: &str) -> Value {
    let asked = async {
        loop {
            let answer = client.get(path).await.json(200);
            if answer["state"] == state {
                return answer;
            }
            assert_ne!(answer["state"], "failed", "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| panic!("{path} is not {state}"))
}

/// Orders an erasure and waits for its end.
async fn erased(account: &Account, watcher: &Client, body: Value) -> Value {
    let ordered = account.client.post("/v1/erasures", body).await.json(202);
    let path = format!("/v1/erasures/{}", text(&ordered, "id"));
    until(watcher, &path, "succeeded").await
}

/// The person in another workspace of theirs: what they hold for one that is erased ends with it.
async fn elsewhere(mesh: &Mesh, account: &Account) -> Client {
    let made = account
        .client
        .post("/v1/workspaces", json!({"name": "another"}))
        .await;
    let workspace = text(&serde_json::from_str(&made.body).unwrap(), "id");
    let login = json!({"email": account.email, "password": account.password, "workspace_id": workspace});
    let session = mesh.anonymous().post("/auth/login", login).await.json(200);
    mesh.anonymous().bearer(&text(&session, "access_token"))
}

async fn put_canary(account: &Account) {
    let secret = json!({"kind": "custom", "value": CANARY});
    account.client.put("/v1/secrets/own", secret).await.json(200);
}

/// Some weeks ahead.
pub(crate) fn some_weeks_ahead() -> String {
    #[expect(clippy::disallowed_methods, reason = "the service compares it with the clock")]
    let now = Utc::now();
    (now + TimeDelta::days(30)).to_rfc3339()
}

/// EXP-01, B-TEN-21, B-TEN-25.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_fetched_by_range_and_has_nothing_of_others() {
    let mesh = Mesh::start().await;
    let (owner, other) = (mesh.account("owner").await, mesh.account("neighbour").await);
    for account in [&owner, &other] {
        put_canary(account).await;
    }
    let client = &owner.client;
    let ordered = client.post("/v1/exports", json!({})).await.json(202);
    assert_eq!(ordered["state"], "running");
    let path = format!("/v1/exports/{}", text(&ordered, "id"));
    let made = until(client, &path, "ready").await;
    let tables: Vec<String> = made["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| text(table, "table"))
        .collect();
    for table in ["tenancy.members", "auth.sessions", "scoring.models"] {
        assert!(tables.iter().any(|known| known == table), "{table} in {tables:?}");
    }
    let download = format!("{path}/download");
    let whole = client.get(&download).await;
    assert_eq!(whole.status, 200, "{}", whole.body);
    assert_eq!(whole.header("content-type"), "application/x-ndjson");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(whole.header("etag"), format!("\"{}\"", text(&made, "sha256")));
    assert_eq!(made["size_bytes"], whole.body.len());
    assert!(!whole.body.contains(CANARY) && !whole.body.contains(&other.workspace_id));
    assert!(whole.body.contains(&owner.user_id) && !whole.body.contains(&other.user_id));

    for first in [1, 17, whole.body.len() - 1] {
        let rest = client
            .header("range", &format!("bytes={first}-"))
            .get(&download)
            .await;
        assert_eq!(rest.status, 206, "{}", rest.body);
        assert_eq!(rest.body, whole.body[first..]);
        let size = whole.body.len();
        assert_eq!(
            rest.header("content-range"),
            format!("bytes {first}-{}/{size}", size - 1)
        );
        assert_eq!(rest.header("content-length"), (size - first).to_string());
    }
    let same = client
        .header("if-range", whole.header("etag"))
        .header("range", "bytes=5-")
        .get(&download)
        .await;
    assert_eq!(same.status, 206);
    let other_bytes = client
        .header("if-range", "\"other\"")
        .header("range", "bytes=5-")
        .get(&download)
        .await;
    assert_eq!(
        (other_bytes.status.as_u16(), other_bytes.body),
        (200, whole.body.clone())
    );
    let past = client
        .header("range", &format!("bytes={}-", whole.body.len()))
        .get(&download)
        .await;
    assert_eq!(past.reason(416), "RANGE_NOT_SATISFIABLE");
    let past = |etag: &str| {
        client
            .header("if-range", etag)
            .header("range", &format!("bytes={}-", whole.body.len()))
    };
    let same = past(whole.header("etag")).get(&download).await;
    assert_eq!(same.reason(416), "RANGE_NOT_SATISFIABLE");
    let of_others = past("\"other\"").get(&download).await;
    assert_eq!((of_others.status.as_u16(), &of_others.body), (200, &whole.body));
    assert_eq!(other.client.get(&download).await.reason(404), "EXPORT_NOT_FOUND");
    mesh.end().await;
}

/// ERA-01, ERA-06, B-TEN-21.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_workspace_answers_cleanly_everywhere() {
    let mesh = Mesh::with(&[("ERASURE_GRACE_HOURS", "0")]).await;
    let owner = mesh.account("owner").await;
    put_canary(&owner).await;
    let token = owner
        .client
        .post("/v1/tokens", json!({"name": "t"}))
        .await
        .json(200);
    let model = json!({"name": "m", "kind": "thompson", "offers": [{"offer_id": "a"}, {"offer_id": "b"}]});
    owner
        .client
        .post("/v1/scoring/models", model.clone())
        .await
        .json(200);
    let watcher = elsewhere(&mesh, &owner).await;
    let deleted = owner
        .client
        .delete(&format!("/v1/workspaces/{}", owner.workspace_id))
        .await
        .json(202);
    let path = format!("/v1/erasures/{}", text(&deleted, "id"));
    let receipt = until(&watcher, &path, "succeeded").await["receipt"].clone();
    let rows = |table: &str| {
        let counts = receipt["counts"].as_array().unwrap();
        counts
            .iter()
            .find(|count| count["table"] == table)
            .map(|count| count["rows"].clone())
    };
    for table in [
        "tenancy.secrets",
        "tenancy.workspaces",
        "auth.tokens",
        "scoring.models",
    ] {
        assert_eq!(rows(table), Some(json!(1)), "{table} in {receipt}");
    }
    let client = &owner.client;
    for (verb, path, body) in [
        ("GET", "/v1/secrets/own", None),
        ("POST", "/v1/secrets/own/reveal", Some(json!({}))),
        (
            "PUT",
            "/v1/secrets/new",
            Some(json!({"kind": "custom", "value": "v"})),
        ),
        (
            "POST",
            "/v1/crypto/encrypt",
            Some(json!({"plaintext": "aGk=", "context": ""})),
        ),
        ("POST", "/v1/tokens", Some(json!({"name": "t"}))),
        ("POST", "/v1/scoring/models", Some(model)),
        ("POST", "/v1/exports", Some(json!({}))),
        ("POST", "/v1/erasures", Some(json!({}))),
        ("GET", "/v1/settings", None),
    ] {
        let body = body.map(|body| body.to_string());
        let kind = body.as_ref().map(|_| "application/json");
        let answer = client
            .send(verb, path, body.as_deref().unwrap_or_default(), kind)
            .await;
        assert!(
            matches!(answer.status.as_u16(), 400..=404),
            "{verb} {path}: {} {}",
            answer.status,
            answer.body
        );
    }
    let secret = text(&token, "secret");
    let by_token = mesh.anonymous().bearer(&secret).get("/v1/secrets").await;
    assert_eq!(by_token.status, 401, "{}", by_token.body);
    let mine = watcher.get("/v1/workspaces").await.json(200);
    assert_eq!(mine["workspaces"].as_array().map(Vec::len), Some(1), "{mine}");
    mesh.end().await;
}

fn on_database(database: &TestDb) -> Vec<(&str, &str)> {
    vec![
        ("DATABASE_URL", database.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
        ("CAUSELOOP_MASTER_KEY", MASTER_KEY),
        ("ERASURE_GRACE_HOURS", "0"),
        ("PG_POOL_MAX", "8"),
    ]
}

/// ERA-01: with warm caches on two replicas.
#[tokio::test(flavor = "multi_thread")]
async fn no_replica_opens_anything_of_an_erased_workspace() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    let settings = on_database(&database);
    let (one, other) = (Mesh::with(&settings).await, Mesh::with(&settings).await);
    let owner = one.account("owner").await;
    let there = other.anonymous().bearer(&owner.access_token);
    put_canary(&owner).await;
    let sealed = json!({"plaintext": "aGVsbG8=", "context": "cm93Nw=="});
    let sealed = owner.client.post("/v1/crypto/encrypt", sealed).await.json(200);
    let open = json!({"ciphertext": sealed["ciphertext"], "context": "cm93Nw=="});
    for client in [&owner.client, &there] {
        let opened = client.post("/v1/crypto/decrypt", open.clone()).await.json(200);
        assert_eq!(opened["plaintext"], "aGVsbG8=", "the caches are warm");
        let revealed = client.post("/v1/secrets/own/reveal", json!({})).await.json(200);
        assert_eq!(revealed["value"], CANARY);
    }
    let watcher = elsewhere(&one, &owner).await;
    let done = erased(&owner, &watcher, json!({})).await;
    assert_eq!(done["receipt"]["destroyed_keys"], 2, "{done}");
    for client in [&owner.client, &there] {
        for (path, body) in [
            ("/v1/crypto/decrypt", open.clone()),
            ("/v1/secrets/own/reveal", json!({})),
        ] {
            let refused = client.post(path, body).await;
            assert!(
                matches!(refused.status.as_u16(), 400..=404),
                "{path}: {} {}",
                refused.status,
                refused.body
            );
        }
    }
    one.end().await;
    other.end().await;
}

/// Runs a program of PostgreSQL; none where it is not installed.
fn tool(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let ended = Command::new(program).args(arguments).output().ok()?;
    assert!(
        ended.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    Some(ended.stdout)
}

/// What a session of an erased workspace reaches: who was erased reads the receipt, and nothing else.
#[test]
fn one_route_alone_answers_after_an_erasure() {
    let answering = METHODS.iter().filter(|method| method.after_erasure);
    let paths: Vec<&str> = answering.map(|method| method.path).collect();
    assert_eq!(paths, ["/causeway.tenancy.v1.ErasureService/GetErasure"]);
}
