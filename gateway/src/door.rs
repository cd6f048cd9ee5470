//! The layers of the door, one file each.

pub(crate) mod access;
pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod cors;
pub(crate) mod idempotency;
pub(crate) mod limits;
pub(crate) mod machine;
pub(crate) mod observe;
pub(crate) mod panic;
pub(crate) mod rate;
mod reflection;
pub(crate) mod region;
pub(crate) mod revoked;
pub(crate) mod route;
pub(crate) mod security_headers;
pub(crate) mod strip;
pub(crate) mod tasks;
