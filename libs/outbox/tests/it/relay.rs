//! The relay over a store in memory, with a clock that the tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use causeway_outbox::{MemoryOutbox, OutboxError, OutboxEvent, OutboxStore, RelayHandle};
use tokio::time::Instant;
use uuid::Uuid;

use crate::fixture::{Does, FakeLog, Running, fact, is_empty, targets};

/// Adds so many facts, and answers the last one's id.
fn push(outbox: &MemoryOutbox, numbers: std::ops::Range<usize>) -> Uuid {
    let mut last = Uuid::nil();
    for number in numbers {
        let fact = fact(&number.to_string());
        last = fact.id;
        outbox.push(fact);
    }
    last
}

#[tokio::test(start_paused = true)]
async fn facts_arrive_in_their_order_and_leave_the_outbox() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    let last = push(&outbox, 0..1200);
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    assert!(relay.handle.delivered(last).await);
    assert_eq!(log.state().entries, targets(0..1200));
    assert_eq!(log.state().batches, [500, 500, 200]);
    is_empty(&outbox).await;
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_nobody_asks_for_is_found() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    let _relay = Running::start(Arc::new(outbox.clone()), &log);
    tokio::time::sleep(Duration::from_secs(10)).await;
    push(&outbox, 0..1);
    log.has(&targets(0..1)).await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_at_once_or_after_a_moment() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    let here = push(&outbox, 0..1);
    let started = Instant::now();
    let both = tokio::join!(relay.handle.delivered(here), relay.handle.delivered(here));
    assert_eq!(both, (true, true));
    assert!(relay.handle.delivered(here).await, "known already");
    assert_eq!(started.elapsed(), Duration::ZERO);

    log.is_away();
    let away = push(&outbox, 1..2);
    let started = Instant::now();
    assert!(!relay.handle.delivered(away).await);
    assert_eq!(started.elapsed(), Duration::from_millis(250));
    assert!(relay.handle.delivered(here).await, "what is there stays there");
    assert!(RelayHandle::detached().delivered(away).await);
}

#[tokio::test(start_paused = true)]
async fn a_handle_whose_relay_is_gone_says_not_yet() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    let handle = relay.handle.clone();
    relay.end().await;
    assert!(!handle.delivered(push(&outbox, 0..1)).await);
}

#[tokio::test(start_paused = true)]
async fn facts_wait_for_a_log_that_is_away() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    log.is_away();
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    push(&outbox, 0..3);
    log.has_been_sent(1).await;
    let before = log.state().batches.len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let attempts = log.state().batches.len() - before;
    assert!(
        (29..40).contains(&attempts),
        "it backs off: {attempts} attempts in a minute"
    );
    let late = push(&outbox, 3..5);
    log.takes_everything();
    log.has(&targets(0..5)).await;
    assert!(relay.handle.delivered(late).await);
    is_empty(&outbox).await;
}

/// A store that cannot mark, so many times.
struct Forgetful(MemoryOutbox, AtomicUsize);

#[async_trait]
impl OutboxStore for Forgetful {
    async fn unsent(&self, limit: usize) -> Result<Vec<OutboxEvent>, OutboxError> {
        self.0.unsent(limit).await
    }

    async fn mark_sent(&self, ids: &[Uuid]) -> Result<(), OutboxError> {
        let left = self
            .1
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(OutboxError("the store is away".into())),
            Err(_) => self.0.mark_sent(ids).await,
        }
    }

    async fn park(&self, id: Uuid, because: &str) -> Result<(), OutboxError> {
        self.0.park(id, because).await
    }

    async fn keeps(&self, id: Uuid) -> Result<bool, OutboxError> {
        self.0.keeps(id).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_the_relay_of_another_process_sent_is_delivered() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    log.is_away();
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    let id = push(&outbox, 0..1);
    assert!(!relay.handle.delivered(id).await);
    outbox.mark_sent(&[id]).await.unwrap();
    assert!(relay.handle.delivered(id).await);
    let refused = push(&outbox, 1..2);
    outbox.park(refused, "refused").await.unwrap();
    assert!(!relay.handle.delivered(refused).await, "set aside is not sent");
}

#[tokio::test(start_paused = true)]
async fn facts_that_cannot_be_marked_are_sent_again_and_are_in_the_log_once() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    let last = push(&outbox, 0..3);
    let relay = Running::start(Arc::new(Forgetful(outbox.clone(), AtomicUsize::new(4))), &log);
    assert!(
        relay.handle.delivered(last).await,
        "the log has it, that is what counts"
    );
    is_empty(&outbox).await;
    assert_eq!(log.state().entries, targets(0..3));
    assert_eq!(log.state().batches, [3; 5]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_end_is_still_sent() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    let first = push(&outbox, 0..1);
    assert!(relay.handle.delivered(first).await);
    push(&outbox, 1..1500);
    relay.end().await;
    assert_eq!(log.state().entries, targets(0..1500));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_does_not_hold_the_end_up() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    log.on_batch(|_| Does::Hang);
    push(&outbox, 0..3);
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    log.has_been_sent(1).await;
    let started = Instant::now();
    relay.end().await;
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    assert_eq!(
        outbox.unsent(10).await.expect("facts").len(),
        3,
        "nothing is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_does_not_hold_the_end_up() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    log.is_away();
    push(&outbox, 0..3);
    let relay = Running::start(Arc::new(outbox.clone()), &log);
    log.has_been_sent(10).await;
    let started = Instant::now();
    relay.end().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_slow_gets_smaller_batches() {
    let (outbox, log) = (MemoryOutbox::default(), FakeLog::default());
    log.on_batch(|batch| match batch.len() {
        0..=100 => Does::Take,
        _ => Does::Hang,
    });
    push(&outbox, 0..500);
    let _relay = Running::start(Arc::new(outbox.clone()), &log);
    log.has(&targets(0..500)).await;
    is_empty(&outbox).await;
}
