//! Test database, fake upstreams and helpers that tests of several crates share.

mod aws;
mod database;
mod issuer;
mod plans;
mod provider;
mod scanner;
mod upstream;

pub use aws::Moto;
pub use database::TestDb;
pub use issuer::{Issuer, SigningKey};
pub use plans::{Rows, Statements};
pub use provider::{CLIENT_ID, CLIENT_SECRET, Callback, OpenIdProvider};
pub use scanner::{Scanner, ScannerKey, published_keys};
pub use upstream::{Answer, ScriptedUpstream, Seen};
