use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::peer::{Peer, dial};
use super::resolve::{Peers, follow};
use super::*;
use crate::listen::Listener;

const ORIGIN: &str = "http://llm.internal:7000";

fn origin() -> Uri {
    ORIGIN.parse().unwrap()
}

/// A server that answers with its own name, and with the authority that it was asked for.
async fn server(tasks: &mut JoinSet<()>, stop: &CancellationToken, name: &'static str) -> SocketAddr {
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.address();
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert("x-name", name.parse().unwrap());
        let authority = request.uri().authority().unwrap().as_str().parse().unwrap();
        response.headers_mut().insert("x-authority", authority);
        Ok(response)
    });
    tasks.spawn(listener.serve(service, stop.clone()));
    address
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

fn over(addresses: &[SocketAddr]) -> (Remote, watch::Sender<Peers>) {
    let (sender, peers) = watch::channel(Some(peers(addresses)));
    (Remote::over("llm.internal:7000".into(), peers), sender)
}

fn peers(addresses: &[SocketAddr]) -> Arc<[Arc<Peer>]> {
    let peers = addresses
        .iter()
        .map(|address| Arc::new(Peer::new(*address, &origin())));
    peers.collect()
}

async fn call(remote: &Remote) -> Result<Response<Body>, LinkError> {
    let request = Request::post("/a/B").body(Body::empty()).unwrap();
    remote.clone().oneshot(request).await
}

async fn name(remote: &Remote) -> String {
    let response = call(remote).await.unwrap();
    response.headers()["x-name"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn calls_go_round_over_all_addresses_under_the_name_of_the_service() {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let addresses = [
        server(&mut tasks, &stop, "one").await,
        server(&mut tasks, &stop, "two").await,
    ];
    let (remote, _peers) = over(&addresses);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..10 {
        *counts.entry(name(&remote).await).or_default() += 1;
    }
    assert_eq!(
        counts,
        HashMap::from([("one".to_owned(), 5), ("two".to_owned(), 5)])
    );
    assert_eq!(
        call(&remote).await.unwrap().headers()["x-authority"],
        "llm.internal:7000"
    );
}

#[tokio::test]
async fn an_address_at_which_nobody_listens_costs_no_call() {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let addresses = [
        nobody().await,
        server(&mut tasks, &stop, "alive").await,
        nobody().await,
    ];
    let (remote, _peers) = over(&addresses);
    for _ in 0..20 {
        assert_eq!(name(&remote).await, "alive");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_hands_its_calls_to_the_others() {
    let (mut tasks, stop, other) = (JoinSet::new(), CancellationToken::new(), CancellationToken::new());
    let addresses = [
        server(&mut tasks, &stop, "leaves").await,
        server(&mut tasks, &other, "stays").await,
    ];
    let (remote, _peers) = over(&addresses);
    for _ in 0..4 {
        name(&remote).await;
    }
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    for _ in 0..20 {
        assert_eq!(name(&remote).await, "stays");
    }
}

#[tokio::test]
async fn all_calls_that_wait_share_one_connection() {
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    let inner = server(&mut tasks, &stop, "one").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&connections);
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut onward = dial(inner).await.unwrap();
            tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok();
        }
    });
    let (remote, _peers) = over(&[address]);
    let names = join_all((0..50).map(|_| name(&remote))).await;
    assert!(names.iter().all(|name| name == "one"));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_service_that_fails_again_and_again_is_left_alone_for_a_moment() {
    let address = nobody().await;
    let (remote, _peers) = over(&[address]);
    for _ in 0..3 {
        assert!(matches!(call(&remote).await, Err(LinkError::Connect(_))));
    }
    assert!(matches!(call(&remote).await, Err(LinkError::Resting)));
    let stop = CancellationToken::new();
    let listener = Listener::bind(address).await.unwrap();
    let service = tower::service_fn(|_| async { Ok(Response::new(Body::empty())) });
    let mut tasks = JoinSet::new();
    tasks.spawn(listener.serve(service, stop));
    let started = Instant::now();
    while let Err(error) = call(&remote).await {
        assert!(matches!(error, LinkError::Resting), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10), "it is reached again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_without_an_address_is_an_error_in_time() {
    let (_sender, peers) = watch::channel(None);
    let remote = Remote::over("nowhere".into(), peers);
    let started = Instant::now();
    assert!(matches!(call(&remote).await, Err(LinkError::Unresolved(_))));
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test]
async fn sockets_do_not_wait_to_fill_a_packet() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(
        dial(listener.local_addr().unwrap())
            .await
            .unwrap()
            .nodelay()
            .unwrap()
    );
}

/// The answers of a name service, one after the other; the last one again and again.
async fn followed(script: Vec<io::Result<Vec<SocketAddr>>>) -> (watch::Receiver<Peers>, JoinSet<()>) {
    let (sender, peers) = watch::channel(None);
    let script = Arc::new(Mutex::new(script.into_iter()));
    let lookup = move || {
        let next = script.lock().unwrap().next();
        async move { next.unwrap_or_else(|| Err(io::Error::other("the script is over"))) }
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(origin(), lookup, sender));
    (peers, tasks)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 7000))
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_a_name_are_followed() {
    let (mut peers, _tasks) = followed(vec![
        Err(io::Error::other("not yet")),
        Ok(vec![]),
        Ok(vec![address(1), address(2)]),
        Ok(vec![address(2), address(1)]),
        Ok(vec![address(2), address(3), address(3)]),
    ])
    .await;
    let started = Instant::now();
    let first = peers.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!((first.len(), started.elapsed()), (2, Duration::from_millis(500)));
    peers.changed().await.unwrap();
    assert_eq!(
        started.elapsed(),
        Duration::from_millis(10_500),
        "the same addresses are no change"
    );
    let second = peers.borrow_and_update().clone().unwrap();
    assert_eq!(second.len(), 2);
    let kept = second
        .iter()
        .filter(|peer| first.iter().any(|old| Arc::ptr_eq(old, peer)));
    assert_eq!(kept.count(), 1, "who stays keeps its connection");
    let more = tokio::time::timeout(Duration::from_secs(60), peers.changed()).await;
    assert!(more.is_err(), "a name service that is away changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_resolver_ends_when_nobody_calls_any_more() {
    let (peers, mut tasks) = followed(vec![Ok(vec![address(1)])]).await;
    drop(peers);
    tasks.join_next().await.unwrap().unwrap();
}
