//! A service is reached again after it was away, by whatever name.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_errors::Code;
use causeway_mesh::far;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Client, Fake, PATIENCE, Server, by_editor, client, error_of, guard, options, say};

/// Calls until it is answered.
async fn answered(client: &mut Client) {
    let answered = async {
        while let Err(status) = client.generate(by_editor(say("echo"))).await {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("it is reached again");
}

/// A socket of its own that is free now.
async fn free_address() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    listener.local_addr().expect("bound")
}

#[tokio::test]
async fn a_restarted_service_is_reached_again() {
    let fake = Fake::default();
    let server = Server::start(&fake).await;
    let (address, mut client) = (server.address, client(server.channel()));
    client.generate(by_editor(say("echo"))).await.expect("an answer");
    server.end().await;
    for _ in 0..5 {
        let error = error_of(client.generate(by_editor(say("echo"))).await);
        assert_eq!(
            (error.0, error.1.as_str()),
            (Code::Unavailable, "SERVICE_UNAVAILABLE")
        );
    }
    let _server = Server::at(address, guard(&fake, options())).await;
    answered(&mut client).await;
}

#[tokio::test]
async fn a_service_that_was_killed_is_reached_again_at_once() {
    let fake = Fake::default();
    let server = Server::start(&fake).await;
    let (address, mut client) = (server.address, client(server.channel()));
    client.generate(by_editor(say("echo"))).await.expect("an answer");
    server.task.abort();
    assert!(server.task.await.expect_err("killed").is_cancelled());
    let _server = Server::at(address, guard(&fake, options())).await;
    client
        .generate(by_editor(say("echo")))
        .await
        .expect("the closed connection is noticed before anything is sent");
}

#[tokio::test]
async fn a_service_that_starts_late_is_reached() {
    let (address, fake) = (free_address().await, Fake::default());
    let uri = format!("http://{address}").parse().expect("a URI");
    let mut client = client(far(uri, &CancellationToken::new()));
    assert_eq!(
        error_of(client.generate(by_editor(say("echo"))).await).0,
        Code::Unavailable
    );
    let _server = Server::at(address, guard(&fake, options())).await;
    answered(&mut client).await;
}

#[tokio::test]
async fn a_service_is_reached_by_name() {
    let server = Server::start(&Fake::default()).await;
    let uri = format!("http://localhost:{}", server.address.port())
        .parse()
        .expect("a URI");
    let mut client = client(far(uri, &server.stop));
    for _ in 0..10 {
        // Also where localhost has a second address, at which nobody listens.
        client.generate(by_editor(say("echo"))).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_service_is_reached_at_an_ipv6_address() {
    let local = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    if tokio::net::TcpListener::bind(local).await.is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let server = Server::at(local, guard(&Fake::default(), options())).await;
    let mut client = client(server.channel());
    client.generate(by_editor(say("echo"))).await.expect("an answer");
}
