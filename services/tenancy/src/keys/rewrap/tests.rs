use causeway_context::UserId;
use causeway_contracts::Role;
use causeway_crypto::KeyContext;
use causeway_outbox::{OutboxEvent, Outcome};
use chrono::DateTime;
use uuid::Uuid;

use super::*;
use crate::domain::{KeyState, Member, Ring, Workspace, WorkspaceName};
use crate::keys::DataKeys;
use crate::store::MemoryStore;

fn ring(bytes: u8, previous: Option<u8>) -> Arc<LocalRing> {
    let master = |byte: u8| SecretString::from(STANDARD.encode([byte; 32]));
    let keys = LocalKeys {
        master: Some(master(bytes)),
        master_previous: previous.map(master),
        ..LocalKeys::default()
    };
    Arc::new(LocalRing::new(&keys, false).expect("a ring"))
}

async fn workspace(store: &dyn TenancyStore) -> WorkspaceId {
    let (id, now) = (WorkspaceId::generate(), DateTime::UNIX_EPOCH);
    let workspace = Workspace {
        id,
        name: WorkspaceName::parse("Acme").expect("a name"),
        region: "r".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let owner = Member {
        workspace: id,
        user: UserId::generate(),
        role: Role::Owner.into(),
        joined_at: now,
    };
    let fact = OutboxEvent {
        id: Uuid::now_v7(),
        workspace: id,
        action: "workspace.created".to_owned(),
        actor_kind: "user".to_owned(),
        actor_id: String::new(),
        target_kind: String::new(),
        target_id: String::new(),
        outcome: Outcome::Success,
        occurred_at: now,
        request_id: String::new(),
        service: "tenancy".to_owned(),
        details: Default::default(),
    };
    store
        .create_workspace(&workspace, &owner, fact)
        .await
        .expect("made");
    id
}

/// A store in which workspaces have a key of each ring, wrapped by that ring.
async fn keyed(provider: &Arc<LocalRing>, workspaces: usize) -> (Arc<dyn TenancyStore>, Vec<WorkspaceId>) {
    let store: Arc<dyn TenancyStore> = Arc::new(MemoryStore::default());
    let keys = DataKeys::new(Arc::clone(&store), Arc::clone(provider) as _);
    let mut ids = Vec::new();
    for _ in 0..workspaces {
        let id = workspace(&*store).await;
        for ring in Ring::ALL {
            keys.active(id, ring, DateTime::UNIX_EPOCH).await.expect("made");
        }
        ids.push(id);
    }
    (store, ids)
}

/// ROT-06.
#[tokio::test]
async fn everything_is_wrapped_by_the_new_master_key_and_nothing_else_changes() {
    let old = ring(1, None);
    let (store, ids) = keyed(&old, 3).await;
    store
        .destroy_keys(ids[0], DateTime::UNIX_EPOCH)
        .await
        .expect("destroyed");
    let before = store.keys_of(&ids).await.expect("read");

    let both = KeyOperations::new(Arc::clone(&store), ring(2, Some(1)));
    let report = both.report().await.expect("read");
    assert_eq!((report.elsewhere, report.rotations), (4, 0));
    let mut told = 0;
    let done = both.rewrap(|_| told += 1).await.expect("wrapped");
    assert_eq!(told, 1);
    assert_eq!((done.seen, done.rewrapped, done.unchanged), (4, 4, 0));
    assert!(done.failed.is_empty() && done.overtaken == 0);
    let again = both.rewrap(|_| {}).await.expect("nothing to do");
    assert_eq!((again.rewrapped, again.unchanged), (0, 4));

    // The old master key can go: the new one alone opens everything, and it is what it was.
    let alone = ring(2, None);
    for (before, after) in before.into_iter().zip(store.keys_of(&ids).await.expect("read")) {
        assert_eq!((before.state, before.place()), (after.state, after.place()));
        if before.state == KeyState::Destroyed {
            assert_eq!(after.wrapped, None);
            continue;
        }
        let (before, after) = (before.usable().expect("alive"), after.usable().expect("alive"));
        let was = unwrap_key(&*old, &before).await.expect("opens");
        let is = unwrap_key(&*alone, &after).await.expect("opens");
        assert_eq!(was.expose_bytes(), is.expose_bytes());
    }
    let report = KeyOperations::new(store, alone).report().await.expect("read");
    assert_eq!(report.elsewhere, 0);
    let counts: Vec<(bool, &str, &str, u64)> = report
        .counts
        .iter()
        .map(|count| {
            let wrapped = count.wrapped_by.is_some();
            (wrapped, count.ring, count.state, count.keys)
        })
        .collect();
    assert_eq!(
        counts,
        [
            (false, "data", "destroyed", 1),
            (false, "transit", "destroyed", 1),
            (true, "data", "active", 2),
            (true, "transit", "active", 2),
        ]
    );
}

#[tokio::test]
async fn a_key_that_no_master_key_opens_is_counted_and_passed_over() {
    let (store, ids) = keyed(&ring(1, None), 2).await;
    let stranger = KeyOperations::new(Arc::clone(&store), ring(2, None));
    let done = stranger.rewrap(|_| {}).await.expect("passed over");
    assert_eq!((done.seen, done.rewrapped), (4, 0));
    let reasons: Vec<(&str, u64)> = done
        .failed
        .iter()
        .map(|(why, keys)| (why.as_str(), *keys))
        .collect();
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].0.starts_with("the key-encryption key master-") && reasons[0].1 == 4);
    let both = KeyOperations::new(Arc::clone(&store), ring(2, Some(1)));
    assert_eq!(both.rewrap(|_| {}).await.expect("wrapped").rewrapped, 4);
    assert_eq!(store.keys_of(&ids).await.expect("read").len(), 4);
}

#[tokio::test]
async fn without_a_master_key_nothing_is_begun_and_the_report_says_so() {
    let (store, _) = keyed(&ring(1, None), 1).await;
    let none = LocalRing::new(&LocalKeys::default(), false).expect("a ring");
    let operations = KeyOperations::new(store, Arc::new(none));
    let refused = operations.rewrap(|_| {}).await;
    assert!(
        matches!(refused, Err(KeyOperationError::Key(KeyError::Missing))),
        "{refused:?}"
    );
    let report = operations.report().await.expect("read");
    assert_eq!((report.active, report.elsewhere), (Err(KeyError::Missing), 2));
}

#[tokio::test]
async fn keys_of_the_crypto_api_from_the_first_release_are_wrapped_for_their_own_ring() {
    let old = ring(1, None);
    let (store, ids) = keyed(&old, 1).await;
    let data = store.find_key(ids[0], Ring::Data, 1).await.expect("read");
    let data = data.and_then(StoredKey::usable).expect("alive");
    // As the move into the keystore leaves it: one key in both rings.
    let transit = WrappedDataKey {
        ring: Ring::Transit,
        ..data.clone()
    };
    let operations = KeyOperations::new(Arc::clone(&store), ring(2, Some(1)));
    let rewrapped = operations.rewrap_one(transit).await.expect("wrapped");
    let own = KeyContext {
        workspace: ids[0].0,
        version: 1,
        purpose: Ring::Transit.purpose(),
    };
    let opened = ring(2, None)
        .unwrap_key(&rewrapped.after, &own)
        .await
        .expect("opens");
    let was = unwrap_key(&*old, &data).await.expect("opens");
    assert_eq!(opened.expose_bytes(), was.expose_bytes());
}

#[test]
fn a_new_master_key_is_one_and_has_a_name() {
    use secrecy::ExposeSecret as _;
    let (one, other) = (new_master_key().expect("made"), new_master_key().expect("made"));
    assert_ne!(one.expose_secret(), other.expose_secret());
    assert_eq!(STANDARD.decode(one.expose_secret()).expect("base64").len(), 32);
    let name = fingerprint(&one).expect("a key");
    assert!(name.starts_with("master-") && !name.contains(one.expose_secret()));
    assert!(fingerprint(&SecretString::from("short")).is_err());
}
