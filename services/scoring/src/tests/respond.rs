use super::*;

#[tokio::test]
async fn a_response_moves_the_posterior() {
    let bench = bench();
    let model = bench.create(&["a", "b", "c"]).await;
    assert_eq!((model.version, model.kind.as_str()), (0, "thompson"));
    let made = bench.recommend(recommend(&model)).await.unwrap();
    assert_eq!((made.decisions.len(), made.model_version), (3, 0));
    let answer = bench.respond(positive(&made.recommendation_id, 1)).await.unwrap();
    assert_eq!(
        (answer.counted, answer.parked, answer.model_version),
        (true, false, 1)
    );
    assert_eq!(answer.model_id, model.id);
    let state = bench.state(&model.id).await;
    assert_eq!(state.model_version, 1);
    for offer in state.offers {
        let expected = if offer.offer_id == made.decisions[0].offer_id {
            (2.0, 1)
        } else {
            (1.0, 0)
        };
        assert_eq!((offer.alpha, offer.outcomes), expected);
        assert_eq!((offer.beta, offer.shown), (1.0, 1));
        assert_eq!(offer.mean, offer.alpha / (offer.alpha + 1.0));
    }
    assert_eq!(bench.recommend(recommend(&model)).await.unwrap().model_version, 1);
}

#[tokio::test]
async fn a_response_to_no_shown_option_is_named() {
    let bench = bench();
    let model = bench.create(&["a", "b"]).await;
    let made = bench
        .recommend(wire::RecommendRequest {
            limit: 1,
            ..recommend(&model)
        })
        .await
        .unwrap();
    let error = bench
        .respond(positive(&made.recommendation_id, 2))
        .await
        .unwrap_err();
    assert_eq!(fields(&error), ["rank"]);
    let hidden = if made.decisions[0].offer_id == "a" {
        "b"
    } else {
        "a"
    };
    for rank in [0, 1] {
        let request = wire::RespondRequest {
            offer_id: hidden.to_owned(),
            ..positive(&made.recommendation_id, rank)
        };
        assert_eq!(fields(&bench.respond(request).await.unwrap_err()), ["offer_id"]);
    }
}

#[tokio::test]
async fn an_outcome_counts_once_by_its_key() {
    let bench = bench();
    let model = bench.create(&["a"]).await;
    let made = bench.recommend(recommend(&model)).await.unwrap();
    let keyed = wire::RespondRequest {
        idempotency_key: "k1".to_owned(),
        ..positive(&made.recommendation_id, 1)
    };
    assert!(bench.respond(keyed.clone()).await.unwrap().counted);
    let repeat = bench.respond(keyed.clone()).await.unwrap();
    assert_eq!(
        (repeat.counted, repeat.parked, repeat.model_version),
        (false, false, 1)
    );
    let error = bench
        .respond(wire::RespondRequest {
            outcome: "negative".to_owned(),
            ..keyed
        })
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED")
    );
}

#[tokio::test]
async fn an_outcome_of_an_unknown_decision_is_parked() {
    let bench = bench();
    let answer = bench
        .respond(positive(&Uuid::now_v7().to_string(), 1))
        .await
        .unwrap();
    assert_eq!(
        answer,
        wire::RespondResponse {
            parked: true,
            ..Default::default()
        }
    );
}

#[tokio::test]
async fn every_change_leaves_its_event() {
    let bench = bench();
    let model = bench.create(&["a"]).await;
    let made = bench.recommend(recommend(&model)).await.unwrap();
    bench.respond(positive(&made.recommendation_id, 1)).await.unwrap();
    let delete = wire::DeleteModelRequest { id: model.id.clone() };
    bench
        .rpc
        .delete_model(bench.ask("DeleteModel", delete))
        .await
        .unwrap();
    let events = bench.outbox.unsent(10).await.unwrap();
    let told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event.action.as_str(), event.target_id.as_str()))
        .collect();
    let (model, made) = (model.id.as_str(), made.recommendation_id.as_str());
    let expected = [
        ("scoring.model_created", model),
        ("decision.made", made),
        ("decision.responded", made),
        ("scoring.model_deleted", model),
    ];
    assert_eq!(told, expected);
    assert!(
        events
            .iter()
            .all(|event| event.workspace == bench.workspace && event.service == "scoring")
    );
    assert_eq!(events[2].details["counted"], true);
}
