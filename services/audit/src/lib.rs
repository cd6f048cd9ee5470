//! What happened, in order, and provably so: one append-only log per workspace, with a gap-free sequence from 0 and a
//! Merkle tree (RFC 6962) over the stored bytes of its entries.
//!
//! The log promises: an event that was answered for is in the log and stays; an event id is in it once; who did it
//! comes from the call and not from its body; reading the log is an entry of the log.

pub mod canonical;
mod config;
mod error;
pub mod event;
mod grpc;
pub mod merkle;
pub mod service;
pub mod store;
pub mod verify;
mod wire;

use std::sync::Arc;

use causeway_contracts::audit::v1::audit_service_server::AuditServiceServer;
use causeway_mesh::{Mesh, Service};
pub use config::Config;
use tonic::service::Routes;

use crate::grpc::AuditRpc;
use crate::service::AuditLog;
use crate::store::MemoryAuditStore;

/// What the service needs of its surroundings.
pub struct Parts {
    /// The way to other services; the log calls none of them yet.
    pub mesh: Mesh,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {}

/// Starts the service over logs in memory.
///
/// # Errors
/// None yet.
pub async fn start(_config: Config, _parts: Parts) -> Result<Service, StartError> {
    let log = AuditLog::new(Arc::new(MemoryAuditStore::default()));
    let asked = log.clone();
    Ok(Service {
        name: "audit",
        routes: Routes::new(AuditServiceServer::new(AuditRpc(log))),
        background: Vec::new(),
        ready: Arc::new(move || {
            let log = asked.clone();
            Box::pin(async move { log.ready().await })
        }),
    })
}

#[cfg(test)]
mod tests;
