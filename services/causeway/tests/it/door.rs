//! What every answer has, whatever was asked.

use serde_json::json;

use crate::mesh::{Mesh, text};

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

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_an_id_and_the_headers_of_the_door() {
    let mesh = Mesh::start().await;
    let client = mesh.anonymous().header("x-request-id", "my-id-1");
    for path in ["/health", "/v1/me", "/nowhere"] {
        let answer = client.get(path).await;
        assert_eq!(answer.header("x-request-id"), "my-id-1", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(
            answer
                .header("content-security-policy")
                .contains("frame-ancestors 'none'")
        );
    }
    let problem = client.get("/v1/me").await;
    assert_eq!(problem.header("content-type"), "application/problem+json");
    let json = problem.json(401);
    assert_eq!(json["request_id"], "my-id-1");
    for field in ["type", "title", "detail", "reason", "error_id"] {
        assert!(json[field].is_string(), "{field} in {json}");
    }
    assert_eq!(client.get("/nowhere").await.reason(404), "ROUTE_NOT_FOUND");
    assert_eq!(client.delete("/v1/me").await.reason(405), "METHOD_NOT_ALLOWED");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_answer_under_all_their_prefixes() {
    let mesh = Mesh::start().await;
    let account = mesh.account("prefix").await;
    for path in ["/v1/secrets", "/api/v1/secrets"] {
        account.client.get(path).await.json(200);
    }
    let body = json!({"email": account.email, "password": account.password});
    for path in ["/auth/login", "/v1/auth/login"] {
        mesh.anonymous().post(path, body.clone()).await.json(200);
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_token_lives_in_a_cookie_of_the_own_site() {
    let mesh = Mesh::with(&[("CORS_ALLOWED_ORIGINS", "http://front.example")]).await;
    let account = mesh.account("cookie").await;
    let body = json!({"email": account.email, "password": account.password});
    let login = mesh.anonymous().post("/auth/login", body).await;
    assert!(login.json(200).get("refresh_token").is_none());
    let set = login.header("set-cookie").to_owned();
    for attribute in ["refresh_token=", "Path=/auth", "HttpOnly", "SameSite=Lax"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = set.split(';').next().unwrap().to_owned();
    let client = mesh.anonymous().header("cookie", &cookie);
    let foreign = client
        .header("origin", "http://evil.example")
        .post("/auth/refresh", json!({}))
        .await;
    assert_eq!(foreign.reason(403), "CROSS_SITE_REQUEST");
    assert_eq!(
        foreign.header("set-cookie"),
        "",
        "a foreign page cannot log a person out"
    );
    let next = client
        .header("origin", "http://front.example")
        .post("/auth/refresh", json!({}))
        .await;
    let token = text(&next.json(200), "access_token");
    assert_eq!(mesh.anonymous().bearer(&token).get("/v1/me").await.status, 200);
    assert_ne!(next.header("set-cookie").split(';').next(), Some(cookie.as_str()));
    let logout = mesh
        .anonymous()
        .header("cookie", next.header("set-cookie").split(';').next().unwrap());
    let logout = logout.post("/auth/logout", json!({})).await;
    assert_eq!(logout.status, 200);
    assert!(logout.header("set-cookie").contains("Max-Age=0"));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_origins_may_call() {
    let mesh = Mesh::with(&[("CORS_ALLOWED_ORIGINS", "http://front.example")]).await;
    let preflight = |origin: &str| {
        let client = mesh.anonymous();
        let client = client
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        let client = client.header(
            "access-control-request-headers",
            "authorization,idempotency-key,x-tenant-id",
        );
        async move { client.send("OPTIONS", "/v1/secrets", "", None).await }
    };
    let allowed = preflight("http://front.example").await;
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "http://front.example"
    );
    assert!(
        allowed
            .header("access-control-allow-headers")
            .contains("idempotency-key")
    );
    let refused = preflight("http://evil.example").await;
    assert_eq!(refused.header("access-control-allow-origin"), "");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_of_one_workspace_are_told_when_to_come_back() {
    let mesh = Mesh::with(&[("NODE_ENV", "development"), ("RATE_LIMIT_TIER", "free")]).await;
    let account = mesh.account("rate").await;
    let calls = (0..620).map(|_| account.client.get("/v1/tenant/status"));
    let answers: Vec<_> = futures::future::join_all(calls).await;
    let refused = answers
        .iter()
        .find(|answer| answer.status == 429)
        .expect("the limit is reached");
    assert_eq!(refused.reason(429), "RATE_LIMITED");
    assert!(
        refused
            .header("retry-after")
            .parse::<u64>()
            .is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
    assert!(refused.header("ratelimit-policy").contains("q=600") && !refused.header("ratelimit").is_empty());
    // Another workspace is not in the way.
    assert_eq!(
        mesh.account("rate")
            .await
            .client
            .get("/v1/tenant/status")
            .await
            .status,
        200
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_made_from_the_contracts() {
    let mesh = Mesh::start().await;
    let client = mesh.anonymous();
    let openapi = client.get("/openapi.json").await.json(200);
    assert_eq!(openapi["openapi"], "3.1.0");
    assert!(openapi["paths"]["/v1/secrets/{name}"]["put"].is_object());
    assert!(client.get("/docs").await.body.contains("/v1/recommend"));
    assert!(
        client
            .get("/llms.txt")
            .await
            .body
            .contains("POST /v1/chat/completions")
    );
    assert_eq!(client.get("/ready").await.json(200)["status"], "ready");
    mesh.end().await;
}
