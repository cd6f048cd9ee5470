//! What the service does with tenants' data on behalf of keys, erasures and exports. Only tenancy calls it. And for
//! how long it keeps the history of tenants.

mod grpc;
mod holding;
mod replay;
mod reseal;
mod retention;
pub(crate) mod store;

use std::sync::Arc;

use causeway_contracts::tenancy::v1::key_service_client::KeyServiceClient;
use causeway_mesh::{Mesh, MeshChannel};
use chrono::{DateTime, Utc};

pub use holding::HOLDING;
pub(crate) use holding::OF_A_PERSON;
pub use replay::{ReplayError, Restored};
pub(crate) use retention::{MeshRetentions, Retention};

use crate::store::AuthStore;

/// The RPCs of tenants' data.
pub(crate) struct AuthData {
    store: Arc<dyn AuthStore>,
    keys: KeyServiceClient<MeshChannel>,
    clock: fn() -> DateTime<Utc>,
}

impl AuthData {
    /// Over that store, with the key service of that mesh.
    pub(crate) fn new(store: Arc<dyn AuthStore>, mesh: &Mesh, clock: fn() -> DateTime<Utc>) -> Self {
        Self {
            store,
            keys: KeyServiceClient::new(mesh.to("tenancy")),
            clock,
        }
    }
}

#[cfg(test)]
mod tests;
