//! What every answer has, whatever was asked.

use causeway_contracts::{METHODS, descriptors};
use serde_json::json;

use crate::mesh::{Mesh, text};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_route_says_which_methods_it_has() {
    let mesh = Mesh::start().await;
    let client = mesh.anonymous();
    for (verb, path, status) in [("DELETE", "/v1/tokens", 405), ("OPTIONS", "/v1/tokens", 204)] {
        let answer = client.send(verb, path, "", None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (status, "GET, HEAD, OPTIONS, POST")
        );
    }
    assert_eq!(client.send("OPTIONS", "/nowhere", "", None).await.status, 404);
    let head = client.send("HEAD", "/health", "", None).await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(client.get("/v1/me/").await.reason(404), "ROUTE_NOT_FOUND");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_openai_paths_are_openais() {
    let mesh = Mesh::start().await;
    let account = mesh.account("openai").await;
    for (path, verb, status, kind) in [
        ("/v1/models", "DELETE", 405, "invalid_request_error"),
        ("/api/v1/chat/completions", "GET", 405, "invalid_request_error"),
        ("/v1/chat/completions", "POST", 400, "invalid_request_error"),
    ] {
        let answer = account
            .client
            .send(verb, path, "{}", Some("application/json"))
            .await;
        let error = &answer.json(status)["error"];
        assert_eq!(error["type"], kind, "{verb} {path}");
        assert!(error["message"].is_string() && error["code"].is_string() && error.get("param").is_some());
    }
    let refused = mesh.anonymous().get("/v1/models").await;
    assert_eq!(refused.json(401)["error"]["type"], "authentication_error");
    assert_eq!(refused.header("www-authenticate"), r#"Bearer realm="causeway""#);
    let elsewhere = account.client.get("/elsewhere/v1/models").await;
    assert_eq!(elsewhere.reason(404), "ROUTE_NOT_FOUND");
    assert_eq!(elsewhere.header("content-type"), "application/problem+json");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workspace_that_is_named_is_the_credentials_own() {
    let mesh = Mesh::start().await;
    let (own, other) = (mesh.account("own").await, mesh.account("other").await);
    let named = own.client.header("x-tenant-id", &own.workspace_id);
    named.get("/v1/me").await.json(200);
    let foreign = own.client.header("x-tenant-id", &other.workspace_id);
    assert_eq!(foreign.get("/v1/me").await.reason(403), "WORKSPACE_MISMATCH");
    let both = named.header("x-tenant-id", &other.workspace_id);
    assert_eq!(both.get("/v1/me").await.reason(403), "WORKSPACE_MISMATCH");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_lists_are_bounded() {
    let mesh = Mesh::start().await;
    let account = mesh.account("pages").await;
    let mut walked = 0;
    for method in METHODS {
        let lists = descriptors()
            .get_message_by_name(method.input)
            .is_some_and(|input| input.get_field_by_name("page_size").is_some());
        for route in method.routes.iter().filter(|route| lists && route.verb == "GET") {
            walked += 1;
            let path = route.path.replace("{user_id}", &account.user_id);
            for (size, status) in [
                ("1000", 200),
                ("1001", 200),
                ("-1", 400),
                ("99999999999", 400),
                ("x", 400),
            ] {
                let answer = account.client.get(&format!("{}?page_size={size}", path)).await;
                assert_eq!(answer.status.as_u16(), status, "{} {size}: {}", path, answer.body);
            }
            let twice = account
                .client
                .get(&format!("{}?page_size=2&pageSize=3", path))
                .await;
            assert_eq!(twice.json(400)["violations"][0]["field"], "page_size", "{}", path);
            let token = account.client.get(&format!("{}?page_token=nonsense", path)).await;
            assert_eq!(
                token.json(400)["violations"][0]["field"],
                "page_token",
                "{}",
                path
            );
        }
    }
    assert!(walked >= 5, "{walked}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_paths_have_plain_parameters() {
    let mesh = Mesh::start().await;
    let openapi = mesh.anonymous().get("/openapi.json").await.json(200);
    let paths = openapi["paths"].as_object().unwrap();
    for path in paths.keys() {
        let names = path.split(['{', '}']).skip(1).step_by(2);
        for name in names {
            assert!(
                name.chars()
                    .all(|letter| letter.is_ascii_alphanumeric() || letter == '_'),
                "{path}"
            );
        }
    }
    let workspace = &paths["/v1/workspaces/{id}"];
    assert!(workspace["get"].is_object() && workspace["patch"].is_object());
    let errors = &paths["/v1/models"]["get"]["responses"]["401"]["content"];
    assert!(errors["application/json"].is_object(), "{errors}");
    mesh.end().await;
}
