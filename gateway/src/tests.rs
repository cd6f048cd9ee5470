//! The layers together, in front of a mesh that is not there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use causeway_crypto::ServiceTokenKeys;
use causeway_mesh::{Mesh, PeerAddr, ServiceIdentity};
use causeway_settings::{Owner, Settings, Sources};
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use secrecy::SecretString;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use crate::{Config, router};

/// Any RPC that needs no credential and has an effect.
const WRITES: &str = "/auth/register";

/// A service that tells what reached it and answers when it may.
struct Far {
    calls: AtomicUsize,
    may_answer: Semaphore,
    headers: mpsc::UnboundedSender<HeaderMap>,
}

struct Door {
    router: Router,
    far: Arc<Far>,
    headers: mpsc::UnboundedReceiver<HeaderMap>,
}

fn config(pairs: &[(&str, &str)]) -> Config {
    let mut all = vec![("NODE_ENV", "development")];
    all.retain(|(name, _)| !pairs.iter().any(|(other, _)| other == name));
    all.extend_from_slice(pairs);
    let settings = Settings::resolve(&Sources::from_pairs(all), &[Owner::Gateway]).unwrap();
    Config::from_settings(&settings).unwrap()
}

fn door(pairs: &[(&str, &str)]) -> Door {
    let (sender, headers) = mpsc::unbounded_channel();
    let far = Arc::new(Far {
        calls: AtomicUsize::new(0),
        may_answer: Semaphore::new(0),
        headers: sender,
    });
    let secret = SecretString::from("a secret of the tests, 32 bytes or more");
    let keys = Arc::new(ServiceTokenKeys::new(&secret, None));
    let mesh = Mesh::new(ServiceIdentity::new("gateway", keys));
    let service = Arc::clone(&far);
    let link = service_fn(move |request: Request<tonic::body::Body>| {
        let far = Arc::clone(&service);
        async move {
            far.calls.fetch_add(1, Ordering::Relaxed);
            let _ = far.headers.send(request.headers().clone());
            let permit = far.may_answer.acquire().await.unwrap();
            permit.forget();
            Ok(empty_answer())
        }
    });
    mesh.link("auth", BoxCloneSyncService::new(link));
    let health = tonic::service::Routes::default();
    Door {
        router: router(config(pairs), mesh, health).0,
        far,
        headers,
    }
}

/// A message with no field set, and a good end.
fn empty_answer() -> http::Response<tonic::body::Body> {
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let frames = [
        Frame::data(Bytes::from_static(&[0; 5])),
        Frame::trailers(trailers),
    ];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Status>)));
    http::Response::new(tonic::body::Body::new(body))
}

impl Door {
    async fn ask(&self, request: http::request::Builder, body: &'static str) -> Response {
        let request = request
            .header("host", "door.example")
            .header("content-type", "application/json");
        let request = request.body(Body::from(body)).unwrap();
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => {
                let never: Infallible = never;
                match never {}
            }
        }
    }

    async fn write(&self, key: &str) -> Response {
        self.ask(Request::post(WRITES).header("idempotency-key", key), "{}")
            .await
    }

    fn may_answer(&self, times: usize) {
        self.far.may_answer.add_permits(times);
    }

    fn calls(&self) -> usize {
        self.far.calls.load(Ordering::Relaxed)
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_call_under_a_key_runs_to_its_end_when_its_client_goes_away() {
    let door = door(&[]);
    let gone = tokio::time::timeout(Duration::from_secs(1), door.write("k")).await;
    assert!(gone.is_err());
    let early = door.write("k").await;
    assert_eq!(early.status(), StatusCode::CONFLICT);
    assert_eq!(header(&early, "retry-after"), "1");
    door.may_answer(1);
    let again = loop {
        let answer = door.write("k").await;
        if answer.status() != StatusCode::CONFLICT {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(header(&again, "idempotency-replayed"), "true");
    assert_eq!(door.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_key_ends_with_its_client() {
    let door = door(&[]);
    let call = door.ask(Request::post(WRITES), "{}");
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    assert_eq!(door.far.may_answer.available_permits(), 0);
    door.may_answer(1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        door.far.may_answer.available_permits(),
        1,
        "nobody waits for it any more"
    );
}

#[tokio::test]
async fn keys_mean_nothing_to_a_read() {
    let door = door(&[]);
    door.may_answer(2);
    for _ in 0..2 {
        let request = Request::get("/.well-known/jwks.json").header("idempotency-key", "k");
        let answer = door.ask(request, "").await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "idempotency-replayed")),
            (200, "")
        );
    }
    assert_eq!(door.calls(), 2);
}

#[tokio::test]
async fn addresses_are_counted_apart_behind_a_proxy_that_is_trusted_and_only_there() {
    let settings = [("RATE_LIMIT_PER_MINUTE", "1"), ("TRUSTED_PROXIES", "10.0.0.0/8")];
    let door = door(&settings);
    door.may_answer(8);
    let from = async |peer: [u8; 4], forwarded: &'static str| {
        let peer = PeerAddr(SocketAddr::from((peer, 4711)));
        let request = Request::get("/.well-known/jwks.json")
            .extension(peer)
            .header("x-forwarded-for", forwarded);
        door.ask(request, "").await.status().as_u16()
    };
    assert_eq!(from([10, 0, 0, 1], "198.51.100.1").await, 200);
    assert_eq!(from([10, 0, 0, 1], "198.51.100.2").await, 200);
    assert_eq!(from([10, 0, 0, 2], "203.0.113.1, 198.51.100.1:8080").await, 429);
    assert_eq!(from([203, 0, 113, 9], "198.51.100.3").await, 200);
    assert_eq!(from([203, 0, 113, 9], "198.51.100.4").await, 429);
}

#[tokio::test]
async fn nothing_that_a_client_says_of_itself_reaches_a_service() {
    let mut door = door(&[]);
    door.may_answer(2);
    let forged = |request: http::request::Builder| {
        let names = [
            "x-causeway-caller",
            "x-workspace-id",
            "x-internal-service-secret",
            "x-api-key",
            "authorization",
            "cookie",
            "x-anything",
        ];
        names
            .into_iter()
            .fold(request, |request, name| request.header(name, "forged"))
    };
    door.ask(forged(Request::get("/.well-known/jwks.json")), "").await;
    let request = forged(Request::post("/causeway.auth.v1.AuthService/GetJwks"));
    let request = request
        .header("host", "door.example")
        .header("content-type", "application/grpc");
    let request = request.body(Body::from(&[0_u8; 5][..])).unwrap();
    door.router.clone().oneshot(request).await.unwrap();
    for _ in 0..2 {
        let headers = door.headers.try_recv().unwrap();
        let found: Vec<_> = headers.iter().filter(|(_, value)| *value == "forged").collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// The least that production starts with.
const PRODUCTION: [(&str, &str); 6] = [
    ("NODE_ENV", "production"),
    ("NEXTAUTH_URL", "https://door.example"),
    ("JWT_SIGNING_ALGORITHM", "EdDSA"),
    ("NEXTAUTH_SECRET", "q8Wn2kq0Zr5Yb8Vw1Lx4Tm9Cs6Df3Gj7"),
    ("INTERNAL_SERVICE_SECRET", "m3Xn2kq0Zr5Yb8Vw1Lx4Tm9Cs6Df3Gj7"),
    ("WORKER_SECRET", "z1Cn2kq0Zr5Yb8Vw1Lx4Tm9Cs6Df3Gj7"),
];

#[tokio::test]
async fn the_policy_of_a_page_follows_the_tier() {
    let door_of = |pairs: &[(&str, &str)]| door(pairs);
    let policy = async |door: Door| {
        let answer = door.ask(Request::get("/health"), "").await;
        header(&answer, "content-security-policy").to_owned()
    };
    assert!(policy(door_of(&[])).await.contains("'unsafe-eval'"));
    assert_eq!(policy(door_of(&[("CSP_DISABLED", "true")])).await, "");
    let whole = policy(door_of(&[("CSP_POLICY", "default-src 'none'")])).await;
    assert_eq!(whole, "default-src 'none'");
    let door = door_of(&PRODUCTION);
    let answer = door.ask(Request::get("/health"), "").await;
    let policy = header(&answer, "content-security-policy");
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-eval"),
        "{policy}"
    );
    assert!(header(&answer, "strict-transport-security").starts_with("max-age="));
    assert!(config(&PRODUCTION).cookie.secure);
}

/// SVC-04.
#[tokio::test]
async fn in_production_the_contracts_are_told_to_who_is_known() {
    const PATH: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const UNAUTHENTICATED: &str = "16";
    let status = async |door: &Door, path: &str, credential: Option<&str>| {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        header(&door.ask(request, "").await, "grpc-status").to_owned()
    };
    let production = door(&PRODUCTION);
    assert_eq!(status(&production, PATH, None).await, UNAUTHENTICATED);
    assert_eq!(status(&production, PATH, Some("forged")).await, UNAUTHENTICATED);
    assert_ne!(
        status(&production, "/grpc.health.v1.Health/Check", None).await,
        UNAUTHENTICATED
    );
    assert_ne!(status(&door(&[]), PATH, None).await, UNAUTHENTICATED);
}

#[tokio::test]
async fn credentials_go_with_listed_origins_only() {
    let asked = async |origins: &str, origin: &str| {
        let door = door(&[("CORS_ALLOWED_ORIGINS", origins)]);
        let answer = door
            .ask(Request::get("/health").header("origin", origin), "")
            .await;
        ["access-control-allow-origin", "access-control-allow-credentials"]
            .map(|name| header(&answer, name).to_owned())
    };
    let listed = asked("https://a.example, https://b.example", "https://b.example").await;
    assert_eq!(listed, ["https://b.example", "true"]);
    assert_eq!(asked("*", "https://a.example").await, ["*", ""]);
    let [origin, _] = asked("https://a.example", "https://a.example.evil.example").await;
    assert_eq!(origin, "");
    let [origin, _] = asked("https://a.example", "null").await;
    assert_eq!(origin, "");
}

#[tokio::test]
async fn options_without_a_browser_tell_the_methods_of_a_route() {
    let door = door(&[]);
    let options = |path| Request::builder().method("OPTIONS").uri(path);
    let answer = door.ask(options("/v1/tokens"), "").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&answer, "allow"), "GET, HEAD, OPTIONS, POST");
    assert_eq!(
        door.ask(options("/nowhere"), "").await.status(),
        StatusCode::NOT_FOUND
    );
    let wrong = door.ask(Request::delete("/v1/tokens"), "").await;
    assert_eq!(wrong.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(&wrong, "allow"), "GET, HEAD, OPTIONS, POST");
}

#[tokio::test]
async fn sizes_are_checked_before_anything_is_read() {
    let door = door(&[("MAX_BODY_BYTES", "1024")]);
    let body = "a".repeat(2048).leak();
    assert_eq!(door.ask(Request::post(WRITES), body).await.status(), 413);
    let announced = Request::post(WRITES).header("content-length", "9999");
    assert_eq!(door.ask(announced, "").await.status(), 413);
    let mut many = Request::get("/health");
    for index in 0..200 {
        many = many.header(format!("x-{index}"), "a");
    }
    assert_eq!(door.ask(many, "").await.status(), 431);
    let long = format!("/health?{}", "a".repeat(9000));
    assert_eq!(door.ask(Request::get(long), "").await.status(), 431);
    assert_eq!(door.calls(), 0);
}
