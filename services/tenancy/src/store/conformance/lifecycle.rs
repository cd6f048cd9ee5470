//! Orders of erasures, and the ledger.

use causeway_holder::{Part, Tombstone};
use tokio::sync::mpsc;

use super::*;
use crate::domain::{Done, Erasure, ErasureState, NO_HASH};
use crate::store::WorkLease;

pub(super) fn erasure(workspace: WorkspaceId, subject: Option<UserId>, seconds: i64) -> Erasure {
    Erasure {
        id: Uuid::now_v7(),
        workspace,
        subject,
        state: ErasureState::Scheduled,
        requested_by: UserId::generate(),
        requested_at: time(seconds),
        scheduled_for: time(seconds),
        receipt: None,
    }
}

pub(super) fn lease(seconds: i64) -> WorkLease {
    WorkLease {
        token: Uuid::now_v7(),
        until: time(seconds),
    }
}

fn done() -> Done {
    Done {
        completed_at: time(100),
        effective_at: time(200),
        destroyed_keys: 2,
        counts: vec![],
        retained: vec![],
    }
}

impl Fixture {
    pub(super) async fn ordered(&self, erasure: &Erasure) -> Erasure {
        let fact = fact(erasure.workspace, "erasure.requested");
        self.store.order_erasure(erasure, fact).await.expect("ordered")
    }

    /// Another owner of the workspace, whom an erasure leaves.
    pub(super) async fn second_owner(&self, owner: &Member) -> UserId {
        let user = self.tenant().await.1.user;
        let joins = change(owner, user, MemberStep::Join(Role::Owner.into()));
        let added = fact(owner.workspace, "member.added");
        self.store.change_member(&joins, added).await.expect("joined");
        user
    }

    pub(super) async fn buried(&self, workspace: WorkspaceId, subject: Option<UserId>) -> Tombstone {
        let erasure = erasure(workspace, subject, 0);
        self.ordered(&erasure).await;
        self.store.bury(&erasure, time(1)).await.expect("buried")
    }

    pub(super) async fn lines(&self, workspace: WorkspaceId) -> Vec<Part> {
        let (sender, mut receiver) = mpsc::channel(100);
        self.store.send_rows(workspace, None, sender).await.expect("sent");
        let mut parts = Vec::new();
        while let Some(part) = receiver.recv().await {
            parts.push(part);
        }
        parts
    }
}

pub(crate) async fn an_erasure_is_ordered_once_at_a_time(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    let first = erasure(workspace.id, None, 0);
    assert_eq!(fixture.ordered(&first).await, first);
    let again = erasure(workspace.id, None, 1);
    assert_eq!(
        fixture.ordered(&again).await.id,
        first.id,
        "the open one is answered"
    );
    let person = erasure(workspace.id, Some(owner.user), 2);
    assert_eq!(
        fixture.ordered(&person).await.id,
        person.id,
        "a person's is another one"
    );
    let listed = fixture
        .store
        .list_erasures(workspace.id, &all())
        .await
        .expect("listed");
    let ids: Vec<Uuid> = listed.iter().map(|erasure| erasure.id).collect();
    assert_eq!(ids, [person.id, first.id], "newest first");
    let cancelled =
        fixture
            .store
            .cancel_erasure(workspace.id, first.id, fact(workspace.id, "erasure.cancelled"));
    let cancelled = cancelled.await.expect("cancelled").expect("found");
    assert_eq!(cancelled.state, ErasureState::Cancelled);
    let other = WorkspaceId::generate();
    let foreign = fixture
        .store
        .cancel_erasure(other, person.id, fact(other, "erasure.cancelled"));
    assert_eq!(foreign.await.expect("answered"), None);
    assert_eq!(
        fixture.ordered(&again).await.id,
        again.id,
        "the next one may come"
    );
}

pub(crate) async fn of_many_workers_one_has_an_erasure(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let due = erasure(workspace.id, None, 10);
    fixture.ordered(&due).await;
    let early = fixture
        .store
        .claim_erasure(time(9), lease(20))
        .await
        .expect("answered");
    assert_eq!(early, None);
    let (first, second) = (lease(20), lease(20));
    let (left, right) = tokio::join!(
        fixture.store.claim_erasure(time(10), first),
        fixture.store.claim_erasure(time(10), second)
    );
    let claimed: Vec<Erasure> = [left, right]
        .into_iter()
        .filter_map(|found| found.expect("answered"))
        .collect();
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].id, claimed[0].state), (due.id, ErasureState::Running));
    let late = fixture
        .store
        .cancel_erasure(workspace.id, due.id, fact(workspace.id, "erasure.cancelled"));
    assert_eq!(refusal(late.await), Refusal::ErasureBegun);
    let third = lease(40);
    let taken = fixture
        .store
        .claim_erasure(time(21), third)
        .await
        .expect("answered");
    assert_eq!(taken.map(|erasure| erasure.id), Some(due.id), "a lease ends");
    for lost in [first, second] {
        assert!(!fixture.store.renew_erasure(due.id, lost).await.expect("answered"));
    }
    assert!(
        fixture
            .store
            .renew_erasure(due.id, third)
            .await
            .expect("answered")
    );
}

pub(crate) async fn what_is_buried_is_not_given_up(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    let abandoned = fact(workspace.id, "erasure.cancelled");
    let claimed = lease(20);
    fixture.second_owner(&owner).await;
    fixture.ordered(&erasure(workspace.id, Some(owner.user), 0)).await;
    let running = fixture
        .store
        .claim_erasure(time(0), claimed)
        .await
        .expect("answered")
        .expect("due");
    let strange = fixture
        .store
        .abandon_erasure(running.id, Uuid::now_v7(), abandoned.clone());
    assert!(!strange.await.expect("answered"), "another worker's");
    let tombstone = fixture.store.bury(&running, time(1)).await.expect("buried");
    let again = fixture.store.bury(&running, time(2)).await.expect("buried again");
    assert_eq!(again.number, tombstone.number);
    let buried = fixture
        .store
        .abandon_erasure(running.id, claimed.token, abandoned.clone());
    assert!(!buried.await.expect("answered"));
    let other = erasure(workspace.id, None, 0);
    fixture.ordered(&other).await;
    let other = fixture
        .store
        .claim_erasure(time(0), claimed)
        .await
        .expect("answered")
        .expect("due");
    assert!(
        fixture
            .store
            .abandon_erasure(other.id, claimed.token, abandoned)
            .await
            .expect("answered")
    );
    let state = fixture
        .store
        .find_erasure(other.id)
        .await
        .expect("read")
        .expect("kept")
        .state;
    assert_eq!(state, ErasureState::Cancelled);
}

/// ERA-06.
pub(crate) async fn receipts_are_a_chain(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    fixture.second_owner(&owner).await;
    let before = fixture.store.receipts().await.expect("read").len();
    let erasures = [
        erasure(workspace.id, None, 0),
        erasure(workspace.id, Some(owner.user), 0),
    ];
    for erasure in &erasures {
        fixture.ordered(erasure).await;
        fixture.store.bury(erasure, time(1)).await.expect("buried");
    }
    let unfinished = fixture.store.tombstones().await.expect("read");
    let unfinished = unfinished.iter().filter(|buried| !buried.finished);
    assert_eq!(unfinished.count(), 2);
    let done = done();
    let finish = |erasure| {
        fixture
            .store
            .finish_erasure(erasure, &done, fact(workspace.id, "erasure.completed"))
    };
    let (left, right) = tokio::join!(finish(&erasures[0]), finish(&erasures[1]));
    let (left, right) = (left.expect("finished"), right.expect("finished"));
    assert_eq!(finish(&erasures[0]).await.expect("finished again"), left);
    let receipts = fixture.store.receipts().await.expect("read");
    assert_eq!(receipts.len(), before + 2);
    let mut last = (0, NO_HASH.to_owned());
    for receipt in &receipts {
        assert_eq!((receipt.sequence, &receipt.previous_hash), (last.0 + 1, &last.1));
        assert_eq!(
            receipt.computed_hash(),
            receipt.hash,
            "what is kept is what was hashed"
        );
        last = (receipt.sequence, receipt.hash.clone());
    }
    let found = fixture
        .store
        .find_erasure(erasures[1].id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!(
        (found.state, found.receipt),
        (ErasureState::Succeeded, Some(right))
    );
    let buried = fixture.store.tombstones().await.expect("read");
    assert!(buried.iter().all(|buried| buried.finished));
    let subjects: Vec<Option<UserId>> = buried.iter().map(|buried| buried.tombstone.subject).collect();
    assert_eq!(subjects, [None, Some(owner.user)]);
}
