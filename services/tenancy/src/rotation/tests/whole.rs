//! Rotations from their start to their end.

use causeway_contracts::common::v1::{SealedTable, Unreadable};
use causeway_crypto::key_version_of;

use super::*;

/// ROT-05, ROT-07: progress, the proof of zero left, and only then the end of the old version.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_seals_everything_anew_and_destroys_what_nothing_lies_under() {
    for stage in Stage::both().await {
        let process = stage.process();
        let names = stage.fill(&process, 600).await;
        let before = stage.stored("s0000").await;
        let started = stage.start(&process, false).await;
        assert_eq!(started.step, RotationStep::Reencrypting);
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!((rotation.total, rotation.done, rotation.remaining), (600, 600, 0));
        assert_eq!((rotation.unreadable, &rotation.destroyed), (0, &vec![1]));
        let proof: Vec<(&str, i64, i64)> = rotation
            .proof
            .iter()
            .map(|line| (line.table.as_str(), line.rows, line.below))
            .collect();
        assert_eq!(proof, [("tenancy.secrets", 600, 0)]);
        assert_eq!(
            (stage.key(1).await.state, stage.key(1).await.wrapped),
            (KeyState::Destroyed, None)
        );
        assert_eq!(stage.key(2).await.state, KeyState::Active);
        for name in &names {
            assert_eq!(
                stage.reveal(&process, name).await.expect("revealed"),
                format!("value of {name}")
            );
        }
        let after = stage.stored("s0000").await;
        assert_eq!(key_version_of(&after.sealed), Ok(2));
        let untouched = Secret {
            sealed: before.sealed.clone(),
            key_version: 1,
            ..after
        };
        assert_eq!(untouched, before, "nothing but the seal changed");
        let facts = stage.key_outbox.unsent(9).await.expect("read");
        let actions: Vec<&str> = facts.iter().map(|fact| fact.action.as_str()).collect();
        assert_eq!(actions, ["key.rotation_started", "key.rotated"]);
        assert_eq!(facts[1].details["destroyed_versions"], serde_json::json!([1]));
        assert_eq!(
            facts[1].details["requested_by"],
            serde_json::json!(stage.owner.id)
        );
        assert!(process.rotator.claim().await.is_none(), "nothing is left to do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_versions_can_be_kept() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 3).await;
        stage.start(&process, true).await;
        let rotation = stage.finish(&process).await;
        assert_eq!((rotation.step, rotation.remaining), (RotationStep::Succeeded, 0));
        assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
        stage.start(&process, false).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.destroyed, [1, 2]);
    }
}

/// ROT-03.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_open_stays_with_its_key_and_is_named() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 5).await;
        stage.damage("s0002").await;
        stage.start(&process, false).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Incomplete);
        assert_eq!(
            (rotation.done, rotation.remaining, rotation.unreadable),
            (4, 1, 1)
        );
        assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
        let listed = stage
            .store
            .list_unreadable(stage.workspace(), rotation.id, 9)
            .await;
        let row = UnreadableRow {
            table: "tenancy.secrets".to_owned(),
            row: "s0002".to_owned(),
            reason: "DECRYPTION_FAILED".to_owned(),
        };
        assert_eq!(listed.expect("read"), [row]);
        let facts = stage.key_outbox.unsent(9).await.expect("read");
        assert_eq!(facts[1].action, "key.rotation_incomplete");

        // Its owner writes it anew: then the next rotation takes the old version along.
        stage.put(&process, "s0002", "again").await.expect("stored");
        stage.start(&process, false).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!(rotation.destroyed, [1, 2]);
    }
}

/// A holder elsewhere: it has two tables, and one row that it cannot open.
struct Elsewhere {
    rows: AtomicUsize,
}

#[async_trait]
impl SealedData for Elsewhere {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        let left = self.rows.swap(0, Ordering::SeqCst);
        let last = request.cursor == "last";
        Ok(ReencryptResponse {
            resealed: i64::try_from(left).expect("few"),
            skipped: 0,
            unreadable: Vec::from_iter(last.then(|| Unreadable {
                table: "other.b".to_owned(),
                row: "7".to_owned(),
                reason: "DECRYPTION_FAILED".to_owned(),
            })),
            next_cursor: if last { "" } else { "last" }.to_owned(),
        })
    }

    async fn raise_fence(&self, _: RaiseFenceRequest) -> Result<(), HolderError> {
        Ok(())
    }

    async fn count_below(&self, _: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        let table = |table: &str, rows, below| SealedTable {
            table: table.to_owned(),
            rows,
            below,
        };
        let left = i64::try_from(self.rows.load(Ordering::SeqCst)).expect("few");
        Ok(CountBelowResponse {
            tables: vec![table("other.a", 0, 0), table("other.b", 5, left + 1)],
        })
    }
}

#[tokio::test]
async fn what_other_services_hold_counts_too() {
    let stage = Stage::memory().await;
    let mut process = stage.process();
    stage.fill(&process, 2).await;
    let elsewhere = Arc::new(Elsewhere {
        rows: AtomicUsize::new(4),
    });
    let own = Arc::clone(&process.rotator.holders[0]);
    process.rotator.holders = Arc::new([own, elsewhere]);
    stage.start(&process, false).await;
    let rotation = stage.finish(&process).await;
    assert_eq!(rotation.step, RotationStep::Incomplete);
    assert_eq!(
        (
            rotation.total,
            rotation.done,
            rotation.remaining,
            rotation.unreadable
        ),
        (7, 6, 1, 1)
    );
    let tables: Vec<&str> = rotation.proof.iter().map(|line| line.table.as_str()).collect();
    assert_eq!(tables, ["tenancy.secrets", "other.a", "other.b"]);
    assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
}

/// A holder that counts a row which it does not go through, until it is mended.
struct Forgetful {
    own: Arc<dyn SealedData>,
    forgets: Arc<AtomicBool>,
}

#[async_trait]
impl SealedData for Forgetful {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        self.own.reencrypt(request).await
    }

    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
        self.own.raise_fence(request).await
    }

    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        let mut counted = self.own.count_below(request).await?;
        counted.tables[0].below += i64::from(self.forgets.load(Ordering::SeqCst));
        Ok(counted)
    }
}

#[tokio::test]
async fn a_row_that_was_counted_and_not_gone_through_keeps_the_old_key_and_is_no_endless_work() {
    let (stage, forgets) = (Stage::memory().await, Arc::new(AtomicBool::new(true)));
    let process = stage.process_with(|own| {
        let forgets = Arc::clone(&forgets);
        Arc::new(Forgetful { own, forgets })
    });
    stage.fill(&process, 3).await;
    let started = stage.start(&process, false).await;
    let (mut rotation, lease) = process.rotator.claim().await.expect("a rotation");
    for _ in 0..2 {
        let carried = process.rotator.carry(&mut rotation, &lease).await;
        assert!(matches!(carried, Err(RotationError::LeftOver(1))), "{carried:?}");
        assert_eq!(stage.found(started.id).await.step, RotationStep::Verifying);
        assert_eq!(stage.key(1).await.state, KeyState::DecryptOnly);
    }
    forgets.store(false, Ordering::SeqCst);
    let carried = process.rotator.carry(&mut rotation, &lease).await;
    carried.expect("carried");
    assert_eq!(stage.found(started.id).await.destroyed, [1]);
}

#[tokio::test(start_paused = true)]
async fn the_background_work_finds_rotations_and_ends_when_told() {
    let stage = Stage::memory().await;
    let process = stage.process();
    let names = stage.fill(&process, 3).await;
    let started = stage.start(&process, false).await;
    let stop = CancellationToken::new();
    let ends = async {
        while stage.found(started.id).await.finished_at.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let run = process.rotator.run(stop.clone());
    tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(run, ends) })
        .await
        .expect("it ends");
    assert_eq!(names.len(), 3);
    assert_eq!(stage.found(started.id).await.step, RotationStep::Succeeded);
}
