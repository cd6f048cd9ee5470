//! The program as operators run it: real processes, real signals.

mod fleet;

use std::time::{Duration, Instant};

use causeway::demo::tell;
use causeway_contracts::{METHODS, Rule};
use causeway_mesh::far;
use http::{Request, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::http::Client;
use crate::mesh::{SIGNING_SECRET, account};

pub(crate) use fleet::{Fleet, Whole, output};
use fleet::{INTERNAL_SECRET, terminate, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn the_story_passes_in_six_processes() {
    let Some(fleet) = Fleet::start().await else { return };
    tell(&fleet.base, &mut Vec::new()).await.unwrap();
}

/// The code that a service itself answers, past the gateway, to who says by headers to be somebody.
async fn direct(port: u16, path: &str, token: Option<&str>) -> Code {
    let base = format!("http://127.0.0.1:{port}");
    let channel = far(base.parse().unwrap(), &CancellationToken::new());
    let mut request = Request::post(format!("{base}{path}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("x-causeway-caller", "owner")
        .header("x-internal-service-secret", "wrong");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let empty = Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[
        0, 0, 0, 0, 0,
    ])));
    let response = channel.oneshot(request.body(empty).unwrap()).await.unwrap();
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

/// SVC-01: without a service token of its own, no header says who calls. SVC-02: a token is for one service.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_does_not_trust_the_gateway() {
    let Some(fleet) = Fleet::start().await else { return };
    let secret = [
        ("INTERNAL_SERVICE_SECRET", INTERNAL_SECRET),
        ("JWT_SIGNING_SECRET", SIGNING_SECRET),
    ];
    for (service, port) in &fleet.ports {
        let made = output(&["token", "service", "--for", service], &secret).await;
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        for method in METHODS.iter().filter(|method| method.owner == *service) {
            assert_eq!(
                direct(*port, method.path, None).await,
                Code::Unauthenticated,
                "{}",
                method.path
            );
            assert_eq!(
                direct(*port, method.path, Some("a.b.c")).await,
                Code::Unauthenticated,
                "{}",
                method.path
            );
            if matches!(method.rule, Rule::Permission { .. }) {
                assert_eq!(
                    direct(*port, method.path, Some(&token)).await,
                    Code::PermissionDenied,
                    "{}",
                    method.path
                );
            }
            // A token for one service is nothing at another.
            let other = fleet.ports.iter().find(|(name, _)| name != service).unwrap().1;
            let elsewhere = METHODS
                .iter()
                .find(|method| {
                    fleet
                        .ports
                        .iter()
                        .any(|(name, port)| *port == other && *name == method.owner)
                })
                .unwrap();
            assert_eq!(
                direct(other, elsewhere.path, Some(&token)).await,
                Code::Unauthenticated
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_a_service_that_is_away() {
    let Some(mut fleet) = Fleet::start().await else {
        return;
    };
    let (_, child) = fleet
        .children
        .iter_mut()
        .find(|(name, _)| *name == "scoring")
        .unwrap();
    child.kill().await.unwrap();
    wait_for(&fleet.base, "/ready", 503).await;
    let client = Client::new(&fleet.base);
    assert_eq!(
        client.get("/ready").await.json(503)["not_serving"],
        json!(["scoring"])
    );
    assert_eq!(client.get("/health").await.status, 200);
    let account = account(&client, "away").await;
    let error = account.client.get("/v1/scoring/models").await;
    assert_eq!(error.reason(503), "SERVICE_UNAVAILABLE");
    assert!(!error.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn near_and_far_answer_alike() {
    let Some(fleet) = Fleet::start().await else { return };
    let near = crate::mesh::Mesh::start().await;
    let mut answers = Vec::new();
    for base in [&near.base, &fleet.base] {
        let account = account(&Client::new(base), "alike").await;
        let client = &account.client;
        let asked = vec![
            client.get("/v1/secrets").await,
            client.get("/v1/secrets/nothing").await,
            client
                .put("/v1/secrets/s", json!({"kind": "nonsense", "value": ""}))
                .await,
            client
                .post("/v1/scoring/models", json!({"name": "", "kind": "magic"}))
                .await,
            client.post("/v1/chat/completions", json!({"messages": []})).await,
            client.get("/v1/audit/proofs/inclusion?seq=99&size=100").await,
            client.get("/v1/workspaces/not-an-id").await,
        ];
        let comparable = asked.into_iter().map(|answer| {
            let mut json: Value = serde_json::from_str(&answer.body).unwrap();
            for own in ["error_id", "request_id"] {
                json[own] = Value::Null;
                if json["error"].is_object() {
                    json["error"][own] = Value::Null;
                }
            }
            (answer.status, json)
        });
        answers.push(comparable.collect::<Vec<_>>());
    }
    assert_eq!(answers[0], answers[1]);
    near.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_service_without_a_database_refuses_to_start() {
    let environment = [
        ("INTERNAL_SERVICE_SECRET", INTERNAL_SECRET),
        ("MESH_AUTH_ADDR", "http://127.0.0.1:1"),
        ("MESH_TENANCY_ADDR", "http://127.0.0.1:1"),
        ("MESH_LLM_ADDR", "http://127.0.0.1:1"),
        ("MESH_SCORING_ADDR", "http://127.0.0.1:1"),
    ];
    let ended = output(&["serve", "audit"], &environment).await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("DATABASE_URL"));
    let ended = output(&["serve", "audit"], &[]).await;
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        text.contains("INTERNAL_SERVICE_SECRET") && text.contains("DATABASE_URL"),
        "all at once: {text}"
    );
    assert_eq!(output(&["serve", "nonsense"], &[]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_its_story_and_exits_0() {
    let ended = output(&["demo"], &[]).await;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(
        text.contains("$ curl -s") && text.contains("can be proven"),
        "{text}"
    );
}

/// Logs in again and again until the program is gone; answers how many answers it got, and what went wrong.
async fn load(client: Client, body: Value, stop: CancellationToken) -> (usize, Vec<String>) {
    let (mut answered, mut lost) = (0, Vec::new());
    while !stop.is_cancelled() {
        match client
            .try_send("POST", "/auth/login", &body.to_string(), Some("application/json"))
            .await
        {
            Ok(answer) if answer.status == 200 || answer.status == 429 => answered += 1,
            Ok(answer) => lost.push(format!("{}: {}", answer.status, answer.body)),
            // Not accepted: nobody listens any more.
            Err(causeway_egress::EgressError::Connect(_)) => break,
            Err(error) => lost.push(format!("{error:?}")),
        }
    }
    (answered, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_no_request() {
    let mut whole = Whole::start(&[("NODE_ENV", "test"), ("SHUTDOWN_GRACE_SECONDS", "10")], &[]).await;
    let account = account(&Client::new(&whole.base), "load").await;
    let body = json!({"email": account.email, "password": account.password});
    let stop = CancellationToken::new();
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..16 {
        loads.spawn(load(Client::new(&whole.base), body.clone(), stop.clone()));
    }
    // Enough to be in the middle of it.
    let client = Client::new(&whole.base);
    for _ in 0..5 {
        client.post("/auth/login", body.clone()).await;
    }
    let told = Instant::now();
    terminate(&whole.child);
    let ended = tokio::time::timeout(Duration::from_secs(12), whole.child.wait())
        .await
        .expect("within its grace");
    assert!(ended.unwrap().success());
    assert!(told.elapsed() < Duration::from_secs(10));
    stop.cancel();
    let mut answered = 0;
    for (count, lost) in loads.join_all().await {
        answered += count;
        assert_eq!(lost, Vec::<String>::new());
    }
    assert!(answered > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_the_log() {
    for format in ["json", "pretty"] {
        let environment = [
            ("NODE_ENV", "test"),
            ("LOG_LEVEL", "debug"),
            ("LOG_FORMAT", format),
            ("JWT_SIGNING_SECRET", SIGNING_SECRET),
        ];
        let mut whole = Whole::start(&environment, &[]).await;
        let summary = tell(&whole.base, &mut Vec::new()).await.unwrap();
        let account = account(&Client::new(&whole.base), "silent").await;
        let client = &account.client;
        client
            .put(
                "/v1/secrets/s",
                json!({"kind": "custom", "value": "the-value-of-a-secret"}),
            )
            .await
            .json(200);
        client.post("/v1/secrets/s/reveal", json!({})).await.json(200);
        let said = json!({"model": "auto", "messages": [{"role": "user", "content": "a-private-question"}]});
        client.post("/v1/chat/completions", said).await.json(200);
        let wrong = json!({"email": account.email, "password": "a-wrong-password-of-a-person"});
        Client::new(&whole.base)
            .post("/auth/login", wrong)
            .await
            .json(401);
        Client::new(&whole.base)
            .bearer("cw_pat_madeupmadeupmadeupmadeup")
            .get("/v1/me")
            .await
            .json(401);
        client
            .send(
                "POST",
                "/v1/tokens",
                r#"{"name":"a-broken-body"#,
                Some("application/json"),
            )
            .await
            .json(400);
        terminate(&whole.child);
        let log = whole.log().await;
        assert!(log.contains("request"), "the log is there: {log}");
        let signature = account.access_token.rsplit('.').next().unwrap().to_owned();
        let secrets = [
            summary.token.as_str(),
            &account.password,
            &account.access_token,
            &signature,
            &account.email,
            SIGNING_SECRET,
            "the-value-of-a-secret",
            "a-private-question",
            "a-wrong-password-of-a-person",
            "cw_pat_madeup",
            "a-broken-body",
            "Say hello to the auditor",
            "cw_pat_",
        ];
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}
