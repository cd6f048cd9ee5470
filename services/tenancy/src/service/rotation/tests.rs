use causeway_errors::Code;
use causeway_outbox::OutboxStore as _;

use super::*;
use crate::service::tests::{World, context, reason, world};
use crate::store::{KeyStore as _, RotationStore as _};

fn everything<P>() -> Page<P> {
    Page {
        size: 100,
        after: None,
    }
}

impl World {
    async fn rotate(&self, caller: &causeway_context::Caller, ring: Ring) -> Result<Rotation, TenancyError> {
        let ctx = context("RotateKey", caller.clone());
        self.tenancy.rotate_key(&ctx, ring, false).await
    }
}

#[tokio::test]
async fn a_rotation_makes_a_version_that_seals_at_once() {
    let world = world();
    let owner = world.owner().await;
    world.put(&owner, "a", "v").await.expect("stored");
    let rotation = world.rotate(&owner, Ring::Data).await.expect("started");
    assert_eq!((rotation.from_version, rotation.to_version), (1, 2));
    let secret = world.put(&owner, "b", "v").await.expect("stored");
    assert_eq!(secret.key_version, 2);
    let ctx = context("ListKeys", owner.clone());
    let (keys, next) = world
        .tenancy
        .list_keys(&ctx, &everything())
        .await
        .expect("listed");
    let states: Vec<KeyState> = keys.iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::DecryptOnly, KeyState::Active]);
    assert_eq!(next, "");
    let facts = world.store.key_outbox().unsent(9).await.expect("read");
    assert_eq!(facts.len(), 1);
    assert_eq!(
        (facts[0].action.as_str(), facts[0].target_id.as_str()),
        ("key.rotation_started", "data/2")
    );
    assert_eq!(facts[0].actor_id, owner.id);
}

#[tokio::test]
async fn while_one_is_running_no_other_starts() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    let first = world.rotate(&owner, Ring::Data).await.expect("started");
    assert_eq!(first.from_version, 0, "there was no key");
    for ring in Ring::ALL {
        let second = world.rotate(&owner, ring).await;
        assert_eq!(reason(second), (Code::Aborted, "ROTATION_RUNNING".to_owned()));
    }
    world.rotate(&stranger, Ring::Data).await.expect("started");
    let keys = world
        .store
        .list_keys(first.workspace, &everything())
        .await
        .expect("read");
    assert_eq!(keys.len(), 1, "a refused one leaves no key");
}

#[tokio::test]
async fn nobody_sees_the_rotations_of_another_workspace() {
    let world = world();
    let (owner, stranger) = (world.owner().await, world.owner().await);
    let rotation = world.rotate(&owner, Ring::Data).await.expect("started");
    let own = context("GetRotation", owner.clone());
    let (found, unreadable) = world.tenancy.rotation(&own, rotation.id).await.expect("found");
    assert_eq!((found, unreadable), (rotation.clone(), Vec::new()));
    let foreign = context("GetRotation", stranger.clone());
    assert_eq!(
        reason(world.tenancy.rotation(&foreign, rotation.id).await),
        (Code::NotFound, "ROTATION_NOT_FOUND".to_owned())
    );
    let foreign = context("ListRotations", stranger.clone());
    let listed = world.tenancy.list_rotations(&foreign, &everything()).await;
    assert_eq!(listed.expect("listed").0, []);
    let foreign = context("ListKeys", stranger);
    let keys = world.tenancy.list_keys(&foreign, &everything()).await;
    assert_eq!(keys.expect("listed").0, []);
    let own = context("ListRotations", owner);
    let listed = world.tenancy.list_rotations(&own, &everything()).await;
    assert_eq!(listed.expect("listed").0, [rotation]);
}

#[tokio::test]
async fn a_shredded_ring_is_not_rotated() {
    let world = world();
    let owner = world.owner().await;
    world.put(&owner, "a", "v").await.expect("stored");
    let workspace = owner.workspace.expect("has one");
    let now = context("RotateKey", owner.clone()).now;
    world.store.destroy_keys(workspace, now).await.expect("destroyed");
    for ring in Ring::ALL {
        assert_eq!(
            reason(world.rotate(&owner, ring).await),
            (Code::DataLoss, "KEY_DESTROYED".to_owned())
        );
    }
    assert_eq!(reason(world.put(&owner, "b", "v").await).1, "KEY_DESTROYED");
    let running = world
        .store
        .claim_rotation(Uuid::now_v7(), BEGINNING)
        .await
        .expect("asked");
    assert_eq!(running, None);
}
