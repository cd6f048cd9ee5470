//! Wrong guesses.

use causeway_context::{UserId, WorkspaceId};
use chrono::TimeDelta;
use uuid::Uuid;

use super::{Facts, at, fact};
use crate::domain::{BY_PAIR, BY_TARGET, Counter, SignIn, Trace};
use crate::store::AuthStore;
use crate::store::guesses::Failure;
use crate::store::history::Slice;

const PLACE: [u8; 32] = [9; 32];

fn counters() -> [Counter; 2] {
    [(1, BY_PAIR), (2, BY_TARGET)].map(|(byte, rule)| Counter {
        key: [byte; 32],
        rule,
    })
}

async fn waits(store: &dyn AuthStore, seconds: i64) -> Vec<Option<i64>> {
    let standing = store.guesses(&counters(), &PLACE, at(seconds)).await;
    let waits = standing.expect("answered").waits.into_iter();
    waits.map(|wait| wait.map(|wait| wait.num_seconds())).collect()
}

pub(crate) async fn wrong_guesses_add_up_until_they_are_forgotten(store: &dyn AuthStore, _: &impl Facts) {
    let wrong = async |seconds| {
        let counted = store.count_guess(&counters(), &PLACE, at(seconds), None).await;
        counted.expect("answered").map(|wait| wait.num_seconds())
    };
    for _ in 0..6 {
        assert_eq!(wrong(0).await, None);
    }
    assert_eq!(wrong(0).await, Some(2), "one past the limit is none");
    assert_eq!(wrong(2).await, None);
    assert_eq!(waits(store, 2).await, [Some(4), None]);
    assert_eq!(waits(store, 6).await, [None, None]);
    for (seconds, longer) in [(6, 8), (14, 16), (30, 32), (62, 64)] {
        assert_eq!(wrong(seconds).await, None);
        assert_eq!(waits(store, seconds).await[0], Some(longer));
    }
    assert_eq!(waits(store, 62).await, [Some(64), Some(1)]);
    let user = UserId::generate();
    store
        .forget_guesses(&[], &counters()[0].key, &PLACE, Some(user), at(6))
        .await
        .expect("forgotten");
    assert_eq!(waits(store, 62).await, [None, Some(1)]);
    let known = store.guesses(&[], &PLACE, at(6)).await.expect("answered");
    assert!(known.known && known.waits.is_empty());
    assert!(!store.guesses(&[], &[8; 32], at(6)).await.expect("answered").known);
    store
        .count_guess(&counters(), &PLACE, at(3662), None)
        .await
        .expect("counted");
    assert_eq!(
        waits(store, 3662).await,
        [None, None],
        "after an hour it begins anew"
    );
    store.sweep_guesses(at(100_000)).await.expect("swept");
    store.forget_history(at(7)).await.expect("forgotten");
    assert!(!store.guesses(&[], &PLACE, at(7)).await.expect("answered").known);
}

pub(crate) async fn of_guesses_that_were_checked_at_once_no_more_are_answered_than_may(
    store: &dyn AuthStore,
    _: &impl Facts,
) {
    let counters = counters();
    let wrong = (0..32).map(|_| store.count_guess(&counters, &PLACE, at(0), None));
    let answers = futures::future::join_all(wrong).await;
    let counted = answers
        .into_iter()
        .filter(|answer| matches!(answer, Ok(None)))
        .count();
    assert_eq!(counted, 6);
    let (own, user) = (counters[0].key, UserId::generate());
    let right = async |seconds| {
        store
            .forget_guesses(&counters, &own, &PLACE, Some(user), at(seconds))
            .await
            .expect("answered")
    };
    assert_eq!(
        right(0).await,
        Some(TimeDelta::seconds(2)),
        "a right one is answered alike, and nothing is forgotten"
    );
    assert!(!store.guesses(&[], &PLACE, at(0)).await.expect("answered").known);
    assert_eq!(right(2).await, None);
    assert_eq!(waits(store, 2).await, [None, None]);
    assert!(store.guesses(&[], &PLACE, at(2)).await.expect("answered").known);
}

pub(crate) async fn a_failure_is_kept_for_its_victim(store: &dyn AuthStore, facts: &impl Facts) {
    let sign_in = SignIn {
        id: Uuid::now_v7(),
        user: UserId::generate(),
        workspace: WorkspaceId::generate(),
        at: at(3),
        trace: Trace {
            method: "password".to_owned(),
            network: "198.51.100.0/24".to_owned(),
            agent: "curl".to_owned(),
        },
        session: None,
    };
    let failure = Failure {
        sign_in: sign_in.clone(),
        fact: fact("Login"),
    };
    store
        .count_guess(&counters(), &PLACE, at(3), Some(failure))
        .await
        .expect("counted");
    store
        .count_guess(&counters(), &PLACE, at(3), None)
        .await
        .expect("counted");
    let slice = Slice {
        size: 10,
        before: None,
    };
    let found = store.list_sign_ins(sign_in.user, slice).await.expect("answered");
    assert_eq!(found, [sign_in]);
    assert_eq!(facts.actions().await.len(), 1);
}

pub(crate) async fn of_many_guesses_at_once_no_more_pass_than_may(store: &dyn AuthStore, _: &impl Facts) {
    let counters = counters();
    let asked = (0..32).map(|_| store.reserve_guess(&counters, at(0)));
    let answers = futures::future::join_all(asked).await;
    let waits: Vec<Option<TimeDelta>> = answers
        .into_iter()
        .map(|answer| answer.expect("answered"))
        .collect();
    // The one past the free ones is made too: it is the one that makes the others wait.
    assert_eq!(waits.iter().filter(|wait| wait.is_none()).count(), 6);
    let later = store.reserve_guess(&counters, at(2)).await.expect("answered");
    assert_eq!(later, None);
}
