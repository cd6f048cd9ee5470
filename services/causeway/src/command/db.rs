//! `causeway db`: migrations, and the audit of row-level security.

use anyhow::Context as _;
use causeway_settings::{Owner, Settings, Sources};
use clap::Subcommand;

use crate::failure::Failure;
use crate::serve::database::{self, Urls};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Bring every schema to its newest form, as the owner of the tables (DATABASE_OWNER_URL, else DATABASE_URL).
    Migrate,
    /// Check what the program relies on: the role, row-level security of every table, keys, indexes, server version.
    Check,
}

pub(crate) async fn run(command: Command, sources: Sources) -> Result<(), Failure> {
    let settings = Settings::resolve(&sources, &[Owner::Tenancy, Owner::Auth])?;
    let Some(urls) = Urls::from_settings(&settings) else {
        return Err(Failure::setting("DATABASE_URL", "is needed"));
    };
    match command {
        Command::Migrate => {
            let applied = database::migrate(&urls).await.context("migrate")?;
            applied.iter().for_each(|version| println!("applied {version}"));
            println!("{} migrations applied", applied.len());
        }
        Command::Check => {
            let database = database::connect(&urls, &settings).await.context("connect")?;
            let findings = database.check(&database::schemas()).await.context("check")?;
            findings.iter().for_each(|finding| println!("{finding}"));
            if !findings.is_empty() {
                return Err(anyhow::anyhow!("{} findings", findings.len()).into());
            }
            println!("nothing to complain about");
        }
    }
    Ok(())
}
