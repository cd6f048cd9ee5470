//! Requests that mean no good: a clear refusal, no panic, nothing changed.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::mesh::Mesh;

/// Sends bytes as they are; answers what came back until the other side closed or fell silent.
async fn raw(mesh: &Mesh, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(mesh.address).await.unwrap();
    // The other side may refuse and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_from_outside_change_nothing() {
    let mesh = Mesh::start().await;
    let (own, other) = (mesh.account("own").await, mesh.account("other").await);
    other
        .client
        .put("/v1/secrets/s", json!({"kind": "custom", "value": "v"}))
        .await
        .json(200);
    let caller = json!({"kind": "user", "id": other.user_id, "workspace": other.workspace_id,
        "permissions": ["secrets.read"], "roles": ["owner"], "credential_id": "", "mfa": true});
    let forged = [
        ("x-causeway-caller", caller.to_string()),
        ("x-causeway-caller-bin", "AAAA".to_owned()),
        ("x-workspace-id", other.workspace_id.clone()),
        ("x-user-id", other.user_id.clone()),
        ("x-internal-service-secret", "anything".to_owned()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
    ];
    for (name, value) in &forged {
        let secrets = own.client.header(name, value).get("/v1/secrets").await.json(200);
        assert_eq!(secrets["secrets"], json!([]), "{name}");
        let me = own.client.header(name, value).get("/v1/me").await.json(200);
        assert_eq!(
            me["principal"]["workspace_id"],
            own.workspace_id.as_str(),
            "{name}"
        );
        assert_eq!(
            mesh.anonymous().header(name, value).get("/v1/me").await.status,
            401,
            "{name}"
        );
    }
    mesh.end().await;
}

/// RBAC-05.
#[tokio::test(flavor = "multi_thread")]
async fn paths_with_two_readings_are_refused() {
    let mesh = Mesh::start().await;
    let account = mesh.account("paths").await;
    for path in [
        "//v1/me",
        "/v1//me",
        "/v1/%2e%2e/v1/me",
        "/v1/me;a=b",
        "/v1/secrets/a%2fb",
        "/v1/%ff",
        "/v1/me%00",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            account.access_token
        );
        let answer = raw(&mesh, request.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{path}: {answer}");
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_bounded() {
    let mesh = Mesh::start().await;
    let account = mesh.account("sizes").await;
    let huge = format!(
        "GET /v1/me HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\nconnection: close\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let answer = raw(&mesh, huge.as_bytes()).await;
    assert!(answer.is_empty() || status(&answer) == 431, "{answer}");
    let large = account
        .client
        .header("x-large", &"a".repeat(40 << 10))
        .get("/v1/me")
        .await;
    assert_eq!(large.reason(431), "HEADERS_TOO_LARGE");

    let announced = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 52428800\r\nconnection: close\r\n\r\n",
        account.access_token
    );
    assert_eq!(status(&raw(&mesh, announced.as_bytes()).await), 413);
    let mut chunked = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        account.access_token
    )
    .into_bytes();
    for _ in 0..50 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + (1 << 20), b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&mesh, &chunked).await;
    assert!(answer.is_empty() || status(&answer) == 413, "{answer}");
    account.client.get("/v1/me").await.json(200);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_name_what_is_wrong() {
    let mesh = Mesh::start().await;
    let account = mesh.account("bodies").await;
    let client = &account.client;
    let field = |answer: crate::http::Answer| {
        answer.json(400)["violations"][0]["field"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let json = Some("application/json");
    assert_eq!(
        field(client.send("POST", "/v1/tokens", r#"{"name":"#, json).await),
        "body"
    );
    assert_eq!(
        field(client.send("POST", "/v1/tokens", "[1]", json).await),
        "body"
    );
    assert_eq!(
        field(client.send("POST", "/v1/tokens", r#"{"name":5}"#, json).await),
        "name"
    );
    assert_eq!(
        field(client.send("POST", "/v1/tokens", r#"{"nmae":"a"}"#, json).await),
        "nmae"
    );
    assert_eq!(field(client.get("/v1/secrets?colour=red").await), "colour");
    assert_eq!(field(client.get("/v1/secrets?page_size=many").await), "page_size");
    let text = client
        .send(
            "POST",
            "/v1/tokens",
            "name=a",
            Some("application/x-www-form-urlencoded"),
        )
        .await;
    assert_eq!(text.reason(415), "UNSUPPORTED_MEDIA_TYPE");
    let request = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 12\r\nconnection: close\r\n\r\n{{\"name\":\"",
        account.access_token
    );
    let mut broken = request.into_bytes();
    broken.extend_from_slice(&[0xff, 0xfe, b'"']);
    assert_eq!(status(&raw(&mesh, &broken).await), 400);
    let two = account.client.header("x-api-key", "cw_pat_x").get("/v1/me").await;
    assert_eq!(two.reason(400), "SEVERAL_CREDENTIALS");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_messages_are_refused_in_the_words_of_the_surface() {
    let mesh = Mesh::start().await;
    let account = mesh.account("frames").await;
    let path = "/causeway.auth.v1.AuthService/CreateToken";
    // A frame that announces nine bytes and has two; none at all; bytes that are no message.
    for body in ["\0\0\0\0\x09ab", "", "\0\0", "\0\0\0\0\x02\x0a\x7f"] {
        for kind in [
            "application/grpc-web+proto",
            "application/grpc-web",
            "application/grpc",
        ] {
            let answer = account
                .client
                .header("te", "trailers")
                .send("POST", path, body, Some(kind))
                .await;
            let code = match answer.header("grpc-status") {
                "" => answer
                    .body
                    .split("grpc-status:")
                    .nth(1)
                    .map(|rest| rest.trim_start()[..1].to_owned())
                    .unwrap_or_default(),
                code => code.to_owned(),
            };
            assert_eq!(
                (answer.status.as_u16(), code.as_str()),
                (200, "3"),
                "{kind} {body:?}: {answer:?}"
            );
        }
    }
    // Text that is no base64, or ends within a group of four.
    for body in ["!!!not base64!!!", "AAAAAAMKAW", ""] {
        let kind = Some("application/grpc-web-text");
        let answer = account.client.send("POST", path, body, kind).await;
        assert_eq!(answer.header("grpc-status"), "3", "{body:?}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/grpc-web-text+proto");
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let mesh = Mesh::start().await;
    let account = mesh.account("gone").await;
    let body = json!({"model": "auto", "stream": true, "messages": [{"role": "user", "content": "a long answer please"}]}).to_string();
    for length in [body.len(), body.len() + 50] {
        let mut stream = TcpStream::connect(mesh.address).await.unwrap();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
            account.access_token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
    }
    account.client.get("/v1/me").await.json(200);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_other_kinds_are_refused_alike() {
    let mesh = Mesh::start().await;
    let account = mesh.account("kinds").await;
    let mut tampered = account.access_token.clone();
    tampered.replace_range(tampered.len() - 4.., "AAAA");
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.";
    let bad = [
        tampered,
        none.to_owned(),
        "cw_pat_notatoken".to_owned(),
        Uuid::new_v4().to_string(),
        String::new(),
        "a.b.c".to_owned(),
    ];
    let mut answers: Vec<Value> = Vec::new();
    for token in bad {
        let mut problem = mesh.anonymous().bearer(&token).get("/v1/me").await.json(401);
        for own in ["error_id", "request_id"] {
            problem[own] = Value::Null;
        }
        answers.push(problem);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_with_two_readings_are_refused() {
    let mesh = Mesh::start().await;
    let account = mesh.account("readings").await;
    let json = Some("application/json");
    let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (body, field) in [
        (r#"{"name":"a","name":"b"}"#, "body"),
        (r#"{"name":"a","scopes":[],"\u006eame":"b"}"#, "body"),
        ("\u{feff}{\"name\":\"a\"}", "body"),
        (r#"{"name":"a"} {}"#, "body"),
        (r#"{"name":1e400}"#, "body"),
        (r#"{"name":NaN}"#, "body"),
        (r#"{"name":"\ud800"}"#, "body"),
        (deep.as_str(), "body"),
        (
            r#"{"expires_at":null,"name":"a","expiresAt":"2030-01-01T00:00:00Z"}"#,
            "expires_at",
        ),
    ] {
        let answer = account.client.send("POST", "/v1/tokens", body, json).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.json(400)["violations"][0]["field"], field, "{start}");
    }
    let named = r#"{"name":"a"}"#;
    for kind in [
        "application/json; charset=utf-16",
        "application/jsonx",
        "text/json",
        "application/json, text/plain",
    ] {
        let answer = account.client.send("POST", "/v1/tokens", named, Some(kind)).await;
        assert_eq!(answer.reason(415), "UNSUPPORTED_MEDIA_TYPE", "{kind}");
    }
    for (name, value) in [("content-encoding", "gzip"), ("content-type", "text/plain")] {
        let answer = account
            .client
            .header(name, value)
            .send("POST", "/v1/tokens", named, json)
            .await;
        assert_eq!(answer.reason(415), "UNSUPPORTED_MEDIA_TYPE", "{name}");
    }
    let tokens = account.client.get("/v1/tokens").await.json(200);
    assert_eq!(tokens["tokens"], json!([]));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_repeats_no_value_and_is_never_long() {
    let mesh = Mesh::start().await;
    let account = mesh.account("refusal").await;
    for body in [
        json!({"name": "a", "scopes": "hunter2"}),
        json!({"name": {"hunter2": 1}}),
        json!({"name": "a", "scopes": vec!["hunter2"; 100_000]}),
        json!({"n".repeat(100_000): "hunter2"}),
    ] {
        let answer = account.client.post("/v1/tokens", body).await;
        answer.json(400);
        assert!(
            !answer.body.contains("hunter2") && answer.body.len() < 16 * 1024,
            "{}",
            answer.body.len()
        );
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_comes_by_post_plain_and_in_protobuf() {
    let mesh = Mesh::start().await;
    let account = mesh.account("grpc").await;
    let path = "/causeway.auth.v1.AuthService/CreateToken";
    let message = "\0\0\0\0\x03\x0a\x01a";
    for kind in ["application/grpc", "application/grpc-web"] {
        for verb in ["GET", "PUT", "DELETE"] {
            let answer = account.client.send(verb, path, message, Some(kind)).await;
            assert_eq!(answer.header("allow"), "POST", "{verb} {kind}");
            assert_ne!(answer.header("grpc-status"), "0");
        }
        let compressed = account.client.header("grpc-encoding", "gzip");
        let answer = compressed.send("POST", path, message, Some(kind)).await;
        assert_eq!(answer.header("grpc-status"), "12", "{answer:?}");
        assert_eq!(answer.header("grpc-accept-encoding"), "identity");
        let flagged = account
            .client
            .send("POST", path, "\x01\0\0\0\x03\x0a\x01a", Some(kind))
            .await;
        assert_eq!(flagged.header("grpc-status"), "3", "{flagged:?}");
        for nowhere in [
            "/v1/tokens",
            "/causeway.auth.v1.AuthService/Nope",
            "/causeway.auth.v1.AuthService/AuthenticateToken",
        ] {
            let answer = account.client.send("POST", nowhere, message, Some(kind)).await;
            assert_eq!(answer.header("grpc-status"), "12", "{nowhere}");
        }
    }
    for kind in [
        "application/grpc+json",
        "application/grpc-web+json",
        "application/grpcfoo",
    ] {
        let answer = account.client.send("POST", path, message, Some(kind)).await;
        assert_eq!(answer.reason(415), "UNSUPPORTED_MEDIA_TYPE", "{kind}");
    }
    let tokens = account.client.get("/v1/tokens").await.json(200);
    assert_eq!(tokens["tokens"], json!([]), "nothing was made");
    // A call in text is answered in text, whatever the type says beside.
    let kind = Some("application/grpc-web-text; charset=utf-8");
    let answer = account.client.send("POST", path, "AAAAAAMKAWE=", kind).await;
    assert_eq!(answer.header("content-type"), "application/grpc-web-text+proto");
    assert!(
        answer.body.starts_with("AAAA") && answer.body.is_ascii(),
        "{answer:?}"
    );
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let mesh = Mesh::start().await;
    for (hosts, expected) in [("", 400), ("host: a\r\nhost: b\r\n", 400), ("host: a\r\n", 200)] {
        let request = format!("GET /health HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        assert_eq!(status(&raw(&mesh, request.as_bytes()).await), expected, "{hosts}");
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_end_a_session() {
    let mesh = Mesh::start().await;
    // SameSite holds the cookie back, so none is there; the answer would end it all the same.
    let page = mesh.anonymous().header("origin", "http://evil.example");
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let answer = page.send("POST", "/auth/logout", "", kind).await;
        assert_eq!(answer.reason(403), "CROSS_SITE_REQUEST");
        assert_eq!(answer.header("set-cookie"), "");
    }
    mesh.end().await;
}
