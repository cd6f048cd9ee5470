use super::*;

#[tokio::test]
async fn decisions_are_ranked_by_score_and_their_propensities_are_exact() {
    let bench = bench();
    let model = bench.create(&["a", "b", "c", "d"]).await;
    let made = bench.recommend(recommend(&model)).await.unwrap();
    assert!(made.decisions.is_sorted_by(|one, next| one.score >= next.score));
    assert_eq!(
        made.decisions
            .iter()
            .map(|decision| decision.rank)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    for decision in &made.decisions {
        assert_eq!(
            (decision.propensity, decision.propensity_kind.as_str()),
            (0.25, "exact")
        );
        assert!(Uuid::try_parse(&decision.decision_id).is_ok());
    }
    let two = bench.recommend(among(&model, &["b", "d"])).await.unwrap();
    assert!(two.decisions.iter().all(|decision| decision.propensity == 0.5));
    let mut offers: Vec<&str> = two
        .decisions
        .iter()
        .map(|decision| decision.offer_id.as_str())
        .collect();
    offers.sort_unstable();
    assert_eq!(offers, ["b", "d"]);
}

#[tokio::test]
async fn propensities_follow_what_was_learnt() {
    let bench = bench();
    let model = bench.create(&["a", "b"]).await;
    for _ in 0..3 {
        let made = bench.recommend(among(&model, &["a", "b"])).await.unwrap();
        let request = wire::RespondRequest {
            offer_id: "a".to_owned(),
            ..positive(&made.recommendation_id, 0)
        };
        assert!(bench.respond(request).await.unwrap().counted);
    }
    let made = bench.recommend(recommend(&model)).await.unwrap();
    let by_offer: BTreeMap<&str, f64> = made
        .decisions
        .iter()
        .map(|decision| (decision.offer_id.as_str(), decision.propensity))
        .collect();
    // P(Beta(4, 1) > U) is the mean of Beta(4, 1).
    assert!(
        (by_offer["a"] - 0.8).abs() < 1e-12 && (by_offer["b"] - 0.2).abs() < 1e-12,
        "{by_offer:?}"
    );
}

#[tokio::test]
async fn limit_is_five_unless_asked() {
    let bench = bench();
    let names: Vec<String> = (0..150).map(|n| format!("o{n}")).collect();
    let model = bench
        .create(&names.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    for (limit, expected) in [(0, 5), (7, 7), (100, 100)] {
        let made = bench
            .recommend(wire::RecommendRequest {
                limit,
                ..recommend(&model)
            })
            .await
            .unwrap();
        assert_eq!(made.decisions.len(), expected);
    }
    for limit in [-1, 101] {
        let error = bench
            .recommend(wire::RecommendRequest {
                limit,
                ..recommend(&model)
            })
            .await
            .unwrap_err();
        assert_eq!(fields(&error), ["limit"]);
    }
}

#[tokio::test]
async fn a_candidate_that_is_no_option_is_named() {
    let bench = bench();
    let model = bench.create(&["a", "b"]).await;
    let error = bench
        .recommend(among(&model, &["a", "x", "y"]))
        .await
        .unwrap_err();
    assert_eq!(
        fields(&error),
        ["candidates[1].offer_id", "candidates[2].offer_id"]
    );
    let error = bench.recommend(among(&model, &["a", "a"])).await.unwrap_err();
    assert_eq!(fields(&error), ["candidates[1].offer_id"]);
}

#[tokio::test]
async fn a_decision_is_read_as_it_was_made_and_can_be_made_again() {
    let bench = bench();
    let model = bench.create(&["a", "b", "c"]).await;
    let made = bench
        .recommend(wire::RecommendRequest {
            debug: true,
            ..recommend(&model)
        })
        .await
        .unwrap();
    bench.respond(positive(&made.recommendation_id, 1)).await.unwrap();
    let request = wire::GetDecisionRequest {
        id: made.recommendation_id.clone(),
    };
    let read = bench
        .rpc
        .get_decision(bench.ask("GetDecision", request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (read.recommendation.as_ref(), read.customer_id.as_str()),
        (Some(&made), "c1")
    );
    assert_eq!(read.made_at.unwrap().seconds, 1_800_000_000);

    let meta = from_struct(made.meta.as_ref().unwrap());
    let (recommendation, model) = (made.recommendation_id.parse().unwrap(), model.id.parse().unwrap());
    let seed = Seed::of(recommendation, model);
    assert_eq!(meta["seed"], Value::from(seed.to_string()));
    let number = |candidate: &Value, field: &str| candidate[field].as_f64().unwrap();
    let candidates = meta["candidates"].as_array().unwrap();
    let beliefs: Vec<Beta> = candidates
        .iter()
        .map(|candidate| Beta {
            alpha: number(candidate, "alpha"),
            beta: number(candidate, "beta"),
        })
        .collect();
    let scores = draw(seed, &beliefs);
    for (rank, candidate) in ranking(&scores).into_iter().enumerate() {
        assert_eq!(made.decisions[rank].score.to_bits(), scores[candidate].to_bits());
        assert_eq!(
            candidates[candidate]["offer_id"],
            made.decisions[rank].offer_id.as_str()
        );
    }
    let quiet = bench.recommend(recommend_again(&made)).await.unwrap();
    assert_eq!(quiet.meta, None);
}

fn recommend_again(made: &wire::RecommendResponse) -> wire::RecommendRequest {
    wire::RecommendRequest {
        customer_id: "c2".to_owned(),
        model_id: made.model_id.clone(),
        ..Default::default()
    }
}
