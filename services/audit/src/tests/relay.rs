use super::*;

fn row(workspace: WorkspaceId, target: &str) -> wire::RelayedEvent {
    let event = wire::Event {
        id: Uuid::now_v7().to_string(),
        actor_kind: "user".to_owned(),
        actor_id: "ada".to_owned(),
        occurred_at: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
        service: "tenancy".to_owned(),
        ..placed(target)
    };
    wire::RelayedEvent {
        workspace_id: workspace.to_string(),
        event: Some(event),
    }
}

async fn relay(rpc: &AuditRpc, events: Vec<wire::RelayedEvent>) -> Result<(), ApiError> {
    let message = wire::RelayEventsRequest { events };
    rpc.relay_events(request(Caller::service("tenancy"), "RelayEvents", message))
        .await?;
    Ok(())
}

#[tokio::test]
async fn relayed_rows_go_to_their_workspaces_in_order_and_once() {
    let (rpc, ada, bob) = (rpc(), person(), person());
    let rows: Vec<_> = (0..6)
        .map(|n| {
            row(
                if n % 2 == 0 { ada.workspace } else { bob.workspace },
                &n.to_string(),
            )
        })
        .collect();
    relay(&rpc, rows[..4].to_vec()).await.unwrap();
    relay(&rpc, rows.clone()).await.unwrap();
    for (person, expected) in [(&ada, ["0", "2", "4"]), (&bob, ["1", "3", "5"])] {
        let entries = list(&rpc, person, wire::ListEventsRequest::default())
            .await
            .entries;
        let targets: Vec<String> = entries
            .into_iter()
            .map(|entry| entry.event.unwrap().target_id)
            .collect();
        assert_eq!(targets, expected);
    }
}

#[tokio::test]
async fn no_relayed_row_blocks_those_behind_it() {
    let (rpc, ada) = (rpc(), person());
    let first = row(ada.workspace, "first");
    let mut reused = first.clone();
    reused.event.as_mut().unwrap().target_id = "reused".to_owned();
    let mut large = row(ada.workspace, "large");
    large.event.as_mut().unwrap().details = json!({"note": "x".repeat(20_000)}).as_object().map(to_struct);
    relay(&rpc, vec![first, reused, large, row(ada.workspace, "last")])
        .await
        .unwrap();
    let entries = list(&rpc, &ada, wire::ListEventsRequest::default()).await.entries;
    let events: Vec<wire::Event> = entries.into_iter().filter_map(|entry| entry.event).collect();
    let targets: Vec<&str> = events.iter().map(|event| event.target_id.as_str()).collect();
    assert_eq!(targets, ["first", "large", "last"]);
    assert!(
        events[1]
            .details
            .as_ref()
            .unwrap()
            .fields
            .contains_key("omitted_sha256")
    );
}

#[tokio::test]
async fn a_malformed_row_is_named() {
    let rows = vec![wire::RelayedEvent {
        workspace_id: "w".to_owned(),
        event: None,
    }];
    let error = relay(&rpc(), rows).await.unwrap_err();
    assert_eq!(
        fields(&error),
        [
            "events[0].workspace_id",
            "events[0].event.id",
            "events[0].event.occurred_at"
        ]
    );
}
