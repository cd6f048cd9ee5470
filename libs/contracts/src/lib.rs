//! Everything that is made from `proto/`: messages, clients, servers, descriptors, the JSON mapping and the static
//! method table. Nothing here lists an RPC by hand.

mod json;
mod methods;
mod permissions;
mod structs;

pub use json::{JsonError, from_json, to_json};
pub use methods::{
    CallerKind, Dialect, Idempotency, METHODS, Method, PERMISSIONS, Role, Route, Rule, Surface, method,
    permissions_of,
};
pub use permissions::{CATALOGUE, Permission, PermissionSet};
pub use structs::{from_struct, to_struct};

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

#[allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "generated code; its documentation is in proto/"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/causeway.rs"));
}
pub use generated::causeway::{audit, auth, common, llm, scoring, tenancy};
pub use generated::google;

/// The encoded `FileDescriptorSet` of all contracts, for reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/causeway.fds.bin"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).expect("the build wrote a valid descriptor set"));

/// The descriptors of all contracts.
pub fn descriptors() -> &'static DescriptorPool {
    &POOL
}
