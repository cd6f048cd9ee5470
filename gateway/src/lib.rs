//! The door: everything from outside comes in here. Layers in `door/`, one file each; then a request is transcoded
//! (`rest/`), unwrapped (gRPC-web), passed through (gRPC) or translated (`openai/`). No database.

mod config;
mod door;
mod grpc;
mod json;
mod openai;
mod pages;
mod ready;
mod refusal;
mod rest;
mod rpc;
mod target;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{Config, RateTier};

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use causeway_crypto::AccessTokenKey;
use causeway_mesh::Mesh;
use tokio_util::task::TaskTracker;

use crate::door::{authenticate, idempotency, rate};
use crate::target::Targets;

/// What every layer and surface shares.
pub(crate) struct Gateway {
    config: Config,
    mesh: Mesh,
    access: AccessTokenKey,
    targets: Targets,
    credentials: authenticate::Cache,
    addresses: rate::Limiter,
    workspaces: rate::Limiter,
    answers: idempotency::Answers,
    /// Calls that run to their end whether or not their client waits.
    calls: TaskTracker,
    health: tonic::service::Routes,
}

/// The gateway as a service of requests. `mesh` leads to every service that the method table names; `reflection` is
/// what the gateway itself answers over gRPC: health and reflection.
///
/// The order of the layers is B-GW-2's with one difference, which `docs/decisions/0002` explains: an idempotent answer
/// is replayed to a caller who is proven, never before.
pub fn router(config: Config, mesh: Mesh, access: AccessTokenKey, health: tonic::service::Routes) -> Router {
    let gateway = Arc::new(Gateway {
        targets: Targets::from_method_table(),
        credentials: authenticate::Cache::new(),
        addresses: rate::Limiter::new(),
        workspaces: rate::Limiter::new(),
        answers: idempotency::Answers::new(),
        calls: TaskTracker::new(),
        health: health.prepare(),
        config,
        mesh,
        access,
    });
    let cors = door::cors::rules(&gateway.config);
    // The last layer added is the first that a request meets.
    Router::new()
        .fallback(target::dispatch)
        .with_state(Arc::clone(&gateway))
        .layer(from_fn_with_state(Arc::clone(&gateway), idempotency::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::authorize::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), rate::by_workspace))
        .layer(from_fn_with_state(Arc::clone(&gateway), authenticate::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), rate::by_address))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::route::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::limits::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::strip::layer))
        .layer(from_fn_with_state(cors, door::cors::layer))
        .layer(from_fn_with_state(
            Arc::clone(&gateway),
            door::security_headers::layer,
        ))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::panic::layer))
        .layer(from_fn_with_state(gateway, door::observe::layer))
}
