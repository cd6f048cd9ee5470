//! The program: the only crate that knows all services. It reads the settings, starts what was asked for in one
//! process or as one of many, and ends it in order.

mod cli;
mod command;
pub mod demo;
mod failure;
pub mod serve;

pub use cli::{Cli, run};
pub use failure::Failure;
