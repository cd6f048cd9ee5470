//! Readiness: whether every service that the contracts name answers (B-GW-15).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use causeway_contracts::METHODS;
use http::StatusCode;
use serde_json::json;

use crate::Gateway;

/// How long a probe waits for a service.
const PATIENCE: Duration = Duration::from_secs(1);

/// The service whose keys the gateway verifies with.
const AUTH: &str = "auth";

pub(crate) async fn answer(gateway: &Gateway) -> Response {
    let owners: BTreeSet<&'static str> = METHODS.iter().map(|method| method.owner).collect();
    let asked = owners.into_iter().map(|owner| async move {
        let serving = causeway_mesh::is_serving(gateway.mesh.to(owner), owner);
        (
            owner,
            tokio::time::timeout(PATIENCE, serving).await.unwrap_or(false),
        )
    });
    let states = futures::future::join_all(asked).await;
    let missing: Vec<&str> = states
        .iter()
        // Auth is no use to a gateway that has no keys of it yet.
        .filter(|(owner, serving)| !serving || (*owner == AUTH && !gateway.access.is_ready()))
        .map(|(owner, _)| *owner)
        .collect();
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if missing.is_empty() { "ready" } else { "not_ready" };
    (
        status,
        axum::Json(json!({"status": word, "not_serving": missing})),
    )
        .into_response()
}
