//! Rotations that were cut off, and go on (ROT-01).

use super::*;

/// A holder that fails at its n-th call, after having done what it was asked: as if the answer had been lost.
struct Faulty {
    own: Arc<dyn SealedData>,
    left: AtomicUsize,
}

impl Faulty {
    fn falls(&self) -> Result<(), HolderError> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(1) => Err(HolderError::local(StoreError::Unavailable("lost".into()))),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl SealedData for Faulty {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        let answer = self.own.reencrypt(request).await?;
        self.falls().map(|()| answer)
    }

    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
        self.own.raise_fence(request).await?;
        self.falls()
    }

    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        let answer = self.own.count_below(request).await?;
        self.falls().map(|()| answer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_rotation_fails_it_goes_on_from_there() {
    // It counts, seals three parts anew, raises the fence, looks for what slipped in, and counts.
    for falls_at in 1..=7 {
        let stage = Stage::memory().await;
        let first = stage.process_with(|own| {
            Arc::new(Faulty {
                own,
                left: AtomicUsize::new(falls_at),
            })
        });
        let names = stage.fill(&first, 600).await;
        let started = stage.start(&first, false).await;
        let (mut rotation, lease) = first.rotator.claim().await.expect("a rotation");
        let carried = first.rotator.carry(&mut rotation, &lease).await;
        assert!(carried.is_err(), "{falls_at}");
        for name in &names {
            stage.reveal(&first, name).await.expect("readable all the time");
        }
        stage
            .store
            .release_rotation(&lease, Duration::ZERO)
            .await
            .expect("released");
        let rotation = stage.finish(&stage.process()).await;
        assert_eq!(
            (rotation.id, rotation.step),
            (started.id, RotationStep::Succeeded),
            "{falls_at}"
        );
        assert_eq!((rotation.remaining, &rotation.destroyed), (0, &vec![1]));
        for name in &names {
            stage.reveal(&first, name).await.expect("readable afterwards");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_never_became_active_does_so_when_the_next_process_looks() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.fill(&process, 2).await;
        stage.abandon(&process, Ring::Data, 1).await;
        assert_eq!(stage.key(1).await.state, KeyState::Active);
        assert_eq!(stage.key(2).await.state, KeyState::Pending);
        let meanwhile = stage.put(&process, "meanwhile", "v").await.expect("stored");
        assert_eq!(meanwhile.key_version, 1);
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!(stage.key(2).await.state, KeyState::Active);
        assert_eq!(stage.reveal(&process, "meanwhile").await.expect("revealed"), "v");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_in_a_ring_whose_rows_lie_elsewhere_and_nothing_of_it_is_destroyed() {
    for stage in Stage::both().await {
        let process = stage.process();
        let item = |content: &[u8]| crate::service::Item {
            content: zeroize::Zeroizing::new(content.to_vec()),
            context: b"c".to_vec(),
        };
        let ctx = context("Encrypt", stage.owner.clone());
        let sealed = process.tenancy.encrypt(&ctx, &[item(b"content")]).await;
        let sealed = sealed.expect("sealed").remove(0);
        stage.abandon(&process, Ring::Transit, 1).await;
        let rotation = stage.finish(&process).await;
        assert_eq!(rotation.step, RotationStep::Succeeded);
        assert_eq!(rotation.destroyed, [0; 0]);
        assert_eq!(stage.key_of(Ring::Transit, 1).await.state, KeyState::DecryptOnly);
        assert_eq!(stage.key_of(Ring::Transit, 2).await.state, KeyState::Active);
        let ctx = context("Decrypt", stage.owner.clone());
        let opened = process.tenancy.decrypt(&ctx, &[item(&sealed.content)]).await;
        let opened = opened.expect("opened").remove(0);
        assert_eq!(
            (opened.content.as_slice(), opened.key_version),
            (&b"content"[..], 1)
        );
    }
}
