use super::*;

#[tokio::test]
async fn a_reading_is_an_entry_that_its_own_page_does_not_hold() {
    let (rpc, ada) = (rpc(), person());
    numbered(&rpc, &ada, 2).await;
    let first = list(&rpc, &ada, wire::ListEventsRequest::default()).await;
    assert_eq!(seqs(&first.entries), [0, 1]);
    let get = wire::GetEventRequest { seq: 1 };
    let got = rpc
        .get_event(ada.ask("GetEvent", get))
        .await
        .unwrap()
        .into_inner()
        .entry
        .unwrap();
    assert_eq!(got, first.entries[1]);
    let readings = wire::ListEventsRequest {
        action: "audit.read".to_owned(),
        ..Default::default()
    };
    let readings = list(&rpc, &ada, readings).await.entries;
    assert_eq!(seqs(&readings), [2, 3]);
    let event = readings[0].event.clone().unwrap();
    assert_eq!(
        (event.actor_id, event.service),
        (ada.user.to_string(), "audit".to_owned())
    );
    let details = causeway_contracts::from_struct(&event.details.unwrap());
    assert_eq!(
        Value::Object(details),
        json!({"entries": 2, "first_seq": 0, "last_seq": 1})
    );
}

#[tokio::test]
async fn a_walk_in_pages_of_one_ends_and_misses_nothing() {
    let (rpc, ada) = (rpc(), person());
    numbered(&rpc, &ada, 5).await;
    let (mut walked, mut page_token) = (Vec::new(), String::new());
    for _ in 0..6 {
        let page = wire::ListEventsRequest {
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page = list(&rpc, &ada, page).await;
        walked.extend(seqs(&page.entries));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((walked, page_token.as_str()), (vec![0, 1, 2, 3, 4], ""));
}

#[tokio::test]
async fn a_filtered_page_knows_whether_more_follows() {
    let (rpc, ada) = (rpc(), person());
    numbered(&rpc, &ada, 3).await;
    append(
        &rpc,
        &ada,
        vec![wire::Event {
            action: "order.paid".to_owned(),
            ..placed("1")
        }],
    )
    .await
    .unwrap();
    let one = wire::ListEventsRequest {
        target_id: "1".to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let first = list(&rpc, &ada, one.clone()).await;
    assert_eq!(seqs(&first.entries), [1]);
    let second = list(
        &rpc,
        &ada,
        wire::ListEventsRequest {
            page_token: first.next_page_token,
            ..one
        },
    )
    .await;
    assert_eq!(
        (seqs(&second.entries), second.next_page_token.as_str()),
        (vec![3], "")
    );
}

#[tokio::test]
async fn a_wrong_search_names_its_field() {
    let (rpc, ada) = (rpc(), person());
    let wrong = [
        (
            "page_size",
            wire::ListEventsRequest {
                page_size: -1,
                ..Default::default()
            },
        ),
        (
            "page_token",
            wire::ListEventsRequest {
                page_token: "?".to_owned(),
                ..Default::default()
            },
        ),
        (
            "outcome",
            wire::ListEventsRequest {
                outcome: "?".to_owned(),
                ..Default::default()
            },
        ),
        (
            "from",
            wire::ListEventsRequest {
                from: Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..Default::default()
            },
        ),
    ];
    for (field, request) in wrong {
        let error = ApiError::from(rpc.list_events(ada.ask("ListEvents", request)).await.unwrap_err());
        assert_eq!(fields(&error), [field]);
    }
    assert_eq!(root(&rpc, &ada).await.size, 0, "a refused reading is no reading");
}

#[tokio::test]
async fn an_unknown_entry_is_not_found() {
    let (rpc, ada) = (rpc(), person());
    let get = |seq| rpc.get_event(ada.ask("GetEvent", wire::GetEventRequest { seq }));
    let error = ApiError::from(get(0).await.unwrap_err());
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::NotFound, "EVENT_NOT_FOUND")
    );
    assert_eq!(fields(&ApiError::from(get(-1).await.unwrap_err())), ["seq"]);
}

#[tokio::test]
async fn a_foreign_workspace_sees_nothing() {
    let (rpc, ada, eve) = (rpc(), person(), person());
    numbered(&rpc, &ada, 3).await;
    assert_eq!(root(&rpc, &eve).await.size, 0);
    assert_eq!(
        list(&rpc, &eve, wire::ListEventsRequest::default()).await.entries,
        []
    );
    let get = eve.ask("GetEvent", wire::GetEventRequest { seq: 2 });
    assert_eq!(rpc.get_event(get).await.unwrap_err().code(), Code::NotFound);
}
