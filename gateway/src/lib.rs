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
mod tenants;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{AccessConfig, Config, Regions};
pub use door::tasks::{AuthMode, TaskRules};

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use causeway_mesh::{Background, Mesh};
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;

use crate::door::{access, authenticate, idempotency, machine, rate, revoked};
use crate::target::Targets;
use crate::tenants::Tenants;

/// What every layer and surface shares.
pub(crate) struct Gateway {
    config: Config,
    mesh: Mesh,
    access: access::AccessTokens,
    targets: Targets,
    credentials: authenticate::Cache,
    machines: machine::Standings,
    revoked: revoked::Revoked,
    addresses: rate::Limiter,
    workspaces: rate::Limiter,
    tenants: Tenants,
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
///
/// The second part is what the gateway does beside: it asks for what was revoked, and for the keys of access tokens.
pub fn router(config: Config, mesh: Mesh, health: tonic::service::Routes) -> (Router, Background) {
    let gateway = Arc::new(Gateway {
        targets: Targets::from_method_table(),
        credentials: authenticate::Cache::new(),
        machines: machine::Standings::default(),
        revoked: revoked::Revoked::default(),
        addresses: rate::Limiter::new(),
        workspaces: rate::Limiter::new(),
        tenants: Tenants::new(),
        answers: idempotency::Answers::new(),
        calls: TaskTracker::new(),
        health: health.prepare(),
        access: access::AccessTokens::new(&config.access, &mesh),
        config,
        mesh,
    });
    let watching = Arc::clone(&gateway);
    let background: Background = Box::new(move |stop| {
        Box::pin(async move {
            let keys = watching.access.keep(stop.clone());
            tokio::join!(revoked::watch(Arc::clone(&watching), stop), keys);
        })
    });
    let cors = door::cors::rules(&gateway.config);
    // One stack, and not a layer of the router each: those are boxed one by one, and a request would copy the boxes of all
    // that stand behind at each of them. The first is the first that a request meets.
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(&gateway), door::observe::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::panic::layer))
        .layer(from_fn_with_state(
            Arc::clone(&gateway),
            door::security_headers::layer,
        ))
        .layer(from_fn_with_state(cors, door::cors::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::strip::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::limits::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::route::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), rate::by_address))
        .layer(from_fn_with_state(Arc::clone(&gateway), authenticate::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::region::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), rate::by_workspace))
        .layer(from_fn_with_state(Arc::clone(&gateway), door::authorize::layer))
        .layer(from_fn_with_state(Arc::clone(&gateway), idempotency::layer));
    let router = Router::new()
        .fallback(target::dispatch)
        .with_state(gateway)
        .layer(layers);
    (router, background)
}
