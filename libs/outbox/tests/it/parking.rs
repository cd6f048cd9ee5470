//! A fact that the log refuses for good does not block those behind it: over both stores.

use std::sync::Arc;
use std::time::Duration;

use causeway_errors::{ApiError, Code};
use causeway_outbox::{MemoryOutbox, OutboxEvent, OutboxStore, PgOutbox};
use causeway_testkit::TestDb;

use crate::fixture::{Does, FakeLog, Running, fact, is_empty, targets};
use crate::postgres::{SCHEMA, insert};

/// A store, and how a test adds facts to it.
struct World {
    store: Arc<dyn OutboxStore>,
    memory: Option<MemoryOutbox>,
    test: Option<TestDb>,
    log: FakeLog,
}

impl World {
    fn in_memory() -> Self {
        let memory = MemoryOutbox::default();
        Self {
            store: Arc::new(memory.clone()),
            memory: Some(memory),
            test: None,
            log: FakeLog::default(),
        }
    }

    async fn in_postgres() -> Option<Self> {
        let test = TestDb::new(&[&SCHEMA]).await?;
        Some(Self {
            store: Arc::new(PgOutbox::new(test.service().await, SCHEMA.name)),
            memory: None,
            test: Some(test),
            log: FakeLog::default(),
        })
    }

    async fn push(&self, numbers: std::ops::Range<usize>) -> Vec<OutboxEvent> {
        let facts: Vec<OutboxEvent> = numbers.map(|number| fact(&number.to_string())).collect();
        if let Some(memory) = &self.memory {
            facts.iter().for_each(|fact| memory.push(fact.clone()));
        }
        if let Some(test) = &self.test {
            let database = test.service().await;
            for fact in &facts {
                insert(&database, fact).await;
            }
        }
        facts
    }

    /// Checks that these facts, and no others, are parked with that reason.
    async fn has_parked(&self, facts: &[&OutboxEvent], because: &str) {
        if let Some(memory) = &self.memory {
            let parked = memory.parked();
            assert_eq!(parked.iter().map(|(fact, _)| fact).collect::<Vec<_>>(), facts);
            assert!(
                parked.iter().all(|(_, reason)| reason.starts_with(because)),
                "{parked:?}"
            );
        }
        if let Some(test) = &self.test {
            let ids: Vec<String> = facts.iter().map(|fact| fact.id.to_string()).collect();
            let ids = ids.join(",");
            let parked =
                "SELECT coalesce(string_agg(id::text, ',' ORDER BY position), '') FROM facts.outbox WHERE";
            test.admin(&format!(
                "DO $$ BEGIN ASSERT ({parked} parked_at IS NOT NULL) = '{ids}'; \
                 ASSERT ({parked} parked_because LIKE '{because}%') = '{ids}'; END $$"
            ))
            .await;
        }
    }
}

/// One visible test per case and store.
macro_rules! over_both_stores {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(super::World::in_memory()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                let Some(world) = super::World::in_postgres().await else { return };
                super::$case(world).await;
            })+
        }
    };
}

over_both_stores!(
    a_refused_fact_is_parked_and_the_others_arrive_in_order,
    every_fact_of_a_batch_may_be_refused,
    a_batch_that_is_too_large_is_sent_in_parts,
    a_fact_at_which_the_log_fails_waits_while_nobody_is_behind_it,
    a_log_that_fails_at_everything_loses_nothing,
);

async fn a_refused_fact_is_parked_and_the_others_arrive_in_order(world: World) {
    let facts = world.push(0..20).await;
    world.log.refuses("7", || {
        ApiError::invalid("events[7].event.outcome", "must be a word")
    });
    let relay = Running::start(Arc::clone(&world.store), &world.log);
    world
        .log
        .has(&targets((0..20).filter(|number| *number != 7)))
        .await;
    is_empty(&*world.store).await;
    world
        .has_parked(&[&facts[7]], "INVALID_ARGUMENT: events[7].event.outcome")
        .await;
    assert!(!relay.handle.delivered(facts[7].id).await, "it is not in the log");
    let later = world.push(20..21).await;
    assert!(relay.handle.delivered(later[0].id).await);
}

async fn every_fact_of_a_batch_may_be_refused(world: World) {
    let facts = world.push(0..5).await;
    world
        .log
        .on_batch(|_| Does::Refuse(ApiError::invalid("events", "no")));
    let _relay = Running::start(Arc::clone(&world.store), &world.log);
    is_empty(&*world.store).await;
    world
        .has_parked(&facts.iter().collect::<Vec<_>>(), "INVALID_ARGUMENT")
        .await;
    world.log.takes_everything();
    world.push(5..6).await;
    world.log.has(&targets(5..6)).await;
}

async fn a_batch_that_is_too_large_is_sent_in_parts(world: World) {
    world.push(0..40).await;
    world.log.on_batch(|batch| match batch.len() {
        0..=3 => Does::Take,
        _ => Does::Refuse(ApiError::new(
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
            "too large",
        )),
    });
    let _relay = Running::start(Arc::clone(&world.store), &world.log);
    world.log.has(&targets(0..40)).await;
    is_empty(&*world.store).await;
    world.has_parked(&[], "").await;
}

async fn a_fact_at_which_the_log_fails_waits_while_nobody_is_behind_it(world: World) {
    let facts = world.push(0..1).await;
    world.log.on_batch(|batch| match batch {
        [first, ..] if first == "0" => Does::Panic,
        _ => Does::Take,
    });
    let _relay = Running::start(Arc::clone(&world.store), &world.log);
    world.log.has_been_sent(7).await;
    world.has_parked(&[], "").await;
    world.push(1..4).await;
    world.log.has(&targets(1..4)).await;
    is_empty(&*world.store).await;
    world.has_parked(&[&facts[0]], "INTERNAL").await;
}

async fn a_log_that_fails_at_everything_loses_nothing(world: World) {
    world.push(0..4).await;
    world.log.on_batch(|_| Does::Refuse(ApiError::internal()));
    let relay = Running::start(Arc::clone(&world.store), &world.log);
    world.log.has_been_sent(30).await;
    world.has_parked(&[], "").await;
    world.log.takes_everything();
    world.log.has(&targets(0..4)).await;
    tokio::time::timeout(Duration::from_secs(60), relay.end())
        .await
        .expect("in time");
    world.has_parked(&[], "").await;
}
