//! The release program as it runs under the load.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::http::Connection;

/// What signs access tokens.
pub(crate) const SECRET: &str = "a signing secret of the benchmark, 32 bytes or more";
/// What hashes secrets.
pub(crate) const PEPPER: &str = "a pepper of the benchmark, thirty-two bytes or more";
/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const PATIENCE: Duration = Duration::from_secs(60);
/// `/proc/<pid>/stat` counts in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// How many cores there are.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What the machine was busy with in the last minute, when the load began.
pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The running program; it ends with this.
pub(crate) struct Program {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it with that in its environment beside what it always needs; waits until it is ready.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Result<Self> {
        let [port, admin] = [free_port()?, free_port()?];
        let child = Command::new(beside("causeway")?)
            .arg("serve")
            .env_clear()
            .env("NODE_ENV", "test")
            .env("LOG_LEVEL", "error")
            .env("JWT_SIGNING_SECRET", SECRET)
            .env("API_KEY_PEPPER", PEPPER)
            .env("RATE_LIMIT_PER_MINUTE", "0")
            .env("RATE_LIMIT_TIER", "unlimited")
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("BIND_ADDR", "127.0.0.1")
            .envs(environment.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start causeway")?;
        let program = Self {
            child,
            address: format!("127.0.0.1:{port}"),
        };
        let end = Instant::now() + PATIENCE;
        while program.connect().and_then(|mut one| one.get("/ready")).is_err() {
            if Instant::now() > end {
                bail!("causeway does not become ready");
            }
            pause(Duration::from_millis(50));
        }
        Ok(program)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(&self.address)
    }

    /// Makes an account, and a workspace with it.
    pub(crate) fn register(&self, email: &str) -> Result<()> {
        let account = json!({"email": email, "password": PASSWORD, "workspace_name": "Bench"});
        self.connect()?.post("/auth/register", "", &account)?;
        Ok(())
    }

    /// Opens a session.
    pub(crate) fn login(&self, one: &mut Connection, email: &str) -> Result<Value> {
        one.post("/auth/login", "", &json!({"email": email, "password": PASSWORD}))
    }
}

/// The CPU seconds that a process has used.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let (_, rest) = stat.rsplit_once(')').context("understand /proc")?;
    Ok(ticks(rest.split_whitespace().skip(11).take(2)))
}

/// The CPU seconds that everything on the machine has used: all but idle and waiting for a disk.
pub(crate) fn cpu_seconds_of_machine() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let fields: Vec<&str> = stat.split_whitespace().skip(1).take(8).collect();
    let busy = fields
        .iter()
        .enumerate()
        .filter(|(place, _)| ![3, 4].contains(place));
    Ok(ticks(busy.map(|(_, field)| *field)))
}

fn ticks<'t>(fields: impl Iterator<Item = &'t str>) -> f64 {
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS_PER_SECOND
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        bail!("{} is missing: build it first, with --release", path.display());
    }
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}
