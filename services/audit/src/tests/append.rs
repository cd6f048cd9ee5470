use super::*;

#[tokio::test]
async fn a_client_cannot_claim_another_actor_time_or_service() {
    let (rpc, ada) = (rpc(), person());
    let forged = wire::Event {
        actor_kind: "service".to_owned(),
        actor_id: "tenancy".to_owned(),
        occurred_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        request_id: "forged".to_owned(),
        service: "tenancy".to_owned(),
        ..placed("7")
    };
    append(&rpc, &ada, vec![forged]).await.unwrap();
    let entry = list(&rpc, &ada, wire::ListEventsRequest::default())
        .await
        .entries
        .remove(0);
    let event = entry.event.unwrap();
    assert_eq!(
        (event.actor_kind, event.actor_id),
        ("user".to_owned(), ada.user.to_string())
    );
    assert_eq!(event.occurred_at.unwrap().seconds, now().timestamp());
    assert_ne!(event.request_id, "forged");
    assert_eq!(event.service, "product");
    assert_eq!(event.outcome, "success");
}

#[tokio::test]
async fn an_append_is_idempotent_by_event_id() {
    let (rpc, ada) = (rpc(), person());
    let event = wire::Event {
        id: Uuid::now_v7().to_string(),
        ..placed("7")
    };
    assert_eq!(
        append(&rpc, &ada, vec![placed("1"), event.clone()])
            .await
            .unwrap(),
        [0, 1]
    );
    assert_eq!(append(&rpc, &ada, vec![event.clone()]).await.unwrap(), [1]);
    let other = wire::Event {
        target_id: "8".to_owned(),
        ..event
    };
    let error = append(&rpc, &ada, vec![placed("2"), other]).await.unwrap_err();
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::AlreadyExists, "EVENT_ID_REUSED")
    );
    assert_eq!(root(&rpc, &ada).await.size, 2);
}

#[tokio::test]
async fn every_wrong_field_of_a_batch_is_named() {
    let (rpc, ada) = (rpc(), person());
    let large = json!({"note": "x".repeat(20_000)});
    let events = vec![
        placed("1"),
        wire::Event {
            id: "7".to_owned(),
            outcome: "perhaps".to_owned(),
            ..placed("2")
        },
    ];
    assert_eq!(
        fields(&append(&rpc, &ada, events).await.unwrap_err()),
        ["events[1].id", "events[1].outcome"]
    );
    let events = vec![
        wire::Event {
            action: String::new(),
            ..placed("1")
        },
        wire::Event {
            details: large.as_object().map(to_struct),
            ..placed("2")
        },
        wire::Event {
            target_kind: "k".repeat(600),
            ..placed("3")
        },
    ];
    let error = append(&rpc, &ada, events).await.unwrap_err();
    assert_eq!(
        fields(&error),
        ["events[0].action", "events[1].details", "events[2].target_kind"]
    );
    assert_eq!(
        fields(&append(&rpc, &ada, Vec::new()).await.unwrap_err()),
        ["events"]
    );
    assert_eq!(
        fields(&append(&rpc, &ada, vec![placed("1"); 1001]).await.unwrap_err()),
        ["events"]
    );
    assert_eq!(root(&rpc, &ada).await.size, 0);
}

#[tokio::test]
async fn a_caller_without_a_workspace_is_refused() {
    let events = wire::AppendEventsRequest {
        events: vec![placed("1")],
    };
    let error = rpc()
        .append_events(request(Caller::service("llm"), "AppendEvents", events))
        .await
        .unwrap_err();
    assert_eq!(ApiError::from(error).reason, "WORKSPACE_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_append_at_once_get_numbers_of_their_own() {
    let (rpc, ada) = (Arc::new(rpc()), Arc::new(person()));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let (rpc, ada) = (rpc.clone(), ada.clone());
        tasks.spawn(async move {
            append(&rpc, &ada, vec![placed(&task.to_string()), placed("x")])
                .await
                .unwrap()
        });
    }
    let numbers: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(numbers.len(), 128);
    assert_eq!(numbers.into_iter().collect::<HashSet<_>>(), (0..128).collect());
    let report = rpc
        .verify_log(ada.ask("VerifyLog", wire::VerifyLogRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((report.valid, report.size), (true, 128));
}
