//! What every store of logs must do: one suite, one visible test per case and engine.

use std::collections::HashSet;
use std::sync::Arc;

use causeway_context::WorkspaceId;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Map;
use uuid::Uuid;

use super::{AuditStore, Filter, OnReuse, StoreError};
use crate::event::{Event, Outcome};
use crate::merkle::{Edge, Plan, leaf_hash};

/// Runs the suite on the stores of `$fresh`, an async function that answers a store and a guard.
#[macro_export]
macro_rules! audit_store_conformance {
    ($fresh:path) => {
        $crate::audit_store_conformance!(@cases $fresh:
            entries_are_numbered_from_zero_without_gaps, an_entry_is_found_as_it_was_appended,
            an_event_is_appended_once, a_reused_id_appends_nothing_of_its_batch,
            a_reused_id_within_a_batch_is_refused, the_first_stays_when_the_caller_says_so,
            other_workspaces_see_nothing, a_search_filters_and_stops, nodes_fold_to_the_root_of_the_leaves,
            a_missing_node_is_an_error, concurrent_appends_leave_no_gap
        );
    };
    (@cases $fresh:path: $($case:ident),+) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let (store, _guard) = $fresh().await;
            $crate::store::conformance::$case(std::sync::Arc::new(store)).await;
        }
    )+ };
}

type Store = Arc<dyn AuditStore>;

pub(crate) fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

pub(crate) fn event(action: &str) -> Event {
    Event {
        id: Uuid::now_v7(),
        action: action.to_owned(),
        actor_kind: "user".to_owned(),
        actor_id: "ada".to_owned(),
        target_kind: "secret".to_owned(),
        target_id: "s1".to_owned(),
        outcome: Outcome::Success,
        occurred_at: at(0),
        request_id: "r".to_owned(),
        service: "tenancy".to_owned(),
        details: Map::new(),
    }
}

async fn append(store: &Store, workspace: WorkspaceId, events: Vec<Event>) -> Vec<u64> {
    store
        .append(workspace, events, at(9), OnReuse::Refuse)
        .await
        .unwrap()
}

async fn all(store: &Store, workspace: WorkspaceId) -> Vec<super::Entry> {
    store
        .search(workspace, 0..u64::MAX, &Filter::default(), usize::MAX)
        .await
        .unwrap()
}

pub(crate) async fn entries_are_numbered_from_zero_without_gaps(store: Store) {
    let workspace = WorkspaceId::generate();
    assert_eq!(store.size(workspace).await.unwrap(), 0);
    assert_eq!(
        append(&store, workspace, vec![event("a"), event("b")]).await,
        [0, 1]
    );
    assert_eq!(append(&store, workspace, vec![event("c")]).await, [2]);
    assert!(append(&store, workspace, Vec::new()).await.is_empty());
    assert_eq!(store.size(workspace).await.unwrap(), 3);
    let found: Vec<(u64, String)> = all(&store, workspace)
        .await
        .into_iter()
        .map(|entry| (entry.seq, entry.event.action))
        .collect();
    assert_eq!(
        found,
        [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())]
    );
}

pub(crate) async fn an_entry_is_found_as_it_was_appended(store: Store) {
    let (workspace, event) = (WorkspaceId::generate(), event("a"));
    append(&store, workspace, vec![event.clone()]).await;
    let entry = store.find(workspace, 0).await.unwrap().unwrap();
    assert_eq!(entry.leaf, event.leaf());
    assert_eq!(entry.leaf_hash, leaf_hash(&event.leaf()));
    assert_eq!((entry.event, entry.appended_at), (event, at(9)));
    assert_eq!(store.find(workspace, 1).await.unwrap(), None);
}

pub(crate) async fn an_event_is_appended_once(store: Store) {
    let (workspace, first, second) = (WorkspaceId::generate(), event("a"), event("b"));
    append(&store, workspace, vec![first.clone(), second.clone()]).await;
    let repeat = Event {
        occurred_at: at(50),
        request_id: "other".to_owned(),
        ..first.clone()
    };
    assert_eq!(
        append(
            &store,
            workspace,
            vec![second.clone(), repeat, event("c"), second]
        )
        .await,
        [1, 0, 2, 1]
    );
    assert_eq!(store.find(workspace, 0).await.unwrap().unwrap().event, first);
}

pub(crate) async fn a_reused_id_appends_nothing_of_its_batch(store: Store) {
    let (workspace, first) = (WorkspaceId::generate(), event("a"));
    append(&store, workspace, vec![first.clone()]).await;
    let other = Event {
        target_id: "s2".to_owned(),
        ..first.clone()
    };
    let answer = store
        .append(workspace, vec![event("b"), other], at(9), OnReuse::Refuse)
        .await;
    assert!(matches!(answer, Err(StoreError::IdReused(id)) if id == first.id));
    assert_eq!(store.size(workspace).await.unwrap(), 1);
}

pub(crate) async fn a_reused_id_within_a_batch_is_refused(store: Store) {
    let (workspace, first) = (WorkspaceId::generate(), event("a"));
    let other = Event {
        target_id: "s2".to_owned(),
        ..first.clone()
    };
    let answer = store
        .append(workspace, vec![first, other], at(9), OnReuse::Refuse)
        .await;
    assert!(matches!(answer, Err(StoreError::IdReused(_))));
    assert_eq!(store.size(workspace).await.unwrap(), 0);
}

pub(crate) async fn the_first_stays_when_the_caller_says_so(store: Store) {
    let (workspace, first) = (WorkspaceId::generate(), event("a"));
    let other = Event {
        target_id: "s2".to_owned(),
        ..first.clone()
    };
    let batch = vec![first.clone(), other, event("b")];
    assert_eq!(
        store
            .append(workspace, batch, at(9), OnReuse::KeepFirst)
            .await
            .unwrap(),
        [0, 0, 1]
    );
    assert_eq!(store.find(workspace, 0).await.unwrap().unwrap().event, first);
}

pub(crate) async fn other_workspaces_see_nothing(store: Store) {
    let (mine, other, event) = (WorkspaceId::generate(), WorkspaceId::generate(), event("a"));
    append(&store, mine, vec![event.clone()]).await;
    assert_eq!(store.size(other).await.unwrap(), 0);
    assert_eq!(store.find(other, 0).await.unwrap(), None);
    assert_eq!(all(&store, other).await, []);
    assert!(
        store
            .nodes(other, &Plan::root(1).nodes().collect::<Vec<_>>())
            .await
            .is_err()
    );
    assert_eq!(
        append(&store, other, vec![event]).await,
        [0],
        "ids are unique within a log only"
    );
}

pub(crate) async fn a_search_filters_and_stops(store: Store) {
    let workspace = WorkspaceId::generate();
    let events = vec![
        Event {
            occurred_at: at(10),
            ..event("a")
        },
        Event {
            occurred_at: at(20),
            actor_id: "bob".to_owned(),
            ..event("b")
        },
        Event {
            occurred_at: at(30),
            outcome: Outcome::Denied,
            ..event("a")
        },
        Event {
            occurred_at: at(40),
            target_id: "s2".to_owned(),
            ..event("a")
        },
    ];
    append(&store, workspace, events).await;
    let found = async |filter: Filter, limit: usize| -> Vec<u64> {
        let entries = store.search(workspace, 0..4, &filter, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.seq).collect()
    };
    let any = Filter::default();
    assert_eq!(
        found(
            Filter {
                action: Some("a".to_owned()),
                ..any.clone()
            },
            9
        )
        .await,
        [0, 2, 3]
    );
    assert_eq!(
        found(
            Filter {
                action: Some("a".to_owned()),
                ..any.clone()
            },
            2
        )
        .await,
        [0, 2]
    );
    assert_eq!(
        found(
            Filter {
                actor_id: Some("bob".to_owned()),
                ..any.clone()
            },
            9
        )
        .await,
        [1]
    );
    assert_eq!(
        found(
            Filter {
                target_id: Some("s2".to_owned()),
                ..any.clone()
            },
            9
        )
        .await,
        [3]
    );
    assert_eq!(
        found(
            Filter {
                outcome: Some(Outcome::Denied),
                ..any.clone()
            },
            9
        )
        .await,
        [2]
    );
    assert_eq!(
        found(
            Filter {
                from: Some(at(20)),
                to: Some(at(40)),
                ..any.clone()
            },
            9
        )
        .await,
        [1, 2]
    );
    let later = store.search(workspace, 2..3, &any, 9).await.unwrap();
    assert_eq!(later.into_iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2]);
}

pub(crate) async fn nodes_fold_to_the_root_of_the_leaves(store: Store) {
    let (workspace, mut edge) = (WorkspaceId::generate(), Edge::default());
    for size in 0..40 {
        let plan = Plan::root(size);
        let hashes = store
            .nodes(workspace, &plan.nodes().collect::<Vec<_>>())
            .await
            .unwrap();
        assert_eq!(plan.fold(&hashes).unwrap(), [edge.root()]);
        let event = event("a");
        edge.append(leaf_hash(&event.leaf()), |_, _| {});
        append(&store, workspace, vec![event]).await;
    }
}

pub(crate) async fn a_missing_node_is_an_error(store: Store) {
    let workspace = WorkspaceId::generate();
    append(&store, workspace, vec![event("a"), event("b")]).await;
    let beyond: Vec<_> = Plan::root(3).nodes().collect();
    assert!(matches!(
        store.nodes(workspace, &beyond).await,
        Err(StoreError::Damaged(_))
    ));
}

pub(crate) async fn concurrent_appends_leave_no_gap(store: Store) {
    const TASKS: usize = 64;
    const EACH: usize = 25;
    let workspace = WorkspaceId::generate();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for _ in 0..EACH {
                seqs.extend(append(&store, workspace, vec![event("a")]).await);
                tokio::task::yield_now().await;
            }
            assert!(seqs.is_sorted(), "a writer sees its own order");
            seqs
        });
    }
    let seqs: HashSet<u64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(seqs, (0..(TASKS * EACH) as u64).collect());
    let mut edge = Edge::default();
    for (seq, entry) in all(&store, workspace).await.into_iter().enumerate() {
        assert_eq!(entry.seq, seq as u64);
        edge.append(leaf_hash(&entry.leaf), |_, _| {});
    }
    let plan = Plan::root(edge.size());
    let hashes = store
        .nodes(workspace, &plan.nodes().collect::<Vec<_>>())
        .await
        .unwrap();
    assert_eq!(plan.fold(&hashes).unwrap(), [edge.root()]);
}
