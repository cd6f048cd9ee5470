//! The server as a client sees it, on a bare socket.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

async fn send(upstream: &ScriptedUpstream, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(upstream.address).await.unwrap();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

async fn ask(upstream: &ScriptedUpstream, body: &str) -> String {
    let (mut socket, mut answer) = (send(upstream, body).await, Vec::new());
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_script() {
    let upstream = ScriptedUpstream::start().await;
    upstream
        .then(Answer::chat("one"))
        .then(Answer::error(429, "slow down").retry_after(3));
    assert!(ask(&upstream, "{}").await.contains("\"content\":\"one\""));
    let refused = ask(&upstream, "{}").await;
    assert!(
        refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 3"),
        "{refused}"
    );
    assert!(ask(&upstream, "{}").await.contains("no answer is scripted"));
    upstream.otherwise(Answer::chat("again"));
    assert!(ask(&upstream, "{}").await.contains("again"));
    assert!(ask(&upstream, "{}").await.contains("again"));
}

#[tokio::test]
async fn requests_are_kept() {
    let upstream = ScriptedUpstream::start().await;
    ask(&upstream, r#"{"model":"m"}"#).await;
    let seen = upstream.wait_for(1).await;
    assert_eq!(seen[0].json()["model"], "m");
    assert_eq!(seen[0].header("authorization"), "Bearer k");
    assert_eq!(seen[0].uri.path(), "/v1/chat/completions");
}

#[tokio::test]
async fn a_stream_ends_with_done_unless_it_is_cut() {
    let upstream = ScriptedUpstream::start().await;
    upstream
        .then(Answer::chat_stream(&["Hel", "lo"]))
        .then(Answer::chat_stream(&["Hel", "lo"]).cut_after(2));
    let whole = ask(&upstream, "{}").await;
    assert!(
        whole.contains("data: [DONE]") && whole.ends_with("0\r\n\r\n"),
        "{whole}"
    );
    let cut = ask(&upstream, "{}").await;
    assert!(
        cut.contains("Hel") && !cut.contains("\"lo\"") && !cut.ends_with("0\r\n\r\n"),
        "{cut}"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted() {
    let upstream = ScriptedUpstream::start().await;
    upstream
        .then(Answer::hang())
        .then(Answer::chat_stream(&["a"]).hang_after(1));
    for requests in [1, 2] {
        let socket = send(&upstream, "{}").await;
        upstream.wait_for(requests).await;
        drop(socket);
        upstream.wait_for_abandoned(requests).await;
    }
}
