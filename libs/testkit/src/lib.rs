//! Test database, fake upstreams and helpers that tests of several crates share.

mod database;
mod upstream;

pub use database::TestDb;
pub use upstream::{Answer, ScriptedUpstream, Seen};
