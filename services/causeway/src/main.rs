//! The program. Everything it does is in the library beside it, so that tests can start it.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    causeway::run(causeway::Cli::parse())
}
