//! Test database, fake upstreams and helpers that tests of several crates share.

mod aws;
mod database;
mod issuer;
mod plans;
mod upstream;

pub use aws::Moto;
pub use database::TestDb;
pub use issuer::{Issuer, SigningKey};
pub use plans::{Rows, Statements};
pub use upstream::{Answer, ScriptedUpstream, Seen};
