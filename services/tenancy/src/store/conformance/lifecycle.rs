//! Erasures and exports.

use causeway_holder::{Applied, Part, Tombstone};
use tokio::sync::mpsc;

use super::*;
use crate::domain::{
    CHUNK_BYTES, Content, Done, EXPORT_LIFE, Erasure, ErasureState, Export, ExportState, ExportedTable,
    NO_HASH,
};
use crate::store::WorkLease;

fn erasure(workspace: WorkspaceId, subject: Option<UserId>, seconds: i64) -> Erasure {
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

fn lease(seconds: i64) -> WorkLease {
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

fn export(workspace: WorkspaceId, by: UserId, seconds: i64) -> Export {
    Export {
        id: Uuid::now_v7(),
        workspace,
        requested_by: Some(by),
        state: ExportState::Running,
        age_recipient: None,
        created_at: time(seconds),
        expires_at: time(seconds) + EXPORT_LIFE,
        content: Content::default(),
    }
}

fn rows(applied: &Applied, table: &str) -> u64 {
    let table = format!("tenancy.{table}");
    let found = applied.erased.iter().find(|count| count.table == table);
    found.map_or(0, |count| count.rows)
}

impl Fixture {
    async fn ordered(&self, erasure: &Erasure) -> Erasure {
        let fact = fact(erasure.workspace, "erasure.requested");
        self.store.order_erasure(erasure, fact).await.expect("ordered")
    }

    async fn buried(&self, workspace: WorkspaceId, subject: Option<UserId>) -> Tombstone {
        let erasure = erasure(workspace, subject, 0);
        self.ordered(&erasure).await;
        self.store.bury(&erasure, time(1)).await.expect("buried")
    }

    async fn lines(&self, workspace: WorkspaceId) -> Vec<Part> {
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

pub(crate) async fn receipts_are_a_chain(fixture: &Fixture) {
    let (workspace, owner) = fixture.tenant().await;
    let before = fixture.store.receipts().await.expect("read").len();
    let erasures = [
        erasure(workspace.id, None, 0),
        erasure(workspace.id, Some(owner.user), 0),
    ];
    for erasure in &erasures {
        fixture.ordered(erasure).await;
        fixture.store.bury(erasure, time(1)).await.expect("buried");
    }
    assert_eq!(
        fixture.store.finished_tombstones().await.expect("read").len(),
        before
    );
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
    let tombstones = fixture.store.finished_tombstones().await.expect("read");
    let subjects: Vec<Option<UserId>> = tombstones.iter().map(|tombstone| tombstone.subject).collect();
    assert_eq!(subjects, [None, Some(owner.user)]);
}

pub(crate) async fn an_erased_workspace_is_gone_and_its_neighbour_is_not(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let (neighbour, other) = fixture.tenant().await;
    for (workspace, owner) in [(&workspace, &owner), (&neighbour, &other)] {
        store
            .insert_secret(&secret(workspace.id, "s"), fact(workspace.id, "secret.created"))
            .await
            .expect("added");
        let open = invitation(owner, "ada@example.com", Role::Viewer);
        store
            .insert_invitation(&open, &hash(), fact(workspace.id, "invitation.created"))
            .await
            .expect("added");
        let export = export(workspace.id, owner.user, 0);
        store
            .insert_export(&export, fact(workspace.id, "export.requested"))
            .await
            .expect("added");
    }
    let guest = change(&other, owner.user, MemberStep::Join(Role::Viewer));
    store
        .change_member(&guest, fact(neighbour.id, "member.added"))
        .await
        .expect("joined");
    let kept = fixture.lines(neighbour.id).await;

    let tombstone = fixture.buried(workspace.id, None).await;
    let applied = store.apply_tombstone(&tombstone, time(5)).await.expect("erased");
    for table in ["workspaces", "members", "invitations", "secrets", "exports"] {
        assert_eq!(rows(&applied, table), 1, "{table}");
    }
    assert_eq!(
        applied.leavers,
        Vec::<Uuid>::new(),
        "the owner is a guest next door"
    );
    assert_eq!(
        store
            .apply_tombstone(&tombstone, time(6))
            .await
            .expect("erased again"),
        applied
    );
    assert_eq!(store.find_workspace(workspace.id).await.expect("read"), None);
    assert_eq!(
        store.find_secret(workspace.id, &name("s")).await.expect("read"),
        None
    );
    assert!(
        fixture
            .lines(workspace.id)
            .await
            .iter()
            .all(|part| part.rows == 0)
    );
    assert_eq!(fixture.lines(neighbour.id).await, kept);
    let late = export(workspace.id, owner.user, 7);
    let late = store
        .insert_export(&late, fact(workspace.id, "export.requested"))
        .await;
    assert!(matches!(late, Err(StoreError::NoParent)));
}

pub(crate) async fn an_erased_person_is_gone_and_the_workspace_is_not(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let (leaves, stays) = (UserId::generate(), fixture.tenant().await.1.user);
    let (own, home) = workspace_of(leaves, 0);
    store
        .create_workspace(&own, &home, fact(own.id, "workspace.created"))
        .await
        .expect("made");
    for user in [leaves, stays] {
        let joins = change(&owner, user, MemberStep::Join(Role::Admin));
        store
            .change_member(&joins, fact(workspace.id, "member.added"))
            .await
            .expect("joined");
    }
    let member = store
        .find_member(workspace.id, leaves)
        .await
        .expect("read")
        .expect("a member");
    let written = invitation(&member, "by@example.com", Role::Viewer);
    let addressed = invitation(&owner, "to@example.com", Role::Viewer);
    let neither = invitation(&owner, "else@example.com", Role::Viewer);
    for one in [&written, &addressed, &neither] {
        store
            .insert_invitation(one, &hash(), fact(workspace.id, "invitation.created"))
            .await
            .expect("added");
    }
    let own = export(workspace.id, leaves, 0);
    store
        .insert_export(&own, fact(workspace.id, "export.requested"))
        .await
        .expect("added");
    let tombstone = Tombstone {
        addresses: vec!["to@example.com".to_owned()],
        ..fixture.buried(workspace.id, Some(leaves)).await
    };
    let applied = store.apply_tombstone(&tombstone, time(5)).await.expect("erased");
    assert_eq!(
        (
            rows(&applied, "members"),
            rows(&applied, "invitations"),
            rows(&applied, "exports")
        ),
        (1, 2, 1)
    );
    assert_eq!(applied.leavers, Vec::<Uuid>::new(), "has a workspace of its own");
    assert_eq!(store.find_member(workspace.id, leaves).await.expect("read"), None);
    let open = store.list_invitations(workspace.id, &all()).await.expect("read");
    assert_eq!(open, [neither]);
    let export = store
        .find_export(workspace.id, own.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!(export.requested_by, None, "the export stays and names nobody");
    assert_eq!(store.owners(workspace.id).await.expect("read"), [owner.user]);
    let text = format!("{:?}", fixture.lines(workspace.id).await);
    assert!(!text.contains(&leaves.to_string()) && text.contains(&stays.to_string()));

    let last = fixture.buried(workspace.id, Some(owner.user)).await;
    let applied = store.apply_tombstone(&last, time(6)).await.expect("erased");
    assert_eq!(applied.leavers, [owner.user.0], "belonged nowhere else");
}

pub(crate) async fn an_export_shows_nothing_sealed(fixture: &Fixture) {
    let (workspace, _) = fixture.tenant().await;
    let mut sealed = secret(workspace.id, "s");
    sealed.sealed = envelope(0xAB);
    fixture
        .store
        .insert_secret(&sealed, fact(workspace.id, "secret.created"))
        .await
        .expect("added");
    let parts = fixture.lines(workspace.id).await;
    let secrets = parts
        .iter()
        .find(|part| part.table == "tenancy.secrets")
        .expect("exported");
    let row: serde_json::Value = serde_json::from_slice(&secrets.lines).expect("one row");
    assert_eq!((&row["name"], &row["kind"]), (&"s".into(), &"custom".into()));
    assert_eq!(row.get("sealed"), None);
    assert!(!format!("{parts:?}").contains("abababab"));
}

pub(crate) async fn an_export_is_made_by_one_and_read_in_pieces(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let export = export(workspace.id, owner.user, 0);
    store
        .insert_export(&export, fact(workspace.id, "export.requested"))
        .await
        .expect("added");
    let first = lease(10);
    let (claimed, attempts) = store
        .claim_export(time(0), first)
        .await
        .expect("answered")
        .expect("due");
    assert_eq!((claimed.id, attempts), (export.id, 1));
    assert_eq!(
        store.claim_export(time(5), lease(15)).await.expect("answered"),
        None
    );
    let bytes = vec![7; CHUNK_BYTES];
    store
        .append_chunk(&export, first, 0, &bytes)
        .await
        .expect("added");
    let second = lease(40);
    let (_, attempts) = store
        .claim_export(time(20), second)
        .await
        .expect("answered")
        .expect("the lease ended");
    assert_eq!(attempts, 2);
    let lost = store.append_chunk(&export, first, 1, &bytes).await;
    assert!(matches!(lost, Err(StoreError::Conflict)));
    assert_eq!(
        store.read_chunk(workspace.id, export.id, 0).await.expect("read"),
        None,
        "begun anew"
    );
    store
        .append_chunk(&export, second, 0, &bytes)
        .await
        .expect("added");
    store
        .append_chunk(&export, second, 1, b"end")
        .await
        .expect("added");
    let content = Content {
        size_bytes: 3 + CHUNK_BYTES as u64,
        sha256: "ab".to_owned(),
        tables: vec![ExportedTable {
            table: "tenancy.members".to_owned(),
            rows: 1,
            sha256: "cd".to_owned(),
        }],
    };
    let made = fact(workspace.id, "export.made");
    store
        .finish_export(&export, second.token, Some(&content), made.clone())
        .await
        .expect("finished");
    let again = store.finish_export(&export, second.token, None, made).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    let found = store
        .find_export(workspace.id, export.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!((found.state, &found.content), (ExportState::Ready, &content));
    assert_eq!(
        store
            .read_chunk(workspace.id, export.id, 1)
            .await
            .expect("read")
            .as_deref(),
        Some(&b"end"[..])
    );
    assert_eq!(
        store
            .claim_export(time(1000), lease(2000))
            .await
            .expect("answered"),
        None
    );
    let other = WorkspaceId::generate();
    assert_eq!(store.find_export(other, export.id).await.expect("read"), None);
    assert_eq!(store.read_chunk(other, export.id, 0).await.expect("read"), None);

    assert!(
        !store
            .purge_exports(time(0) + EXPORT_LIFE, 10)
            .await
            .expect("purged")
    );
    let over = store
        .find_export(workspace.id, export.id)
        .await
        .expect("read")
        .expect("kept");
    assert_eq!(over.state, ExportState::Expired);
    assert_eq!(
        store.read_chunk(workspace.id, export.id, 0).await.expect("read"),
        None
    );
}

pub(crate) async fn the_bytes_of_an_erased_export_are_on_a_list(fixture: &Fixture) {
    let store = &fixture.store;
    let (workspace, owner) = fixture.tenant().await;
    let export = export(workspace.id, owner.user, 0);
    store
        .insert_export(&export, fact(workspace.id, "export.requested"))
        .await
        .expect("added");
    let held = lease(10);
    store
        .claim_export(time(0), held)
        .await
        .expect("answered")
        .expect("due");
    store
        .append_chunk(&export, held, 0, b"bytes")
        .await
        .expect("added");
    let tombstone = fixture.buried(workspace.id, None).await;
    store.apply_tombstone(&tombstone, time(5)).await.expect("erased");
    assert_eq!(store.doomed_objects(workspace.id).await.expect("read"), 1);
    let late = store.append_chunk(&export, held, 1, b"more").await;
    assert!(
        matches!(late, Err(StoreError::Conflict)),
        "nothing is written any more"
    );
    store.purge_exports(time(6), 10).await.expect("purged");
    assert_eq!(store.doomed_objects(workspace.id).await.expect("read"), 0);
    assert_eq!(
        store.read_chunk(workspace.id, export.id, 0).await.expect("read"),
        None
    );
}
