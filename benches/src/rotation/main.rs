//! What a change of keys costs (ROT-06, ROT-07). One run starts the release program on a PostgreSQL, fills a workspace with
//! secrets, and rotates its data key while others call: how fast rows are sealed anew, and by how much the calls of the
//! same workspace and of another one take longer than before. Then it wraps as many data keys by another master key.
//!
//! The first argument is the number of rows, 100000 without one.

#[allow(dead_code, reason = "grants are asked for elsewhere")]
#[path = "../grants/http.rs"]
mod http;
mod rewrap;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::http::Connection;

const SIGNING_SECRET: &str = "a signing secret of the benchmark, 32 bytes or more";
const PATIENCE: Duration = Duration::from_secs(60);
const BEFORE: Duration = Duration::from_secs(5);
const WRITERS: usize = 8;
const LOOK: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    let rows: usize = match std::env::args().nth(1) {
        Some(text) => text.parse().context("read the number of rows")?,
        None => 100_000,
    };
    let Some(database) = TestDb::new(&[]).await else {
        bail!("CAUSEWAY_TEST_DATABASE_URL is not set: scripts/services.sh run ..");
    };
    tokio::task::block_in_place(|| rotation(&database, rows))?;
    rewrap::measure(&database, rows).await
}

fn rotation(database: &TestDb, rows: usize) -> Result<()> {
    let program = Program::start(database)?;
    let [own, other] = [program.account("own")?, program.account("other")?];
    eprintln!("writing {rows} secrets ...");
    program.fill(&own, rows)?;
    let quiet = program.watch(&[&own, &other], || {
        pause(BEFORE);
        Ok(())
    })?;
    let started = Instant::now();
    let mut last = Value::Null;
    let busy = program.watch(&[&own, &other], || {
        last = program.rotate(&own)?;
        Ok(())
    })?;
    let took = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let speed = rows as f64 / took;
    println!(
        "rotation of {rows} rows: {took:.1} s, {speed:.0} rows/s, left under older versions: {}",
        last["remaining"]
    );
    println!("\n| workspace | p50 before ms | p99 before ms | p50 during ms | p99 during ms | p99 ratio |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, (quiet, busy)) in ["same", "another"].iter().zip(quiet.iter().zip(&busy)) {
        let [p50, p99, during_p50, during_p99] = [at(quiet, 50), at(quiet, 99), at(busy, 50), at(busy, 99)];
        println!(
            "| {name} | {p50:.2} | {p99:.2} | {during_p50:.2} | {during_p99:.2} | {:.2} |",
            during_p99 / p99
        );
    }
    Ok(())
}

fn at(latencies: &[Duration], part: usize) -> f64 {
    let index = (latencies.len() * part / 100).min(latencies.len().saturating_sub(1));
    latencies
        .get(index)
        .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}

/// The running program; it ends with this.
struct Program {
    child: Child,
    address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The header with which a workspace's owner calls.
struct Account(String);

impl Program {
    fn start(database: &TestDb) -> Result<Self> {
        let [port, admin] = [free_port()?, free_port()?];
        let child = Command::new(beside("causeway")?)
            .arg("serve")
            .env_clear()
            .env("NODE_ENV", "test")
            .env("LOG_LEVEL", "error")
            .env("JWT_SIGNING_SECRET", SIGNING_SECRET)
            .env("CAUSELOOP_MASTER_KEY", rewrap::master(1))
            .env("DATABASE_URL", database.service_url().expose_secret())
            .env("DATABASE_OWNER_URL", database.owner_url().expose_secret())
            .env("RATE_LIMIT_PER_MINUTE", "0")
            .env("RATE_LIMIT_TIER", "unlimited")
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", admin.to_string())
            .env("BIND_ADDR", "127.0.0.1")
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
            pause(LOOK);
        }
        Ok(program)
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.address)
    }

    fn account(&self, name: &str) -> Result<Account> {
        let mut one = self.connect()?;
        let (email, password) = (format!("{name}@example.com"), "correct horse battery staple");
        let account = json!({"email": email, "password": password, "workspace_name": name});
        one.post("/auth/register", "", &account)?;
        let session = one.post("/auth/login", "", &json!({"email": email, "password": password}))?;
        let token = session["access_token"].as_str().context("a token")?;
        Ok(Account(format!("authorization: Bearer {token}\r\n")))
    }

    fn fill(&self, account: &Account, rows: usize) -> Result<()> {
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut one = self.connect()?;
                        (writer..rows)
                            .step_by(WRITERS)
                            .try_for_each(|row| put(&mut one, account, &format!("s{row}")))
                    })
                })
                .collect();
            writers.into_iter().try_for_each(joined)
        })
    }

    /// Starts a rotation and waits for its end; says on the way how far it is.
    fn rotate(&self, account: &Account) -> Result<Value> {
        let mut one = self.connect()?;
        let started = one.post("/v1/keys/rotate", &account.0, &json!({}))?;
        let id = started["id"].as_str().context("an id")?;
        let path = format!(
            "GET /v1/keys/rotations/{id} HTTP/1.1\r\nhost: bench\r\n{}\r\n",
            account.0
        );
        let mut said = Instant::now();
        loop {
            let seen: Value = serde_json::from_slice(&one.exchange(path.as_bytes())?)?;
            match seen["state"].as_str() {
                Some("succeeded") => return Ok(seen),
                Some("incomplete") => bail!("incomplete: {seen}"),
                _ => {}
            }
            if said.elapsed() > Duration::from_secs(2) {
                eprintln!(
                    "{} done, {} left, {} s to go",
                    seen["done"], seen["remaining"], seen["eta_seconds"]
                );
                said = Instant::now();
            }
            pause(LOOK);
        }
    }

    /// How long writing and revealing took in each workspace, sorted, while `work` was done.
    fn watch(&self, accounts: &[&Account], work: impl FnOnce() -> Result<()>) -> Result<Vec<Vec<Duration>>> {
        let stop = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let callers: Vec<_> = accounts
                .iter()
                .map(|account| scope.spawn(move || self.call(account, stop)))
                .collect();
            let worked = work();
            stop.store(true, Ordering::Relaxed);
            let seen: Result<Vec<_>> = callers.into_iter().map(joined).collect();
            worked.and(seen)
        })
    }

    fn call(&self, account: &Account, stop: &AtomicBool) -> Result<Vec<Duration>> {
        let (mut one, mut latencies) = (self.connect()?, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            put(&mut one, account, "watched")?;
            one.post("/v1/secrets/watched/reveal", &account.0, &json!({}))?;
            latencies.push(started.elapsed());
        }
        latencies.sort_unstable();
        Ok(latencies)
    }
}

fn put(one: &mut Connection, account: &Account, name: &str) -> Result<()> {
    let body = json!({"kind": "custom", "value": format!("the value of {name}")}).to_string();
    let request = format!(
        "PUT /v1/secrets/{name} HTTP/1.1\r\nhost: bench\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        account.0,
        body.len()
    );
    one.exchange(request.as_bytes()).map(|_| ())
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a caller panicked"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        bail!("{} is missing: build it first", path.display());
    }
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "these threads have nothing else to do")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
