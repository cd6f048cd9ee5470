//! `Idempotency-Key`, from outside: what a repeat gets, and who never gets it.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::mesh::{Account, Mesh, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_has_one_effect() {
    let mesh = Mesh::start().await;
    let account = mesh.account("idem").await;
    let client = account.client.header("idempotency-key", "k-1");
    let first = client.post("/v1/tokens", json!({"name": "a"})).await;
    let again = client.post("/v1/tokens", json!({"name": "a"})).await;
    assert_eq!(first.json(200), again.json(200));
    assert_eq!(
        (
            first.header("idempotency-replayed"),
            again.header("idempotency-replayed")
        ),
        ("", "true")
    );
    assert_eq!(
        client.post("/v1/tokens", json!({"name": "b"})).await.reason(422),
        "IDEMPOTENCY_KEY_REUSED"
    );
    assert_eq!(
        account.client.get("/v1/tokens").await.json(200)["tokens"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    // The same key of somebody else is another key.
    let other = mesh
        .account("other")
        .await
        .client
        .header("idempotency-key", "k-1");
    assert_eq!(
        other.post("/v1/tokens", json!({"name": "b"})).await.json(200)["name"],
        "b"
    );
    let long = account.client.header("idempotency-key", &"x".repeat(256));
    assert_eq!(
        long.post("/v1/tokens", json!({"name": "b"})).await.json(400)["violations"][0]["field"],
        "Idempotency-Key"
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_under_one_key_have_one_effect() {
    let mesh = Mesh::start().await;
    let account = mesh.account("idem").await;
    let client = account.client.header("idempotency-key", "k-2");
    let calls = (0..16).map(|_| client.post("/v1/tokens", json!({"name": "a"})));
    let answers = futures::future::join_all(calls).await;
    assert!(
        answers
            .iter()
            .all(|answer| [200, 409].contains(&answer.status.as_u16())),
        "{answers:?}"
    );
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(
        account.client.get("/v1/tokens").await.json(200)["tokens"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    mesh.end().await;
}

/// The refresh cookie of a new session, as a browser sends it.
async fn cookie(mesh: &Mesh, account: &Account) -> String {
    let body = json!({"email": account.email, "password": account.password});
    let login = mesh.anonymous().post("/auth/login", body).await;
    let set = login.header("set-cookie");
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_behind_one_address_never_get_each_others_session() {
    let mesh = Mesh::start().await;
    let accounts = [mesh.account("ada").await, mesh.account("bob").await];
    for account in &accounts {
        let client = mesh.anonymous().header("idempotency-key", "the-same");
        let client = client.header("cookie", &cookie(&mesh, account).await);
        let first = client.post("/auth/refresh", json!({})).await;
        let token = text(&first.json(200), "access_token");
        let me = mesh.anonymous().bearer(&token).get("/v1/me").await.json(200);
        assert_eq!(me["principal"]["id"], account.user_id.as_str());
        assert_eq!(first.header("idempotency-replayed"), "");
        // The same browser, whose answer was lost on the way.
        let again = client.post("/auth/refresh", json!({})).await;
        assert_eq!(again.json(200), first.json(200));
        assert_eq!(again.header("set-cookie"), first.header("set-cookie"));
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_answer_is_only_for_a_proven_caller() {
    let mesh = Mesh::start().await;
    let account = mesh.account("proven").await;
    let body = json!({"name": "a"});
    let keyed = account.client.header("idempotency-key", "k");
    keyed.post("/v1/tokens", body.clone()).await.json(200);
    let mut tampered = account.access_token.clone();
    tampered.replace_range(tampered.len() - 4.., "AAAA");
    let answer = keyed.bearer(&tampered).post("/v1/tokens", body).await;
    assert_eq!(answer.reason(401), "UNAUTHENTICATED");
    assert_eq!(answer.header("idempotency-replayed"), "");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_a_read_means_nothing() {
    let mesh = Mesh::start().await;
    let account = mesh.account("reads").await;
    let keyed = account.client.header("idempotency-key", "k");
    let count = async || {
        let events = keyed.get("/v1/audit/events?page_size=1000").await;
        assert_eq!(events.header("idempotency-replayed"), "");
        events.json(200)["entries"].as_array().map(Vec::len)
    };
    let before = count().await;
    account
        .client
        .post("/v1/tokens", json!({"name": "a"}))
        .await
        .json(200);
    assert!(count().await > before);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_look_at_a_secret_is_a_look_of_its_own() {
    let mesh = Mesh::start().await;
    let account = mesh.account("looks").await;
    let secret = json!({"kind": "custom", "value": "the-value-of-a-secret"});
    account.client.put("/v1/secrets/s", secret).await.json(200);
    let keyed = account.client.header("idempotency-key", "k");
    for _ in 0..2 {
        let shown = keyed.post("/v1/secrets/s/reveal", json!({})).await;
        assert_eq!(
            (shown.status.as_u16(), shown.header("idempotency-replayed")),
            (200, "")
        );
    }
    let events = account
        .client
        .get("/v1/audit/events?action=secret.revealed")
        .await
        .json(200);
    assert_eq!(events["entries"].as_array().map(Vec::len), Some(2), "{events}");
    account.client.delete("/v1/secrets/s").await.json(200);
    assert_eq!(keyed.post("/v1/secrets/s/reveal", json!({})).await.status, 404);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_finds_its_answer_later() {
    let mesh = Mesh::start().await;
    let account = mesh.account("later").await;
    let body = r#"{"name":"a"}"#;
    let request = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        account.access_token,
        body.len()
    );
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    let keyed = account.client.header("idempotency-key", "k");
    let answer = loop {
        let answer = keyed
            .send("POST", "/v1/tokens", body, Some("application/json"))
            .await;
        if answer.status != 409 {
            break answer;
        }
    };
    answer.json(200);
    let tokens = account.client.get("/v1/tokens").await.json(200);
    assert_eq!(tokens["tokens"].as_array().map(Vec::len), Some(1));
    mesh.end().await;
}
