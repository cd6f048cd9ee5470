use super::*;

#[tokio::test]
async fn every_wrong_field_of_a_request_is_named() {
    let bench = bench();
    let model = bench.create(&["a"]).await;
    let large = json!({"note": "x".repeat(20_000)}).as_object().map(to_struct);
    let wrong = wire::RecommendRequest {
        customer_id: String::new(),
        channel: "c\n".to_owned(),
        model_id: "m".to_owned(),
        attributes: large,
        ..recommend(&model)
    };
    let error = bench.recommend(wrong).await.unwrap_err();
    assert_eq!(
        fields(&error),
        ["customer_id", "channel", "model_id", "attributes"]
    );
    let wrong = wire::RespondRequest {
        outcome: "maybe".to_owned(),
        value: Some(f64::NAN),
        idempotency_key: "k".repeat(256),
        ..positive("r", 0)
    };
    let error = bench.respond(wrong).await.unwrap_err();
    assert_eq!(
        fields(&error),
        ["recommendation_id", "outcome", "rank", "value", "idempotency_key"]
    );
    assert_eq!(
        fields(&bench.respond(positive(&model.id, -1)).await.unwrap_err()),
        ["rank"]
    );
    let request = bench.ask(
        "CreateModel",
        wire::CreateModelRequest {
            kind: "onnx".to_owned(),
            ..create(&["a"])
        },
    );
    let error = ApiError::from(bench.rpc.create_model(request).await.unwrap_err());
    assert_eq!(fields(&error), ["kind"]);
    let request = bench.ask(
        "ListModels",
        wire::ListModelsRequest {
            page_size: -1,
            ..Default::default()
        },
    );
    assert_eq!(
        fields(&ApiError::from(bench.rpc.list_models(request).await.unwrap_err())),
        ["page_size"]
    );
}

#[tokio::test]
async fn a_foreign_workspace_finds_nothing() {
    let bench = bench();
    let model = bench.create(&["a"]).await;
    let made = bench.recommend(recommend(&model)).await.unwrap();
    let eve = WorkspaceId::generate();
    let id = model.id.clone();
    let recommended = bench
        .rpc
        .recommend(bench.ask_in(eve, "Recommend", recommend(&model)))
        .await
        .unwrap_err();
    let got = bench
        .rpc
        .get_model(bench.ask_in(eve, "GetModel", wire::GetModelRequest { id: id.clone() }));
    let state = wire::GetModelStateRequest { id: id.clone() };
    let state = bench
        .rpc
        .get_model_state(bench.ask_in(eve, "GetModelState", state));
    let deleted = bench
        .rpc
        .delete_model(bench.ask_in(eve, "DeleteModel", wire::DeleteModelRequest { id }));
    for status in [
        recommended,
        got.await.unwrap_err(),
        state.await.unwrap_err(),
        deleted.await.unwrap_err(),
    ] {
        let error = ApiError::from(status);
        assert_eq!(
            (error.code, error.reason.as_ref()),
            (Code::NotFound, "MODEL_NOT_FOUND")
        );
    }
    let decision = wire::GetDecisionRequest {
        id: made.recommendation_id.clone(),
    };
    let decision = bench
        .rpc
        .get_decision(bench.ask_in(eve, "GetDecision", decision))
        .await
        .unwrap_err();
    assert_eq!(ApiError::from(decision).reason, "DECISION_NOT_FOUND");
    let response = bench.ask_in(eve, "Respond", positive(&made.recommendation_id, 1));
    assert!(bench.rpc.respond(response).await.unwrap().into_inner().parked);
    let list = bench.ask_in(eve, "ListModels", wire::ListModelsRequest::default());
    assert_eq!(bench.rpc.list_models(list).await.unwrap().into_inner().models, []);
    assert_eq!(bench.state(&model.id).await.model_version, 0);
}

#[tokio::test]
async fn models_come_in_pages() {
    let bench = bench();
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(bench.create(&["a"]).await.id);
    }
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    for expected in [2, 1] {
        let request = wire::ListModelsRequest {
            page_size: 2,
            page_token,
        };
        let page = bench
            .rpc
            .list_models(bench.ask("ListModels", request))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.models.len(), expected);
        listed.extend(page.models.into_iter().map(|model| model.id));
        page_token = page.next_page_token;
    }
    assert_eq!((listed, page_token.as_str()), (made, ""));
}
