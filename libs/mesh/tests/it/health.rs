//! Health that means it.

use std::sync::Arc;
use std::time::Duration;

use causeway_mesh::{Guard, GuardOptions, Health, MeshChannel, Readiness, is_serving, near};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{PATIENCE, options};

struct World {
    channel: MeshChannel,
    health: Health,
    ready: watch::Sender<bool>,
}

/// A service whose store answers when the test says so.
fn world() -> World {
    let (reporter, server) = tonic_health::server::health_reporter();
    let ready = watch::Sender::new(false);
    let asked = ready.subscribe();
    let readiness: Readiness = Arc::new(move || {
        let serving = *asked.borrow();
        Box::pin(async move { serving })
    });
    // No call is allowed at all: health answers under any load, and without a token.
    let narrow = GuardOptions {
        max_in_flight: 0,
        ..options()
    };
    World {
        channel: near(Guard::new(Routes::new(server), narrow)),
        health: Health::new(reporter, vec![("llm", readiness)]),
        ready,
    }
}

async fn status(channel: &MeshChannel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(channel.clone())
        .check(request)
        .await
        .expect("an answer");
    answer.into_inner().status()
}

#[tokio::test]
async fn a_service_serves_while_its_store_answers() {
    let World {
        channel,
        health,
        ready,
    } = world();
    for (word, serving) in [
        (false, ServingStatus::NotServing),
        (true, ServingStatus::Serving),
        (false, ServingStatus::NotServing),
    ] {
        ready.send_replace(word);
        assert_eq!(health.check().await, word);
        assert_eq!(status(&channel, "causeway.llm.v1.LlmService").await, serving);
        assert_eq!(status(&channel, "").await, serving);
        assert_eq!(is_serving(channel.clone(), "llm").await, word);
    }
    assert!(!is_serving(channel, "audit").await, "another service is not here");
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_sees_each_change_and_is_let_go_at_the_end() {
    let World {
        channel,
        health,
        ready,
    } = world();
    health.check().await;
    let request = HealthCheckRequest {
        service: "causeway.llm.v1.LlmService".to_owned(),
    };
    let mut changes = HealthClient::new(channel.clone())
        .watch(request)
        .await
        .expect("a stream")
        .into_inner();
    let stop = CancellationToken::new();
    let watching = async {
        for expected in [ServingStatus::NotServing, ServingStatus::Serving] {
            assert_eq!(
                changes
                    .message()
                    .await
                    .expect("it lives")
                    .expect("a word")
                    .status(),
                expected
            );
            ready.send_replace(true);
        }
        stop.cancel();
        let last = changes.message().await.expect("it lives").expect("a last word");
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert!(changes.message().await.expect("it ends well").is_none());
    };
    tokio::time::timeout(PATIENCE, async {
        tokio::join!(health.run(stop.clone()), watching)
    })
    .await
    .expect("in time");
    assert_eq!(
        status(&channel, "causeway.llm.v1.LlmService").await,
        ServingStatus::NotServing
    );
    assert_eq!(status(&channel, "").await, ServingStatus::NotServing);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_not_ready_and_holds_nobody_up() {
    let (reporter, _server) = tonic_health::server::health_reporter();
    let hangs: Readiness = Arc::new(|| Box::pin(std::future::pending()));
    let health = Health::new(reporter, vec![("llm", Arc::clone(&hangs)), ("audit", hangs)]);
    let started = tokio::time::Instant::now();
    assert!(!health.check().await);
    assert!(
        started.elapsed() <= Duration::from_secs(2),
        "they are asked at the same time"
    );
    let stop = CancellationToken::new();
    let running = health.run(stop.clone());
    tokio::pin!(running);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), running.as_mut())
            .await
            .is_err()
    );
    stop.cancel();
    let stopped = tokio::time::Instant::now();
    running.await;
    assert_eq!(
        stopped.elapsed(),
        Duration::ZERO,
        "a question that is open does not delay the end"
    );
}
