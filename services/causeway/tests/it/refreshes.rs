//! Refreshes on PostgreSQL, over all processes.

use serde_json::json;
use tokio::task::JoinSet;

use crate::http::Client;
use crate::mesh::{account, text};
use crate::processes::Fleet;

/// REF-02, REF-03, REF-04: one rotation, one answer for everybody; and who comes later with a used token ends the family.
#[tokio::test(flavor = "multi_thread")]
async fn many_refreshes_of_one_token_at_two_gateways_get_one_successor() {
    let Some(mut fleet) = Fleet::with(&[]).await else {
        return;
    };
    let gateways = [fleet.base.clone(), fleet.gateway().await];
    let here = Client::new(&gateways[0]);
    let ada = account(&here, "ada").await;
    let login = here
        .post(
            "/auth/login",
            json!({"email": ada.email, "password": ada.password}),
        )
        .await;
    let set = login.headers.get_all("set-cookie").iter();
    let mut set = set.filter_map(|value| value.to_str().unwrap().strip_prefix("refresh_token="));
    let first = set.next().unwrap().split(';').next().unwrap().to_owned();
    let refresh = |gateway: &str, token: &str| {
        let (client, body) = (Client::new(gateway), json!({"refresh_token": token}));
        async move { client.post("/auth/refresh", body).await }
    };

    let mut asking = JoinSet::new();
    for index in 0..64 {
        asking.spawn(refresh(&gateways[index % 2], &first));
    }
    let answers = asking.join_all().await;
    let mut successors: Vec<String> = answers
        .iter()
        .map(|answer| text(&answer.json(200), "refresh_token"))
        .collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_ne!(successors[0], first);

    let next = refresh(&gateways[1], &successors[0]).await.json(200);
    for used in [&first, &text(&next, "refresh_token")] {
        let refused = refresh(&gateways[0], used).await;
        assert_eq!(refused.reason(401), "INVALID_REFRESH_TOKEN");
    }
}
