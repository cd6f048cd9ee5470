use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::{StreamExt as _, stream};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "the server ends with the runtime of the test"
)]
async fn upstream(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = routes.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

fn request(url: impl AsRef<str>) -> Request<Bytes> {
    Request::get(url.as_ref()).body(Bytes::new()).unwrap()
}

fn egress() -> Egress {
    Egress::new(EgressOptions {
        connect_timeout: SECOND,
        ..EgressOptions::default()
    })
}

#[tokio::test]
async fn an_answer_has_its_status_and_its_json() {
    let url =
        upstream(Router::new().route("/", get(|| async { (http::StatusCode::CREATED, r#"{"a":1}"#) }))).await;
    let answer = egress().send(request(url), SECOND).await.unwrap();
    assert_eq!(answer.status(), 201);
    let json: Value = answer.into_body().json(100).await.unwrap();
    assert_eq!(json["a"], 1);
}

#[tokio::test]
async fn a_stream_arrives_piece_by_piece() {
    let (send, _) = tokio::sync::broadcast::channel::<&'static str>(4);
    let source = send.clone();
    let pieces = move || {
        let receive = source.subscribe();
        let pieces = stream::unfold(receive, |mut receive| async move {
            let piece = receive.recv().await.ok().filter(|piece| *piece != "end")?;
            Some((piece, receive))
        });
        std::future::ready(Body::from_stream(pieces.map(Ok::<_, std::io::Error>)))
    };
    let url = upstream(Router::new().route("/", get(pieces))).await;
    let mut body = egress().send(request(url), SECOND).await.unwrap().into_body();
    for piece in ["one", "two"] {
        send.send(piece).unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), piece);
    }
    send.send("end").unwrap();
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_body_that_breaks_is_an_error_and_not_an_end() {
    let pieces = || async {
        let pieces = [Ok("one"), Err(std::io::Error::other("cut"))];
        Body::from_stream(stream::iter(pieces).then(|piece| async {
            tokio::task::yield_now().await;
            piece
        }))
    };
    let url = upstream(Router::new().route("/", get(pieces))).await;
    let body = egress().send(request(url), SECOND).await.unwrap().into_body();
    assert!(matches!(body.collect(100).await, Err(EgressError::Body(_))));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let endless =
        || async { Body::from_stream(stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(1000)))) };
    let routes = Router::new()
        .route("/known", get(|| async { "x".repeat(11) }))
        .route("/endless", get(endless));
    let url = upstream(routes).await;
    for path in ["/known", "/endless"] {
        let answer = egress()
            .send(request(format!("{url}{path}")), SECOND)
            .await
            .unwrap();
        assert!(
            matches!(
                answer.into_body().collect(10).await,
                Err(EgressError::TooLarge { limit: 10 })
            ),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_not_json_is_refused_without_quoting_it() {
    let url = upstream(Router::new().route("/", get(|| async { r#"{"a":"hush"}"# }))).await;
    let answer = egress().send(request(url), SECOND).await.unwrap();
    let error = answer
        .into_body()
        .json::<std::collections::HashMap<String, u8>>(100)
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Malformed { line: 1, .. }));
    assert!(!format!("{error:?} {error}").contains("hush"));
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let url = upstream(Router::new().route("/", get(std::future::pending::<String>))).await;
    let start = Instant::now();
    let answer = egress().send(request(url), Duration::from_millis(50)).await;
    assert!(matches!(answer, Err(EgressError::Timeout)));
    assert!(start.elapsed() < SECOND);
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let answer = egress().send(request(format!("http://{address}")), SECOND).await;
    assert!(matches!(answer, Err(EgressError::Connect(_))));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = EgressOptions {
        connect_timeout: Duration::from_millis(50),
        ..EgressOptions::default()
    };
    let answer = Egress::new(options)
        .send(request(format!("https://{address}")), SECOND)
        .await;
    assert!(matches!(answer, Err(EgressError::Connect(_))));
}

#[tokio::test]
async fn plain_text_where_tls_should_be_is_a_tls_error() {
    let url = upstream(Router::new()).await.replace("http:", "https:");
    assert!(matches!(
        egress().send(request(url), SECOND).await,
        Err(EgressError::Tls(_))
    ));
}

#[tokio::test]
async fn only_absolute_http_urls_leave() {
    for url in ["/v1/models", "ftp://localhost/", "localhost:80"] {
        assert!(
            matches!(
                egress().send(request(url), SECOND).await,
                Err(EgressError::InvalidRequest)
            ),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let away = || async { axum::response::Redirect::permanent("http://elsewhere.invalid/") };
    let url = upstream(Router::new().route("/", get(away))).await;
    assert_eq!(egress().send(request(url), SECOND).await.unwrap().status(), 308);
}

#[tokio::test]
async fn connections_are_used_again() {
    let peer = |info: axum::extract::ConnectInfo<std::net::SocketAddr>| async move { info.0.to_string() };
    let url = upstream(Router::new().route("/", get(peer))).await;
    let egress = egress();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..5 {
        let answer = egress.send(request(&url), SECOND).await.unwrap();
        seen.insert(answer.into_body().collect(100).await.unwrap());
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_host_of_a_tenant_must_be_public_by_name_and_by_address() {
    let egress = Egress::new(EgressOptions {
        connect_timeout: SECOND,
        reach: Reach::Public,
        ..EgressOptions::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"] {
        let refused = egress
            .send(request(format!("https://{host}:{upstream}")), SECOND)
            .await;
        assert!(
            matches!(refused, Err(EgressError::NotPublic)),
            "{host}: {refused:?}"
        );
    }
    // Past the first look at the text it is the resolver that refuses: nothing is dialled.
    let name = request(format!("https://localhost:{upstream}")).map(Full::new);
    let refused = egress.client.request(name).await.map_err(EgressError::of_client);
    assert!(matches!(refused, Err(EgressError::NotPublic)), "{refused:?}");
    let plain = egress.send(request("http://1.1.1.1"), SECOND).await;
    assert!(matches!(plain, Err(EgressError::NotPublic)), "{plain:?}");
}

/// What the system's resolver takes for an address of this machine, though the text is not written as one; and other
/// spellings by which a host of a tenant would lead inside.
#[tokio::test]
async fn no_spelling_of_an_address_inside_is_dialled() {
    let egress = Egress::new(EgressOptions {
        connect_timeout: SECOND,
        reach: Reach::Public,
        ..EgressOptions::default()
    });
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.1",
        "0",
        "0.0.0.0",
        "127.0.0.1.",
        "localhost.",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "1.1.1.1@127.0.0.1",
    ] {
        let answer = egress
            .send(request(format!("https://{host}:{port}/")), SECOND)
            .await;
        let refused = matches!(answer, Err(EgressError::NotPublic | EgressError::Connect(_)));
        assert!(refused, "{host}: {answer:?}");
    }
    let dialled = listener.accept();
    assert!(dialled.is_err(), "{dialled:?}");
}
