//! A workspace is limited by its own tier, and by nobody else's calls.

use causeway_context::WorkspaceId;
use futures::StreamExt as _;
use serde_json::json;

use crate::mesh::Account;
use crate::platform::{decide, owned_by};

/// So many calls, a few at a time: how many were answered, and the last refusal.
async fn calls(account: &Account, number: usize) -> (usize, Option<crate::http::Answer>) {
    let answers = futures::stream::iter(0..number)
        .map(|_| account.client.get("/v1/tenant/status"))
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await;
    let (served, mut refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    (served.len(), refused.pop())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tier_that_the_platform_gives_is_the_limit_of_that_workspace_alone() {
    let on = [("NODE_ENV", "development"), ("RATE_LIMIT_PER_MINUTE", "0")];
    let (mesh, platform) = owned_by(WorkspaceId::generate(), &on).await;
    let (free, other) = (mesh.account("free").await, mesh.account("other").await);
    decide(&platform, &free, json!({"rate_tier": "free"})).await;
    let (served, refused) = calls(&free, 640).await;
    // A window that slides: a slow machine lets a few more in.
    assert!((600..640).contains(&served), "{served}");
    let refused = refused.expect("the limit was reached");
    assert_eq!(refused.reason(429), "RATE_LIMITED");
    assert!(
        refused
            .header("retry-after")
            .parse::<u64>()
            .is_ok_and(|wait| (1..=120).contains(&wait))
    );
    assert_eq!(refused.header("ratelimit-policy"), r#""default";q=600;w=60"#);
    assert!(
        refused.header("ratelimit").starts_with(r#""default";r=0;t="#),
        "{:?}",
        refused.headers
    );
    let (served, refused) = calls(&other, 640).await;
    assert_eq!(
        (served, refused.is_none()),
        (640, true),
        "the standard tier of another workspace"
    );
    mesh.end().await;
}
