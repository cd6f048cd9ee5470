//! `causeway keys`: the keys that wrap data keys.

use anyhow::Context as _;
use causeway_settings::{Owner, Settings, Sources};
use causeway_tenancy::{KeyOperations, KeyReport, RewrapProgress, fingerprint, new_master_key};
use clap::Subcommand;
use secrecy::ExposeSecret as _;

use crate::failure::Failure;
use crate::serve::database::{self, Urls};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Make a master key: base64 of 32 random bytes on the output, its name beside it on the error output.
    Generate,
    /// Show how many data keys each key-encryption key wraps, and how many rotations are under way.
    Status,
    /// Wrap every data key by the active key-encryption key, while everything runs.
    ///
    /// The active one is KMS_KEY_ID, else CAUSELOOP_MASTER_KEY; the one of before must be known as KMS_KEY_ID_PREVIOUS
    /// or CAUSELOOP_MASTER_KEY_PREVIOUS. Start it again if it was interrupted: what is done stays done. When `status`
    /// says that nothing lies under the former key, that key can go.
    Rewrap,
}

pub(crate) async fn run(command: Command, sources: Sources) -> Result<(), Failure> {
    match command {
        Command::Generate => generate(),
        Command::Status => {
            let report = open(&sources)
                .await?
                .report()
                .await
                .context("read the keystore")?;
            show(&report);
            Ok(())
        }
        Command::Rewrap => {
            let done = open(&sources)
                .await?
                .rewrap(tell)
                .await
                .context("wrap data keys")?;
            conclude(&done)
        }
    }
}

/// The key alone is on the output, so that it can be piped to where secrets are kept.
fn generate() -> Result<(), Failure> {
    let key = new_master_key().context("make a key")?;
    let name = fingerprint(&key).context("name the key")?;
    println!("{}", key.expose_secret());
    eprintln!("{name}: set CAUSELOOP_MASTER_KEY to it, and CAUSELOOP_MASTER_KEY_PREVIOUS to the one before");
    Ok(())
}

async fn open(sources: &Sources) -> Result<KeyOperations, Failure> {
    let settings = Settings::resolve(sources, &[Owner::Tenancy])?;
    let config = causeway_tenancy::Config::from_settings(&settings)?;
    let Some(urls) = Urls::from_settings(&settings) else {
        return Err(Failure::setting("DATABASE_URL", "is needed"));
    };
    let database = database::connect_worker(&urls).await.context("connect")?;
    Ok(KeyOperations::open(config, database)
        .await
        .context("read the key-encryption keys")?)
}

fn show(report: &KeyReport) {
    match &report.active {
        Ok(active) => println!("active: {active}"),
        Err(error) => println!("active: none can be used: {error}"),
    }
    println!("{:>10}  {:8} {:13} wrapped by", "data keys", "ring", "state");
    for count in &report.counts {
        let wrapped_by = count.wrapped_by.as_deref().unwrap_or("-");
        println!(
            "{:>10}  {:8} {:13} {wrapped_by}",
            count.keys, count.ring, count.state
        );
    }
    match report.elsewhere {
        0 => println!("all data keys are wrapped by the active key"),
        keys => println!("{keys} data keys are not wrapped by the active key: `causeway keys rewrap`"),
    }
    println!("{} rotations are under way", report.rotations);
}

fn tell(progress: &RewrapProgress) {
    eprintln!(
        "{} data keys: {} wrapped, {} were already",
        progress.seen, progress.rewrapped, progress.unchanged
    );
}

fn conclude(done: &RewrapProgress) -> Result<(), Failure> {
    println!(
        "{} data keys wrapped, {} were already, {} changed meanwhile",
        done.rewrapped, done.unchanged, done.overtaken
    );
    for (reason, keys) in &done.failed {
        println!("{keys} data keys stay as they are: {reason}");
    }
    let failed: u64 = done.failed.values().sum();
    if failed + done.overtaken > 0 {
        return Err(anyhow::anyhow!("{} data keys are not wrapped anew", failed + done.overtaken).into());
    }
    Ok(())
}
