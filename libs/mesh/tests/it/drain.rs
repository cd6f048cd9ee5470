//! The end of a process: what was accepted is answered, and nothing outlives the grace period.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_errors::Code;
use causeway_mesh::{Drain, DrainReport, Listener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Client, Fake, PATIENCE, Server, by_editor, client, error_of, guard, options, say};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// An HTTP/1.1 request that the guard answers: nothing is known of the caller.
const REQUEST: &[u8] =
    b"POST /causeway.llm.v1.LlmService/Generate HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

/// A client with one HTTP/1.1 connection.
struct Http1(TcpStream);

impl Http1 {
    async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self(TcpStream::connect(address).await?))
    }

    async fn send(&mut self) {
        self.0.write_all(REQUEST).await.expect("sent");
    }

    /// The headers of an answer in lower case; empty when the connection ended.
    async fn answer(&mut self) -> std::io::Result<String> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if self.0.read(&mut byte).await? == 0 {
                break;
            }
            text.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&text).to_lowercase())
    }

    async fn is_closed(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.0.read(&mut [0])).await;
        read.expect("in time").map_or(true, |read| read == 0)
    }
}

#[tokio::test]
async fn a_last_request_on_an_idle_connection_is_answered() {
    let server = Server::start(&Fake::default()).await;
    let mut idle = Http1::connect(server.address).await.expect("connected");
    idle.send().await;
    let answer = idle.answer().await.expect("an answer");
    assert!(
        answer.starts_with("http/1.1 200") && !answer.contains("connection: close"),
        "{answer}"
    );
    server.stop.cancel();
    tokio::task::yield_now().await;
    idle.send().await;
    let answer = idle.answer().await.expect("an answer");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(idle.is_closed().await);
    server.end().await;
}

#[tokio::test]
async fn connections_that_wait_to_be_accepted_are_answered() {
    let listener = Listener::bind(LOCAL).await.expect("a free port");
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut connection = Http1::connect(listener.address()).await.expect("connected");
        connection.send().await;
        waiting.push(connection);
    }
    let stop = CancellationToken::new();
    stop.cancel();
    let answered = async {
        for mut connection in waiting {
            let answer = connection.answer().await.expect("an answer");
            assert!(answer.contains("connection: close"), "{answer}");
        }
    };
    tokio::join!(listener.serve(guard(&Fake::default(), options()), stop), answered);
}

#[tokio::test]
async fn a_connection_that_says_nothing_does_not_hold_the_drain() {
    let server = Server::start(&Fake::default()).await;
    let mut silent = Http1::connect(server.address).await.expect("connected");
    let mut half = Http1::connect(server.address).await.expect("connected");
    half.0.write_all(b"PRI * HT").await.expect("sent");
    let started = Instant::now();
    server.end().await;
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert!(silent.is_closed().await && half.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_asks_is_closed() {
    let server = Server::start(&Fake::default()).await;
    let started = Instant::now();
    for first in [&b""[..], b"P", b"POST / HTTP/1.1\r\nhost"] {
        let mut slow = Http1::connect(server.address).await.expect("connected");
        slow.0.write_all(first).await.expect("sent");
        let mut answer = Vec::new();
        slow.0.read_to_end(&mut answer).await.ok();
    }
    assert!(
        started.elapsed() < Duration::from_secs(120),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_call_that_runs_ends_and_a_new_one_is_refused() {
    let fake = Fake::default();
    let server = Server::start(&fake).await;
    let mut client = client(server.channel());
    let mut running = JoinSet::new();
    let mut first = client.clone();
    running.spawn(async move { first.generate(by_editor(say("wait"))).await });
    fake.has_begun(1).await;
    server.stop.cancel();
    // The listener is closed before the first call ends.
    let refused = async {
        while client.generate(by_editor(say("echo"))).await.is_ok() {}
        error_of(client.generate(by_editor(say("echo"))).await)
    };
    let error = tokio::time::timeout(PATIENCE, refused).await.expect("in time");
    assert_eq!(
        (error.0, error.1.as_str()),
        (Code::Unavailable, "SERVICE_UNAVAILABLE")
    );
    fake.release(1);
    let answer = running.join_next().await.expect("one").expect("no panic");
    answer.expect("what was taken is answered");
    server.end().await;
}

/// Asks again and again until nobody listens; answers how many answers there were, and what was lost.
async fn http1_load(address: SocketAddr) -> (usize, Vec<String>) {
    let (mut answers, mut lost) = (0, Vec::new());
    while let Ok(mut connection) = Http1::connect(address).await {
        loop {
            connection.send().await;
            match connection.answer().await {
                Ok(answer) if answer.starts_with("http/1.1 200") => {
                    answers += 1;
                    if answer.contains("connection: close") {
                        break;
                    }
                }
                other => {
                    lost.push(format!("{other:?}"));
                    break;
                }
            }
        }
    }
    (answers, lost)
}

async fn http2_load(mut client: Client) -> (usize, Vec<String>) {
    let mut answers = 0;
    loop {
        match client.generate(by_editor(say("echo"))).await {
            Ok(_) => answers += 1,
            Err(status) if status.code() == Code::Unavailable => return (answers, Vec::new()),
            Err(status) => return (answers, vec![status.to_string()]),
        }
    }
}

#[tokio::test]
async fn under_load_no_request_is_lost() {
    let fake = Fake::default();
    let server = Server::start(&fake).await;
    let mut loads = JoinSet::new();
    for _ in 0..8 {
        loads.spawn(http1_load(server.address));
        loads.spawn(http2_load(client(server.channel())));
    }
    fake.has_begun(200).await;
    let answered_by_stop = fake.begun();
    server.end().await;
    let mut total = 0;
    while let Some(load) = loads.join_next().await {
        let (answers, lost) = load.expect("no panic");
        assert_eq!(lost, Vec::<String>::new());
        total += answers;
    }
    assert!(total >= answered_by_stop);
}

fn serve(drain: &Drain, listener: Listener, fake: &Fake) {
    drain.listener(listener.serve(guard(fake, options()), drain.requests.clone()));
}

#[tokio::test]
async fn a_request_that_hangs_does_not_outlive_the_grace_period() {
    let (fake, drain) = (Fake::default(), Drain::new(Duration::from_secs(1)));
    let listener = Listener::bind(LOCAL).await.expect("a free port");
    let uri = format!("http://{}", listener.address()).parse().expect("a URI");
    serve(&drain, listener, &fake);
    let mut client = client(causeway_mesh::far(uri, &drain.workers));
    let mut running = JoinSet::new();
    running.spawn(async move { client.generate(by_editor(say("hang"))).await });
    fake.has_begun(1).await;
    let started = Instant::now();
    let report = drain.end().await;
    assert_eq!(
        report,
        DrainReport {
            requests_ended: false,
            workers_ended: true
        }
    );
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    fake.has_alive(0).await;
    let answer = running.join_next().await.expect("one").expect("no panic");
    assert_eq!(error_of(answer).0, Code::Unavailable, "the caller learns of it");
}

#[tokio::test]
async fn workers_end_after_the_requests() {
    let (fake, drain) = (Fake::default(), Drain::new(Duration::from_secs(10)));
    let listener = Listener::bind(LOCAL).await.expect("a free port");
    let uri = format!("http://{}", listener.address()).parse().expect("a URI");
    serve(&drain, listener, &fake);
    let (told, worker_fake) = (drain.workers.clone(), fake.clone());
    drain.worker("worker", async move {
        told.cancelled().await;
        worker_fake.has_alive(0).await;
    });
    let (requests, workers) = (drain.requests.clone(), drain.workers.clone());
    let mut client = client(causeway_mesh::far(uri, &CancellationToken::new()));
    let mut running = JoinSet::new();
    running.spawn(async move { client.generate(by_editor(say("wait"))).await });
    fake.has_begun(1).await;
    let ending = async {
        requests.cancelled().await;
        tokio::task::yield_now().await;
        assert!(!workers.is_cancelled(), "a request still runs");
        fake.release(1);
    };
    let (report, ()) = tokio::join!(drain.end(), ending);
    assert!(report.requests_ended && report.workers_ended, "{report:?}");
    running
        .join_next()
        .await
        .expect("one")
        .expect("no panic")
        .expect("an answer");
}

#[tokio::test]
async fn a_worker_that_ends_or_panics_early_ends_the_process() {
    for panics in [false, true] {
        let drain = Drain::new(Duration::from_secs(1));
        drain.worker("worker", async move { assert!(!panics, "the worker panics") });
        tokio::time::timeout(PATIENCE, drain.requests.cancelled())
            .await
            .expect("the process is told to stop");
        assert!(drain.end().await.workers_ended);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_end_is_dropped() {
    let drain = Drain::new(Duration::from_secs(5));
    let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
    drain.worker("worker", async move {
        let _alive = alive;
        std::future::pending::<()>().await;
    });
    let started = Instant::now();
    assert!(!drain.end().await.workers_ended);
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert!(dropped.await.is_err(), "it is gone");
}
