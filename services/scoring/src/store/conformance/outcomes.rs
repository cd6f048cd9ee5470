//! Outcomes: how often each counts.

use super::*;

pub(crate) async fn an_outcome_moves_its_arm_only(bench: Bench) {
    let model = bench.model(&["a", "b"]).await;
    let id = bench.decide(model, &["b", "a"]).await;
    let receipt = bench.respond(response(id, by_rank(1), None)).await.unwrap();
    assert_eq!(receipt, Receipt::Counted { model, version: 1 });
    let negative = Response {
        outcome: Outcome::Negative,
        ..response(id, by_offer("a"), None)
    };
    assert_eq!(
        bench.respond(negative).await.unwrap(),
        Receipt::Counted { model, version: 2 }
    );
    let arms = bench.read(model).await.arms;
    assert_eq!(
        arms[0].belief,
        Beta {
            alpha: 1.0,
            beta: 2.0
        }
    );
    assert_eq!(
        arms[1].belief,
        Beta {
            alpha: 2.0,
            beta: 1.0
        }
    );
    assert_eq!([arms[0].outcomes, arms[1].outcomes], [1, 1]);
}

pub(crate) async fn a_key_counts_once(bench: Bench) {
    let model = bench.model(&["a", "b"]).await;
    let id = bench.decide(model, &["a", "b"]).await;
    let first = bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    assert_eq!(first, Receipt::Counted { model, version: 1 });
    let by_other_name = bench
        .respond(response(id, by_offer("a"), Some("k")))
        .await
        .unwrap();
    assert_eq!(by_other_name, Receipt::Kept { model, version: 1 });
    let other_key = bench.respond(response(id, by_rank(1), Some("l"))).await.unwrap();
    assert_eq!(other_key, Receipt::Counted { model, version: 2 });
    let other = bench.elsewhere();
    let theirs = other.model(&["a"]).await;
    let their_decision = other.decide(theirs, &["a"]).await;
    let receipt = other
        .respond(response(their_decision, by_rank(1), Some("k")))
        .await
        .unwrap();
    assert_eq!(
        receipt,
        Receipt::Counted {
            model: theirs,
            version: 1
        },
        "keys are a workspace's own"
    );
}

pub(crate) async fn a_key_of_another_outcome_is_refused(bench: Bench) {
    let model = bench.model(&["a", "b"]).await;
    let id = bench.decide(model, &["a", "b"]).await;
    bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    let others = [
        Response {
            outcome: Outcome::Negative,
            ..response(id, by_rank(1), Some("k"))
        },
        response(id, by_rank(2), Some("k")),
        response(RecommendationId::generate(), by_rank(1), Some("k")),
    ];
    for other in others {
        assert!(matches!(bench.respond(other).await, Err(StoreError::KeyReused)));
    }
    assert_eq!(bench.read(model).await.version, 1);
}

pub(crate) async fn without_a_key_a_repeat_counts_once(bench: Bench) {
    let model = bench.model(&["a", "b"]).await;
    let id = bench.decide(model, &["a", "b"]).await;
    for choice in [by_rank(1), by_rank(1), by_offer("a")] {
        bench.respond(response(id, choice, None)).await.unwrap();
    }
    assert_eq!(bench.read(model).await.version, 1);
    let again = bench.decide(model, &["a", "b"]).await;
    bench.respond(response(again, by_rank(1), None)).await.unwrap();
    assert_eq!(bench.read(model).await.version, 2);
}

pub(crate) async fn an_option_that_was_not_shown_is_refused_and_spends_no_key(bench: Bench) {
    let model = bench.model(&["a", "b"]).await;
    let id = bench.decide(model, &["a"]).await;
    let refused = bench.respond(response(id, by_offer("b"), Some("k"))).await;
    assert!(matches!(refused, Err(StoreError::NotShown(NotShown::OfferId))));
    let refused = bench.respond(response(id, by_rank(2), Some("k"))).await;
    assert!(matches!(refused, Err(StoreError::NotShown(NotShown::Rank))));
    let receipt = bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    assert_eq!(receipt, Receipt::Counted { model, version: 1 });
}

pub(crate) async fn an_early_outcome_is_joined_when_its_decision_comes(bench: Bench) {
    let model = bench.model(&["a", "b"]).await;
    let made = recommendation(model, &["b", "a"]);
    for choice in [by_rank(1), by_offer("a")] {
        assert_eq!(
            bench.respond(response(made.id, choice, None)).await.unwrap(),
            Receipt::Parked
        );
    }
    assert_eq!(bench.read(model).await.version, 0);
    let id = bench.insert(made).await;
    let after = bench.read(model).await;
    assert_eq!(
        (after.version, after.arms[0].outcomes, after.arms[1].outcomes),
        (2, 1, 1)
    );
    let late = bench.respond(response(id, by_rank(1), None)).await.unwrap();
    assert_eq!(late, Receipt::Kept { model, version: 2 });
}

pub(crate) async fn an_early_outcome_of_a_foreign_decision_is_not_joined(bench: Bench) {
    let other = bench.elsewhere();
    let model = bench.model(&["a"]).await;
    let made = recommendation(model, &["a"]);
    assert_eq!(
        other.respond(response(made.id, by_rank(1), None)).await.unwrap(),
        Receipt::Parked
    );
    bench.insert(made).await;
    assert_eq!(bench.read(model).await.version, 0);
}

pub(crate) async fn an_early_outcome_of_no_option_blocks_nothing(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let made = recommendation(model, &["a"]);
    bench
        .respond(response(made.id, by_rank(7), Some("wrong")))
        .await
        .unwrap();
    bench
        .respond(response(made.id, by_rank(1), Some("right")))
        .await
        .unwrap();
    bench.insert(made).await;
    assert_eq!(bench.read(model).await.version, 1);
}

pub(crate) async fn a_repeat_of_a_parked_outcome_counts_once(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let made = recommendation(model, &["a"]);
    let id = made.id;
    for key in [Some("k"), Some("k"), None, None] {
        assert_eq!(
            bench.respond(response(id, by_rank(1), key)).await.unwrap(),
            Receipt::Parked
        );
    }
    bench.respond(response(id, by_offer("a"), None)).await.unwrap();
    bench.insert(made).await;
    assert_eq!(
        bench.read(model).await.version,
        2,
        "one with the key, one without"
    );
    let repeat = bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    assert_eq!(repeat, Receipt::Kept { model, version: 2 });
}

pub(crate) async fn an_outcome_of_a_deleted_model_is_kept(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let id = bench.decide(model, &["a"]).await;
    bench
        .store
        .delete_model(bench.workspace, model, bench.event("DeleteModel"))
        .await
        .unwrap();
    let receipt = bench.respond(response(id, by_rank(1), Some("k"))).await.unwrap();
    assert_eq!(receipt, Receipt::Kept { model, version: 0 });
}

async fn at_once(bench: &Bench, id: RecommendationId, key: impl Fn(usize) -> String) -> usize {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let (bench, key) = (bench.clone(), key(task));
        tasks.spawn(async move { bench.respond(response(id, by_rank(1), Some(&key))).await.unwrap() });
    }
    let receipts = tasks.join_all().await;
    receipts
        .into_iter()
        .filter(|receipt| matches!(receipt, Receipt::Counted { .. }))
        .count()
}

pub(crate) async fn one_key_at_once_counts_once(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let id = bench.decide(model, &["a"]).await;
    assert_eq!(at_once(&bench, id, |_| "k".to_owned()).await, 1);
    let after = bench.read(model).await;
    assert_eq!((after.version, after.arms[0].belief.alpha), (1, 2.0));
}

pub(crate) async fn many_keys_at_once_all_count(bench: Bench) {
    let model = bench.model(&["a"]).await;
    let id = bench.decide(model, &["a"]).await;
    assert_eq!(at_once(&bench, id, |task| format!("k{task}")).await, 64);
    let after = bench.read(model).await;
    assert_eq!(
        (after.version, after.arms[0].belief),
        (
            64,
            Beta {
                alpha: 65.0,
                beta: 1.0
            }
        )
    );
}
