//! Rotations, fences, and what is sealed anew.

use std::time::Duration;

use causeway_context::WorkspaceId;
use uuid::Uuid;

use super::{Fixture, all, envelope, fact, key, name, refusal, secret, time};
use crate::domain::{
    Counted, KeyChange, KeyState, Lease, Requester, Ring, Rotation, RotationStep, Secret, StoredKey,
    UnreadableRow,
};
use crate::page::Page;
use crate::refusal::Refusal;
use crate::store::{Advance, Resealed, StoreError};

const LONG: Duration = Duration::from_secs(600);

fn rotation(workspace: WorkspaceId, from_version: u32, seconds: i64) -> Rotation {
    Rotation {
        workspace,
        id: Uuid::now_v7(),
        ring: Ring::Data,
        from_version,
        to_version: from_version + 1,
        keep_previous: false,
        step: RotationStep::Beginning,
        holder: 0,
        cursor: String::new(),
        total: 0,
        done: 0,
        remaining: 0,
        unreadable: 0,
        proof: Vec::new(),
        destroyed: Vec::new(),
        requester: Requester {
            kind: "user".to_owned(),
            id: "u".to_owned(),
            request: "r".to_owned(),
        },
        started_at: time(seconds),
        updated_at: time(seconds),
        finished_at: None,
    }
}

fn pending(rotation: &Rotation) -> StoredKey {
    StoredKey {
        state: KeyState::Pending,
        ..key(rotation.workspace, rotation.to_version)
    }
}

impl Fixture {
    async fn begin(&self, rotation: &Rotation, lease: &Lease) -> Result<(), StoreError> {
        let fact = fact(rotation.workspace, "key.rotation_started");
        self.store
            .begin_rotation(rotation, &pending(rotation), lease, fact)
            .await
    }

    async fn begun(&self, workspace: WorkspaceId) -> (Rotation, Lease) {
        let (rotation, lease) = (rotation(workspace, 1, 0), Lease::new(workspace, LONG));
        self.begin(&rotation, &lease).await.expect("begun");
        (rotation, lease)
    }

    async fn step(&self, rotation: &Rotation, lease: &Lease, keys: KeyChange) {
        let advance = Advance {
            keys,
            ..Advance::to(rotation)
        };
        self.store.advance_rotation(lease, advance).await.expect("kept");
    }

    async fn states(&self, workspace: WorkspaceId) -> Vec<KeyState> {
        self.keys(workspace).await.iter().map(|key| key.state).collect()
    }
}

pub(crate) async fn one_rotation_at_a_time(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let (mut rotation, lease) = fixture.begun(workspace.id).await;
    assert_eq!(
        fixture.states(workspace.id).await,
        [KeyState::Active, KeyState::Pending]
    );
    assert_eq!(fixture.store.count_rotations().await.expect("counted"), 1);
    let other = self::rotation(workspace.id, 2, 1);
    let second = fixture.begin(&other, &Lease::new(workspace.id, LONG)).await;
    assert_eq!(refusal(second), Refusal::RotationRunning);
    fixture.step(&rotation, &lease, KeyChange::Activate).await;
    rotation.finish(RotationStep::Succeeded, time(3));
    fixture.step(&rotation, &lease, KeyChange::Keep).await;
    assert_eq!(fixture.store.count_rotations().await.expect("counted"), 0);
    let stale = self::rotation(workspace.id, 1, 1);
    let refused = fixture.begin(&stale, &Lease::new(workspace.id, LONG)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict)),
        "another version seals by now: {refused:?}"
    );
    fixture
        .begin(&other, &Lease::new(workspace.id, LONG))
        .await
        .expect("begun");
    let nowhere = self::rotation(WorkspaceId::generate(), 0, 0);
    let refused = fixture
        .begin(&nowhere, &Lease::new(nowhere.workspace, LONG))
        .await;
    assert!(matches!(refused, Err(StoreError::NoParent)), "{refused:?}");
    let facts = fixture.key_outbox.unsent(10).await.expect("read");
    assert_eq!(facts.len(), 2, "refused ones leave none");
}

/// ROT-01.
pub(crate) async fn versions_go_through_their_states_in_order(fixture: &Fixture) {
    let ((workspace, _), (other, _)) = (fixture.tenant().await, fixture.tenant().await);
    let (mut rotation, lease) = fixture.begun(workspace.id).await;
    use KeyState::{Active, DecryptOnly, Destroyed, Retiring};
    for (change, states) in [
        (KeyChange::Activate, [DecryptOnly, Active]),
        (KeyChange::Activate, [DecryptOnly, Active]),
        (KeyChange::Destroy, [DecryptOnly, Active]),
        (KeyChange::Retire, [Retiring, Active]),
        (KeyChange::Keep, [Retiring, Active]),
    ] {
        fixture.step(&rotation, &lease, change).await;
        assert_eq!(fixture.states(workspace.id).await, states, "{change:?}");
    }
    rotation.proof = vec![Counted {
        table: "tenancy.secrets".to_owned(),
        rows: 3,
        below: 0,
        at: time(7),
    }];
    rotation.destroyed = vec![1];
    rotation.updated_at = time(8);
    rotation.finish(RotationStep::Succeeded, time(8));
    fixture.step(&rotation, &lease, KeyChange::Destroy).await;
    let keys = fixture.keys(workspace.id).await;
    assert_eq!(fixture.states(workspace.id).await, [Destroyed, Active]);
    assert_eq!((&keys[0].wrapped, keys[0].destroyed_at), (&None, Some(time(8))));
    let found = fixture.store.find_rotation(workspace.id, rotation.id).await;
    assert_eq!(found.expect("read"), Some(rotation));
    assert_eq!(fixture.states(other.id).await, [Active]);
}

/// ROT-07.
pub(crate) async fn a_lease_is_for_one_and_ends(fixture: &Fixture) {
    let ((workspace, _), store) = (fixture.tenant().await, &fixture.store);
    let (mut rotation, first) = fixture.begun(workspace.id).await;
    let (second, third) = (Uuid::now_v7(), Uuid::now_v7());
    let none = store.claim_rotation(second, LONG).await.expect("asked");
    assert_eq!(none, None, "somebody works on it");
    store
        .release_rotation(&first, Duration::ZERO)
        .await
        .expect("released");
    let taken = store.claim_rotation(second, LONG).await.expect("asked");
    assert_eq!(taken.as_ref(), Some(&rotation));
    assert_eq!(store.claim_rotation(third, LONG).await.expect("asked"), None);
    rotation.done = 9;
    let late = store.advance_rotation(&first, Advance::to(&rotation)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)), "{late:?}");
    // Who has it no more gives nothing back.
    store
        .release_rotation(&first, Duration::ZERO)
        .await
        .expect("nothing");
    assert_eq!(store.claim_rotation(third, LONG).await.expect("asked"), None);
    let found = store
        .find_rotation(workspace.id, rotation.id)
        .await
        .expect("read");
    assert_eq!(found, taken, "nothing of the late step is kept");
    let second = Lease {
        token: second,
        ..first
    };
    rotation.finish(RotationStep::Incomplete, time(1));
    fixture.step(&rotation, &second, KeyChange::Keep).await;
    assert_eq!(store.claim_rotation(third, LONG).await.expect("asked"), None);
    let late = store.advance_rotation(&second, Advance::to(&rotation)).await;
    assert!(
        matches!(late, Err(StoreError::LeaseLost)),
        "it has ended: {late:?}"
    );
}

fn unreadable(row: &str) -> UnreadableRow {
    UnreadableRow {
        table: "tenancy.secrets".to_owned(),
        row: row.to_owned(),
        reason: "DECRYPTION_FAILED".to_owned(),
    }
}

/// ROT-03.
pub(crate) async fn unreadable_rows_are_listed_once(fixture: &Fixture) {
    let ((workspace, _), store) = (fixture.tenant().await, &fixture.store);
    let (rotation, lease) = fixture.begun(workspace.id).await;
    let rows = ["b", "a"].map(unreadable);
    for afresh in [false, false, true] {
        let advance = Advance {
            unreadable: &rows,
            afresh,
            ..Advance::to(&rotation)
        };
        store.advance_rotation(&lease, advance).await.expect("kept");
        let listed = store.list_unreadable(workspace.id, rotation.id, 9).await;
        assert_eq!(listed.expect("read"), ["a", "b"].map(unreadable));
    }
    let first = store.list_unreadable(workspace.id, rotation.id, 1).await;
    assert_eq!(first.expect("read"), [unreadable("a")]);
    let advance = Advance {
        afresh: true,
        ..Advance::to(&rotation)
    };
    store.advance_rotation(&lease, advance).await.expect("kept");
    let listed = store.list_unreadable(workspace.id, rotation.id, 9).await;
    assert_eq!(listed.expect("read"), []);
}

pub(crate) async fn rotations_come_newest_first(fixture: &Fixture) {
    let ((workspace, _), store) = (fixture.tenant().await, &fixture.store);
    let mut ids = Vec::new();
    for version in 1..=3 {
        let (mut rotation, lease) = (
            rotation(workspace.id, version, i64::from(version)),
            Lease::new(workspace.id, LONG),
        );
        fixture.begin(&rotation, &lease).await.expect("begun");
        fixture.step(&rotation, &lease, KeyChange::Activate).await;
        rotation.finish(RotationStep::Succeeded, time(9));
        fixture.step(&rotation, &lease, KeyChange::Keep).await;
        ids.insert(0, rotation.id);
    }
    let mut found: Vec<Rotation> = Vec::new();
    while let page = store
        .list_rotations(
            workspace.id,
            &Page {
                size: 2,
                after: found.last().map(Rotation::place),
            },
        )
        .await
        .expect("read")
        && !page.is_empty()
    {
        found.extend(page);
    }
    let found: Vec<Uuid> = found.iter().map(|rotation| rotation.id).collect();
    assert_eq!(found, ids);
}

pub(crate) async fn other_tenants_see_no_rotation(fixture: &Fixture) {
    let ((ours, _), (theirs, _)) = (fixture.tenant().await, fixture.tenant().await);
    let store = &fixture.store;
    let (rotation, lease) = fixture.begun(ours.id).await;
    let rows = [unreadable("a")];
    let advance = Advance {
        unreadable: &rows,
        ..Advance::to(&rotation)
    };
    store.advance_rotation(&lease, advance).await.expect("kept");
    assert_eq!(
        store.find_rotation(theirs.id, rotation.id).await.expect("read"),
        None
    );
    assert_eq!(store.list_rotations(theirs.id, &all()).await.expect("read"), []);
    let listed = store.list_unreadable(theirs.id, rotation.id, 9).await;
    assert_eq!(listed.expect("read"), []);
    store.raise_fence(theirs.id, 9).await.expect("raised");
    fixture.stored(ours.id, "a").await;
}

/// ROT-05.
pub(crate) async fn below_the_fence_nothing_is_written(fixture: &Fixture) {
    let ((workspace, _), store) = (fixture.tenant().await, &fixture.store);
    let old = fixture.stored(workspace.id, "old").await;
    store.raise_fence(workspace.id, 2).await.expect("raised");
    store.raise_fence(workspace.id, 1).await.expect("stays up");
    let late = secret(workspace.id, "late");
    let refused = store.insert_secret(&late, fact(workspace.id, "never")).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let next = |key_version| Secret {
        version: 2,
        key_version,
        sealed: envelope(9),
        ..old.clone()
    };
    let refused = store.replace_secret(&next(1), fact(workspace.id, "never")).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    let resealed = Resealed {
        name: old.name.clone(),
        before: old.sealed.clone(),
        sealed: envelope(7),
        key_version: 1,
    };
    let refused = store.reseal_secrets(workspace.id, &[resealed]).await;
    assert!(matches!(refused, Err(StoreError::Fenced)), "{refused:?}");
    assert_eq!(
        fixture.actions().await,
        ["workspace.created", "secret.written"],
        "nothing refused left a fact"
    );
    let counted = store.count_secrets_below(workspace.id, 2).await;
    assert_eq!(counted.expect("counted"), (1, 1));
    store
        .replace_secret(&next(2), fact(workspace.id, "secret.written"))
        .await
        .expect("at the fence");
    let counted = store.count_secrets_below(workspace.id, 2).await;
    assert_eq!(counted.expect("counted"), (1, 0));
    // What is there may go, whatever it lies under.
    let gone = store
        .delete_secret(workspace.id, &name("old"), fact(workspace.id, "secret.deleted"))
        .await;
    assert!(gone.expect("deleted"));
}

/// ROT-02.
pub(crate) async fn only_what_is_still_the_same_is_sealed_anew(fixture: &Fixture) {
    let ((workspace, _), (other, _)) = (fixture.tenant().await, fixture.tenant().await);
    let store = &fixture.store;
    let mut secrets = Vec::new();
    for text in ["a", "b", "c"] {
        secrets.push(fixture.stored(workspace.id, text).await);
    }
    let foreign = fixture.stored(other.id, "a").await;
    let page = Page { size: 2, after: None };
    let below = store.list_secrets_below(workspace.id, 2, &page).await;
    assert_eq!(below.expect("read"), secrets[..2]);
    let rest = Page {
        size: 2,
        after: Some(name("b")),
    };
    let below = store.list_secrets_below(workspace.id, 2, &rest).await;
    assert_eq!(below.expect("read"), secrets[2..]);
    // A user writes one of them meanwhile, and deletes another.
    let written = Secret {
        version: 2,
        sealed: envelope(8),
        ..secrets[1].clone()
    };
    store
        .replace_secret(&written, fact(workspace.id, "w"))
        .await
        .expect("written");
    store
        .delete_secret(workspace.id, &name("c"), fact(workspace.id, "d"))
        .await
        .expect("deleted");
    let resealed: Vec<Resealed> = secrets
        .iter()
        .map(|secret| Resealed {
            name: secret.name.clone(),
            before: secret.sealed.clone(),
            sealed: envelope(5),
            key_version: 2,
        })
        .collect();
    let replaced = store.reseal_secrets(workspace.id, &resealed).await;
    assert_eq!(replaced.expect("written"), 1);
    let found = |workspace, text| async move {
        let found = store.find_secret(workspace, &name(text)).await;
        found.expect("read")
    };
    let anew = Secret {
        sealed: envelope(5),
        key_version: 2,
        ..secrets[0].clone()
    };
    assert_eq!(
        found(workspace.id, "a").await,
        Some(anew),
        "the rest is as it was"
    );
    assert_eq!(found(workspace.id, "b").await, Some(written), "the user wins");
    assert_eq!(found(workspace.id, "c").await, None);
    assert_eq!(found(other.id, "a").await, Some(foreign));
    let again = store.reseal_secrets(workspace.id, &resealed).await;
    assert_eq!(again.expect("nothing"), 0);
    assert_eq!(store.reseal_secrets(workspace.id, &[]).await.expect("nothing"), 0);
}
