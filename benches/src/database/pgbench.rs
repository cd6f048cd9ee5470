//! pgbench: prepared statements, one per transaction, each client waiting for its answer.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;

/// Runs `statements` with `clients` at once for `length`; answers transactions in a second.
pub(crate) async fn run(
    url: &SecretString,
    statements: &str,
    clients: usize,
    length: Duration,
    durable: bool,
) -> Result<f64> {
    let script = std::env::temp_dir().join(format!("causeway-bench-{}.sql", std::process::id()));
    std::fs::write(&script, statements).context("write the script")?;
    let output = Command::new(program()?)
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs"])
        .arg(clients.min(threads()).to_string())
        .args(["--client", &clients.to_string(), "--time"])
        .arg(length.as_secs().to_string())
        .arg("--file")
        .arg(&script)
        .arg(url.expose_secret())
        .env(
            "PGOPTIONS",
            format!("-c synchronous_commit={}", if durable { "on" } else { "off" }),
        )
        .stdin(Stdio::null())
        .output()
        .await
        .context("run pgbench")?;
    let _ = std::fs::remove_file(&script);
    if !output.status.success() {
        bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rate| rate.split_whitespace().next()?.parse().ok());
    rate.with_context(|| format!("understand pgbench: {text}"))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Debian has it beside the server and on the PATH, others on the PATH.
fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(releases) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(releases.flatten().map(|release| release.path().join("bin")));
    }
    let found = places.into_iter().map(|place| place.join("pgbench"));
    found
        .into_iter()
        .find(|program| program.is_file())
        .context("pgbench is not installed; it comes with PostgreSQL")
}
