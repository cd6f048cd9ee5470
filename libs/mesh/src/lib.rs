//! How a service is run and called. A call looks the same near (same process, no socket) and far (HTTP/2): the same
//! generated client, the same credentials, deadline, trace, retries and checks on both sides.

mod breaker;
mod channel;
mod deadline;
mod drain;
mod health;
mod listen;
mod outbound;
mod panic_guard;
mod remote;
mod server;
mod service;
mod token;
mod watched;

pub use causeway_context::OPERATOR;
pub use channel::{ConnectError, LinkError, MeshChannel, far, near};
pub use deadline::read as timeout_in;
pub use drain::{Drain, DrainReport};
pub use health::{Health, is_serving};
pub use listen::{Listener, PeerAddr};
pub use outbound::{DEFAULT_DEADLINE, MAX_DEADLINE, Mesh, OnBehalf, on_behalf};
pub use server::{Guard, GuardOptions, SECRET_HEADER};
pub use service::{Background, Readiness, Service, always_ready};
pub use token::ServiceIdentity;

/// The header in which a request's id travels over all hops.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
