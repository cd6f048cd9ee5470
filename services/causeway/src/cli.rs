//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use causeway_settings::Sources;
use clap::{Parser, Subcommand};

use crate::command::{config, db, keys, token};
use crate::failure::Failure;
use crate::serve::Roles;
use crate::{demo, serve};

/// The back end of a multi-tenant AI product: sign-in, tenants and their keys, a router over model providers, decisions
/// that learn, an audit log that can be proven.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, after_help = AFTER_HELP)]
pub struct Cli {
    /// The folder whose .env files are read.
    #[arg(long, global = true, default_value = ".")]
    directory: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  causeway demo                     the whole story once, printed with the curl lines; needs nothing
  causeway serve                    everything in one process, in memory; then http://localhost:4000/docs
  causeway config check             what was found, where, and what is wrong

Settings come from .env, .env.local, .env.{tier}, .env.{tier}.local and the environment; later wins.
Exit codes: 0 done, 1 failed, 2 usage, 64 configuration.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run: everything, or some of gateway, auth, tenancy, llm, scoring, audit.
    ///
    /// `serve` runs all of them in one process, without sockets between them and without a database. `serve auth` or
    /// `serve llm,audit` runs just those; they find the others at MESH_<SERVICE>_ADDR and listen at MESH_LISTEN_ADDR.
    /// A split service needs DATABASE_URL and INTERNAL_SERVICE_SECRET.
    Serve {
        /// Names with commas between, or `all`.
        #[arg(default_value = "all")]
        roles: Roles,
    },
    /// Look at the settings.
    #[command(subcommand)]
    Config(config::Command),
    /// Make credentials: for development, and for operators who call a service directly.
    #[command(subcommand)]
    Token(token::Command),
    /// Migrate and check the database.
    #[command(subcommand)]
    Db(db::Command),
    /// Make, look at and change the keys that wrap data keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Start everything, do the whole story once, print it with the curl lines.
    ///
    /// Starts its own server on free ports of 127.0.0.1, in memory, with the mock model, and ends it afterwards. Reads no
    /// settings. The printed lines work the same against `causeway serve`.
    Demo,
}

/// Does what the command line says.
pub fn run(cli: Cli) -> ExitCode {
    let result = dispatch(cli);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads along, such as `head`, has seen enough.
        Err(Failure::Other(error)) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("causeway: {failure}");
            if let Failure::Other(error) = &failure {
                for cause in error.chain().skip(1) {
                    eprintln!("  because: {cause}");
                }
            } else {
                eprintln!("`causeway config explain NAME` tells all about a setting.");
            }
            failure.exit_code()
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    // The one place that reads the process environment; names that are not Unicode are not ours.
    let process = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let sources = Sources::from_directory(&cli.directory, process);
    match cli.command {
        Command::Serve { roles } => block_on(serve::until_signalled(sources?, roles)),
        Command::Config(command) => config::run(&command, sources),
        Command::Token(command) => token::run(&command, &sources?),
        Command::Db(command) => block_on(db::run(command, sources?)),
        Command::Keys(command) => block_on(keys::run(command, sources?)),
        Command::Demo => block_on(demo::run()),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context("start the runtime"))?;
    let result = runtime.block_on(Box::pin(work));
    // Whatever hangs in a blocking call does not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
