//! A flood of logins, and everybody else meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::mesh::Mesh;

/// Asks over and over; answers how long each took, in order.
async fn asked(client: &crate::http::Client, times: usize) -> Vec<Duration> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        client.get("/v1/tenant/status").await.json(200);
        took.push(started.elapsed());
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_does_not_stop_those_who_are_in() {
    let mesh = Mesh::start().await;
    let ada = mesh.account("ada").await;
    let quiet = asked(&ada.client, 300).await;
    let (stop, mut flood) = (CancellationToken::new(), tokio::task::JoinSet::new());
    for _ in 0..32 {
        let (client, stop) = (mesh.anonymous(), stop.clone());
        let body = json!({"email": ada.email, "password": ada.password});
        flood.spawn(async move {
            let (mut opened, mut refused) = (0_usize, 0_usize);
            while !stop.is_cancelled() {
                match client.post("/auth/login", body.clone()).await.status.as_u16() {
                    200 => opened += 1,
                    429 => refused += 1,
                    other => panic!("{other}"),
                }
            }
            (opened, refused)
        });
    }
    let started = Instant::now();
    let busy = asked(&ada.client, 300).await;
    let seconds = started.elapsed().as_secs_f64();
    stop.cancel();
    let ends = flood.join_all().await;
    let opened: usize = ends.iter().map(|(opened, _)| opened).sum();
    let refused: usize = ends.iter().map(|(_, refused)| refused).sum();
    let at = |took: &[Duration], percent: usize| took[took.len() * percent / 100];
    println!(
        "quiet p50 {:?} p99 {:?}; during a flood p50 {:?} p99 {:?}; logins {:.1}/s opened, {:.1}/s told to wait",
        at(&quiet, 50),
        at(&quiet, 99),
        at(&busy, 50),
        at(&busy, 99),
        opened as f64 / seconds,
        refused as f64 / seconds,
    );
    assert!(
        opened > 0 && refused > 0,
        "hashing is bounded, and what is too much is told so at once"
    );
    assert!(at(&busy, 99) < Duration::from_secs(2));
    mesh.end().await;
}
