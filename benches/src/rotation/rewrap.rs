//! How long it takes to wrap many data keys by another master key, with the command that operators use.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_crypto::{KeyContext, KeyProvider as _, LocalKeys, LocalRing};
use causeway_testkit::TestDb;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::beside;

const PAGE: usize = 5000;

/// A master key of the benchmark.
pub(crate) fn master(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

/// Fills the keystore with that many keys and changes the master key.
pub(crate) async fn measure(database: &TestDb, keys: usize) -> Result<()> {
    eprintln!("making {keys} data keys ...");
    let local = LocalKeys {
        master: Some(SecretString::from(master(1))),
        ..LocalKeys::default()
    };
    let ring = LocalRing::new(&local, false).context("a ring")?;
    for first in (0..keys).step_by(PAGE) {
        let mut rows = Vec::new();
        for _ in first..keys.min(first + PAGE) {
            rows.push(row(&ring).await?);
        }
        let rows = rows.join(",");
        database
            .admin(&format!(
                "WITH made (id, key_id, wrapped) AS (VALUES {rows}), \
                 keyed AS (INSERT INTO keystore.keyed_workspaces SELECT id::uuid FROM made) \
                 INSERT INTO keystore.workspace_keys (workspace_id, ring, version, state, key_id, wrapped, created_at) \
                 SELECT id::uuid, 'data', 1, 'active', key_id, wrapped::bytea, now() FROM made"
            ))
            .await;
    }
    let started = Instant::now();
    let ended = Command::new(beside("causeway")?)
        .args(["keys", "rewrap"])
        .env_clear()
        .env("NODE_ENV", "test")
        .env("DATABASE_URL", database.service_url().expose_secret())
        .env("CAUSELOOP_MASTER_KEY", master(2))
        .env("CAUSELOOP_MASTER_KEY_PREVIOUS", master(1))
        .current_dir(std::env::temp_dir())
        .output()
        .context("run causeway keys rewrap")?;
    let took = started.elapsed().as_secs_f64();
    if !ended.status.success() {
        bail!("{}", String::from_utf8_lossy(&ended.stderr));
    }
    println!(
        "\nanother master key: {took:.2} s; {}",
        String::from_utf8_lossy(&ended.stdout).trim()
    );
    Ok(())
}

async fn row(ring: &LocalRing) -> Result<String> {
    let workspace = Uuid::now_v7();
    let context = KeyContext {
        workspace,
        version: 1,
        purpose: "workspace data",
    };
    let (_, wrapped) = ring.generate(&context).await.context("make a key")?;
    let bytes: String = wrapped.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("('{workspace}', '{}', '\\x{bytes}')", wrapped.key_id))
}
