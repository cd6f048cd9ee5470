//! Which model answers. The service promises: the provider that the workspace chose, else those that the settings choose,
//! in their order, and no other; a
//! pinned provider that cannot be used is an error and never the mock; no attempt after the first piece of a stream;
//! no stream that broke looks complete; and one fact in the audit log for every call, given up or not.

mod attempts;
mod audit;
pub mod config;
mod domain;
mod error;
mod grpc;
mod overrides;
mod provider;
#[cfg(test)]
mod scripted;
mod selection;
mod service;

pub use config::Config;

use std::convert::Infallible;
use std::sync::Arc;

use causeway_contracts::llm::v1::llm_service_server::LlmServiceServer;
use causeway_egress::{Egress, EgressOptions};
use causeway_mesh::{Background, Mesh, Service, always_ready};
use causeway_outbox::{MemoryOutbox, Relay};
use tonic::service::Routes;

use crate::grpc::Grpc;
use crate::overrides::{MeshTenantAi, Overrides};
use crate::selection::Selection;
use crate::service::Llm;

/// The name of the service in the mesh.
pub const NAME: &str = "llm";

/// A long conversation is larger than tonic's default of 4 MiB; the gateway has the limit that clients see.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// What the service is given.
pub struct Parts {
    /// The way to other services.
    pub mesh: Mesh,
}

/// Nothing can fail here: providers are asked when they are needed.
pub type StartError = Infallible;

/// Starts the service; it is not yet reachable.
///
/// # Errors
/// None.
pub async fn start(config: Config, parts: Parts) -> Result<Service, StartError> {
    let egress = Egress::new(EgressOptions::default());
    let selection = Selection::new(&config, &egress);
    log_choice(&config, &selection);
    let outbox = MemoryOutbox::default();
    let (relay, handle) = Relay::new(Arc::new(outbox.clone()), parts.mesh.to("audit"));
    let tenants = Overrides::new(Arc::new(MeshTenantAi::new(&parts.mesh)), config.tenants.clone());
    let llm = Llm::new(&config, selection, tenants, outbox, handle);
    let server = LlmServiceServer::new(Grpc(Arc::new(llm)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let relay: Background = Box::new(move |stop| Box::pin(relay.run(stop)));
    Ok(Service {
        name: NAME,
        routes: Routes::new(server),
        background: vec![relay],
        ready: always_ready(),
    })
}

/// A forgotten `AI_` variable wins silently over `LLM_PROVIDER`, so the winner is said aloud (C-11).
fn log_choice(config: &Config, selection: &Selection) {
    let names: Vec<&str> = selection
        .candidates()
        .iter()
        .map(|candidate| candidate.name())
        .collect();
    tracing::info!(
        group = config.group.as_str(),
        because = config.because,
        providers = names.join(","),
        "model providers are chosen"
    );
    for candidate in selection.candidates() {
        if let Some(why) = candidate.why_unusable() {
            tracing::info!(
                provider = candidate.name(),
                why,
                "a model provider cannot be used"
            );
        }
    }
}
