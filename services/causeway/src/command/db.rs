//! `causeway db`: migrations, and the audit of row-level security.

use anyhow::Context as _;
use causeway_settings::{Owner, Settings, Sources, Tier};
use clap::Subcommand;

use crate::failure::Failure;
use crate::serve::database::{self, Urls};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Bring every schema to its newest form, as the owner of the tables (DATABASE_OWNER_URL, else DATABASE_URL).
    Migrate,
    /// Erase again what a restored backup brought back, as the ledger of erasures says. Production does not start before.
    Replay,
    /// Check what the program relies on: the roles of the services and of maintenance (DATABASE_WORKER_URL), row-level
    /// security of every table, keys, indexes, views, functions, the server's version.
    Check,
}

pub(crate) async fn run(command: Command, sources: Sources) -> Result<(), Failure> {
    let settings = Settings::resolve(&sources, &[Owner::Tenancy, Owner::Auth])?;
    let Some(urls) = Urls::from_settings(&settings) else {
        return Err(Failure::setting("DATABASE_URL", "is needed"));
    };
    match command {
        Command::Migrate => {
            let done = database::migrate(&urls, &settings).await.context("migrate")?;
            done.applied
                .iter()
                .for_each(|version| println!("applied {version}"));
            done.enabled
                .iter()
                .for_each(|table| println!("enabled row-level security on {table}"));
            println!("{} migrations applied", done.applied.len());
            if settings.tier() != Tier::Production {
                let database = database::connect(&urls, &settings).await.context("connect")?;
                database::replay(&database).await.context("replay")?;
            }
        }
        Command::Replay => {
            let database = database::connect(&urls, &settings).await.context("connect")?;
            let count = database::replay(&database).await.context("replay")?;
            println!("{count} tombstones are applied");
        }
        Command::Check => {
            let database = database::connect(&urls, &settings).await.context("connect")?;
            let findings = database::check(&urls, &database).await.context("check")?;
            findings.iter().for_each(|finding| println!("{finding}"));
            if !findings.is_empty() {
                return Err(anyhow::anyhow!("{} findings", findings.len()).into());
            }
            println!("nothing to complain about");
        }
    }
    Ok(())
}
