//! Which option to show and what was learnt from it.
//!
//! Every decision is kept with all that it was made from (beliefs, seed, version), so that it can be made again, and
//! with the exact probability with which the model put each option first. An outcome counts once; one that comes
//! before its decision is known waits for it.

pub mod beta;
mod config;
mod data;
pub mod decision;
mod error;
mod grpc;
pub mod id;
pub mod model;
pub mod propensity;
pub mod service;
pub mod store;
mod wire;

use std::sync::Arc;

use causeway_contracts::scoring::v1::scoring_data_service_server::ScoringDataServiceServer;
use causeway_contracts::scoring::v1::scoring_service_server::ScoringServiceServer;
use causeway_mesh::{Mesh, Service, always_ready};
use causeway_outbox::{MemoryOutbox, Relay};
pub use config::Config;
use tonic::service::Routes;

use crate::data::ScoringData;
use crate::grpc::ScoringRpc;
use crate::service::Decisions;
use crate::store::MemoryScoringStore;

/// What the service needs of its surroundings.
pub struct Parts {
    /// The way to the audit log.
    pub mesh: Mesh,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Starts the service over a store in memory, and the relay that carries its facts to the audit log.
///
/// # Errors
/// None yet.
pub async fn start(_config: Config, parts: Parts) -> Result<Service, StartError> {
    let outbox = MemoryOutbox::default();
    let (relay, handle) = Relay::new(Arc::new(outbox.clone()), parts.mesh.to("audit"));
    let store = Arc::new(MemoryScoringStore::new(outbox));
    let data = ScoringDataServiceServer::new(ScoringData(store.clone()));
    let decisions = Decisions::new(store, handle);
    Ok(Service {
        name: "scoring",
        routes: Routes::new(ScoringServiceServer::new(ScoringRpc(decisions))).add_service(data),
        background: vec![Box::new(|stop| Box::pin(relay.run(stop)))],
        ready: always_ready(),
    })
}

#[cfg(test)]
mod tests;
