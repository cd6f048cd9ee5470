//! What a client-credentials grant costs (CC-04). One run starts the release program in memory, makes an OAuth client,
//! and asks for tokens over HTTP on connections that stay open, as the protocol's clients do: a form and HTTP Basic. The
//! rate of what a grant cannot do without, the signing of its token and the hash of its secret, is measured in the same
//! run. The load comes from the same machine: `server CPU` is what the program itself used for a grant, and the rate that
//! follows from it is what the machine would give to it alone.

mod http;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use causeway_crypto::{AccessClaims, AccessTokenKeys, Peppers, token};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::http::Connection;

const SECRET: &str = "a signing secret of the benchmark, 32 bytes or more";
const PEPPER: &str = "a pepper of the benchmark, thirty-two bytes or more";
const ROUND: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
/// `/proc/<pid>/stat` counts in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> Result<()> {
    let program = Program::start()?;
    let client = program.client()?;
    println!("client-credentials grants, {} cores\n", cores());
    println!("| connections | grants/s | p50 ms | p99 ms | server CPU µs | grants/s on all cores |");
    println!("|---:|---:|---:|---:|---:|---:|");
    measure(&program, &client, 8, WARM_UP)?;
    for connections in [1, 4, 16, 32] {
        let seen = measure(&program, &client, connections, ROUND)?;
        println!("{}", seen.row(connections));
    }
    println!("\nthe primitives, on one core:");
    primitives()?;
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
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

/// The bytes of one grant.
struct Grant(Vec<u8>);

impl Program {
    fn start() -> Result<Self> {
        let [port, admin] = [free_port()?, free_port()?];
        let child = Command::new(beside("causeway")?)
            .arg("serve")
            .env_clear()
            .env("NODE_ENV", "test")
            .env("LOG_LEVEL", "error")
            .env("JWT_SIGNING_SECRET", SECRET)
            .env("API_KEY_PEPPER", PEPPER)
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
            pause(Duration::from_millis(50));
        }
        Ok(program)
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.address)
    }

    /// Makes an OAuth client of a new workspace; answers what it sends to get a token.
    fn client(&self) -> Result<Grant> {
        let mut one = self.connect()?;
        let (email, password) = ("bench@example.com", "correct horse battery staple");
        let account = json!({"email": email, "password": password, "workspace_name": "Bench"});
        one.post("/auth/register", "", &account)?;
        let session = one.post("/auth/login", "", &json!({"email": email, "password": password}))?;
        let bearer = format!("authorization: Bearer {}\r\n", text(&session, "access_token")?);
        let scopes = ["secrets.read", "secrets.write", "tokens.read"];
        let made = one.post(
            "/v1/clients",
            &bearer,
            &json!({"name": "bench", "scopes": scopes}),
        )?;
        let (id, secret) = (text(&made, "id")?, text(&made, "client_secret")?);
        Ok(Grant(http::grant(&id, &secret)))
    }

    /// The CPU seconds that the program has used.
    fn cpu_seconds(&self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let (_, rest) = stat.rsplit_once(')').context("understand /proc")?;
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }
}

fn text(json: &Value, field: &str) -> Result<String> {
    let text = json[field].as_str();
    text.map(str::to_owned)
        .with_context(|| format!("{field} in {json}"))
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

/// What a round showed.
struct Seen {
    latencies: Vec<Duration>,
    elapsed: Duration,
    server: f64,
}

impl Seen {
    fn row(&self, connections: usize) -> String {
        let count = self.latencies.len() as f64;
        let at = |part: usize| {
            let index = (self.latencies.len() * part / 100).min(self.latencies.len().saturating_sub(1));
            self.latencies
                .get(index)
                .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let each = self.server / count;
        format!(
            "| {connections} | {:.0} | {:.2} | {:.2} | {:.1} | {:.0} |",
            count / self.elapsed.as_secs_f64(),
            at(50),
            at(99),
            each * 1e6,
            cores() as f64 / each
        )
    }
}

/// Asks for tokens on that many connections for a while. Every answer must have one.
fn measure(program: &Program, grant: &Grant, connections: usize, length: Duration) -> Result<Seen> {
    let stop = AtomicBool::new(false);
    let (before, began) = (program.cpu_seconds()?, Instant::now());
    let all: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| ask(program, grant, &stop)))
            .collect();
        pause(length);
        stop.store(true, Ordering::Relaxed);
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|ended| ended.unwrap_or_else(|_| bail!("a caller panicked")))
            .collect()
    });
    let elapsed = began.elapsed();
    let server = program.cpu_seconds()? - before;
    let mut latencies = all?.concat();
    latencies.sort_unstable();
    Ok(Seen {
        latencies,
        elapsed,
        server,
    })
}

fn ask(program: &Program, grant: &Grant, stop: &AtomicBool) -> Result<Vec<Duration>> {
    let (mut one, mut latencies) = (program.connect()?, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let body = one.exchange(&grant.0)?;
        latencies.push(began.elapsed());
        if !body.starts_with(b"{\"access_token\":\"ey") {
            bail!("no token: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(latencies)
}

/// The rates of what no grant can do without.
fn primitives() -> Result<()> {
    let keys = AccessTokenKeys::new(&SecretString::from(SECRET), None, None);
    let claims: AccessClaims = serde_json::from_value(json!({
        "sub": "cw_client_01890a5dac96774bbcceb302099a8057", "exp": 900, "nbf": 0, "iat": 0,
        "jti": "01890a5d-ac96-774b-bcce-b302099a8057", "workspace_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "roles": [], "scope": "secrets.read secrets.write tokens.read", "mfa": false,
        "client_id": "cw_client_01890a5dac96774bbcceb302099a8057",
    }))?;
    let secret = token::mint(token::CLIENT_SECRET).secret;
    let peppers = Peppers::new(Some(&SecretString::from(PEPPER)), None);
    rate("sign an access token (HS256)", || {
        std::hint::black_box(keys.sign(&claims).is_ok());
    });
    rate("hash a secret, with the pepper and without", || {
        std::hint::black_box(peppers.forms(secret.expose_secret()).hashes());
    });
    rate("digest by which a verified client is remembered", || {
        std::hint::black_box(token::hash(secret.expose_secret()));
    });
    Ok(())
}

fn rate(name: &str, mut work: impl FnMut()) {
    const BATCH: u32 = 1000;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_millis(500) {
        (0..BATCH).for_each(|_| work());
        count += BATCH;
    }
    let each = began.elapsed().as_secs_f64() / f64::from(count);
    println!("- {name}: {:.0}/s, {:.2} µs", 1.0 / each, each * 1e6);
}

#[expect(
    clippy::disallowed_methods,
    reason = "no runtime runs on this thread, and the time is the measurement"
)]
fn pause(length: Duration) {
    std::thread::sleep(length);
}
