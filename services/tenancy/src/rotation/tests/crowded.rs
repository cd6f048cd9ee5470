//! Rotations among writers, readers, other workers and erasures.

use tokio::task::JoinSet;

use super::*;
use crate::domain::KeyPlace;

/// ROT-05.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_writer_writes_nothing_under_a_destroyed_version_and_loses_nothing() {
    for stage in Stage::both().await {
        let (writer, other) = (stage.process(), stage.process());
        stage.fill(&other, 3).await;
        writer.gate.closed.store(true, Ordering::SeqCst);
        let late = stage.put(&writer, "late", "the value");
        let rotate = async {
            // It has read which version is active, and not yet what it seals with.
            writer.gate.somebody_waits().await;
            stage.start(&other, false).await;
            let rotation = stage.finish(&other).await;
            assert_eq!(rotation.destroyed, [1]);
            writer.gate.open();
        };
        let (written, ()) = tokio::join!(late, rotate);
        assert_eq!(written.expect("stored").key_version, 2);
        assert_eq!(stage.reveal(&other, "late").await.expect("revealed"), "the value");
        let below = stage.store.count_secrets_below(stage.workspace(), 2).await;
        assert_eq!(below.expect("counted"), (4, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_for_its_key_during_a_whole_rotation_gets_the_value() {
    for stage in Stage::both().await {
        let (reader, other) = (stage.process(), stage.process());
        stage.fill(&other, 3).await;
        reader.gate.closed.store(true, Ordering::SeqCst);
        let late = stage.reveal(&reader, "s0001");
        let rotate = async {
            reader.gate.somebody_waits().await;
            stage.start(&other, false).await;
            stage.finish(&other).await;
            reader.gate.open();
        };
        let (revealed, ()) = tokio::join!(late, rotate);
        assert_eq!(revealed.expect("revealed"), "value of s0001");
        assert_eq!(stage.stored("s0001").await.key_version, 2);
    }
}

/// Between its row and the question for its key the whole rotation happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_read_before_its_key_was_destroyed_is_read_again() {
    use secrecy::ExposeSecret as _;
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 3).await;
        let stale = stage.stored("s0001").await;
        stage.start(&process, false).await;
        assert_eq!(stage.finish(&process).await.destroyed, [1]);
        let ctx = context("RevealSecret", stage.owner.clone());
        let disclosed = process.tenancy.disclose(&ctx, stale.clone()).await;
        let (row, value) = disclosed.expect("shown");
        assert_eq!((row.key_version, value.expose_secret()), (2, "value of s0001"));

        let gone = stage.stored("s0002").await;
        let ctx = context("DeleteSecret", stage.owner.clone());
        let deleted = process.tenancy.delete_secret(&ctx, &gone.name).await;
        deleted.expect("deleted");
        let ctx = context("RevealSecret", stage.owner.clone());
        let stale_and_gone = Secret {
            sealed: stale.sealed,
            key_version: 1,
            ..gone
        };
        let refused = process.tenancy.disclose(&ctx, stale_and_gone).await;
        assert!(matches!(refused, Err(TenancyError::SecretNotFound)));
        // A row that stays as it is has lost its key for good.
        let destroyed = stage.store.destroy_keys(stage.workspace(), row.updated_at).await;
        assert_eq!(destroyed.expect("destroyed"), 1);
        let refused = process.tenancy.disclose(&ctx, row).await;
        assert!(matches!(refused, Err(TenancyError::KeyDestroyed(2))));
    }
}

async fn keep_writing(
    stage: Arc<Stage>,
    process: Arc<Process>,
    own: String,
    stop: CancellationToken,
) -> usize {
    let mut written = 0;
    while !stop.is_cancelled() {
        written += 1;
        let content = format!("{own} {written}");
        stage.put(&process, &own, &content).await.expect("stored");
        let revealed = stage.reveal(&process, &own).await;
        assert_eq!(revealed.expect("revealed"), content);
        // In memory nothing ever waits.
        tokio::task::yield_now().await;
    }
    written
}

/// ROT-02: a row that somebody writes while it is sealed anew is left to that writer.
#[tokio::test(flavor = "multi_thread")]
async fn writers_under_load_lose_nothing() {
    for stage in Stage::both().await {
        let worker = stage.process();
        let stage = Arc::new(stage);
        stage.fill(&worker, 300).await;
        let (stop, mut writers) = (CancellationToken::new(), JoinSet::new());
        for number in 0..4 {
            let (stage, process) = (Arc::clone(&stage), Arc::new(stage.process()));
            let own = format!("own-{number}");
            writers.spawn(keep_writing(stage, process, own, stop.clone()));
        }
        for _ in 0..3 {
            stage.start(&worker, false).await;
            let rotation = stage.finish(&worker).await;
            assert_eq!(rotation.step, RotationStep::Succeeded, "{rotation:?}");
        }
        stop.cancel();
        for written in writers.join_all().await {
            assert!(written > 0);
        }
        let newest = stage.store.find_active_key(stage.workspace(), Ring::Data).await;
        let newest = newest.expect("read").expect("there").version;
        assert_eq!(newest, 4);
        let below = stage.store.count_secrets_below(stage.workspace(), newest).await;
        assert_eq!(below.expect("counted"), (304, 0));
        assert_eq!(
            stage.reveal(&worker, "s0299").await.expect("revealed"),
            "value of s0299"
        );
    }
}

/// ROT-07.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_works_on_a_workspace() {
    for stage in Stage::both().await {
        let (first, second) = (stage.process(), stage.process());
        stage.fill(&first, 2).await;
        stage.start(&first, false).await;
        let claimed = first.rotator.claim().await;
        assert!(claimed.is_some());
        assert!(second.rotator.claim().await.is_none());
    }
}

/// As a process does that stood still for longer than its lease: what it does late is kept nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_lease_was_taken_keeps_no_step_and_destroys_nothing() {
    for stage in Stage::both().await {
        let (slow, other) = (stage.process(), stage.process());
        let names = stage.fill(&slow, 300).await;
        stage.start(&slow, false).await;
        let (mut rotation, lost) = slow.rotator.claim().await.expect("a rotation");
        let ended = stage.store.release_rotation(&lost, Duration::ZERO).await;
        ended.expect("its time is over");
        let (mut taken, lease) = other.rotator.claim().await.expect("taken over");
        for step in [
            RotationStep::Reencrypting,
            RotationStep::Fencing,
            RotationStep::Verifying,
            RotationStep::Retiring,
        ] {
            rotation.enter(step);
            let late = slow.rotator.carry(&mut rotation, &lost).await;
            let lost = matches!(late, Err(RotationError::Store(StoreError::LeaseLost)));
            assert!(lost, "{step:?}: {late:?}");
            assert_eq!(stage.found(taken.id).await, taken, "{step:?}");
            assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly, "{step:?}");
        }
        let carried = other.rotator.carry(&mut taken, &lease).await;
        carried.expect("carried");
        assert_eq!(stage.found(taken.id).await.destroyed, [1]);
        for name in &names {
            stage.reveal(&other, name).await.expect("readable");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_a_shredded_workspace_ends() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 2).await;
        let started = stage.start(&process, false).await;
        let destroyed = stage
            .store
            .destroy_keys(stage.workspace(), started.started_at)
            .await;
        assert_eq!(destroyed.expect("destroyed"), 2);
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Incomplete);
        let place = KeyPlace {
            ring: Ring::Data,
            version: 2,
        };
        let all: Page<KeyPlace> = Page { size: 9, after: None };
        let keys = stage
            .store
            .list_keys(stage.workspace(), &all)
            .await
            .expect("read");
        assert!(keys.iter().any(|key| key.place() == place));
        assert!(keys.iter().all(|key| key.state == KeyState::Destroyed));
    }
}
