//! What a refresh costs (REF-02), and a login. One run starts the release program on a PostgreSQL that keeps what it
//! commits, opens many sessions of many persons, and refreshes them over HTTP on connections that stay open, each session
//! by the token of its last answer. In the same run pgbench changes one row in a transaction, with as many clients on the
//! same server; then persons log in, beside the rate of argon2id alone.

#[path = "../grants/http.rs"]
mod http;
#[path = "../grants/load.rs"]
mod load;
mod logins;
#[path = "../database/pgbench.rs"]
mod pgbench;
#[path = "../grants/program.rs"]
mod program;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_testkit::TestDb;
use secrecy::{ExposeSecret as _, SecretString};

use crate::load::{COLUMNS, Caller, measure};
use crate::program::{Program, cores, load_average};

const PERSONS: usize = 32;
const SESSIONS: usize = 512;
const CONNECTIONS: [usize; 3] = [16, 64, 128];
const WARM_UP: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_secs(10);
/// How many may log in at once without being told that the program is busy.
const LOGINS: usize = 16;

#[tokio::main]
async fn main() -> Result<()> {
    let Some(database) = TestDb::new(&[]).await else {
        bail!("CAUSEWAY_TEST_DATABASE_URL is not set: scripts/services.sh run ..");
    };
    let load = load_average();
    let program = tokio::task::block_in_place(|| start(&database))?;
    // The load has a runtime of its own.
    std::thread::scope(|scope| join(scope.spawn(|| refreshes(&program, &load))))?;
    println!("\nthe primitive: pgbench, one row changed by its key in a transaction, durable");
    for clients in CONNECTIONS {
        let rate = raw(&database, clients).await?;
        println!("- {clients} clients: {rate:.0}/s");
    }
    std::thread::scope(|scope| join(scope.spawn(|| logins::measure(&program, PERSONS, LOGINS, email))))
}

fn start(database: &TestDb) -> Result<Program> {
    // What it protects is thrown away.
    let master = STANDARD.encode([7; 32]);
    Program::start(&[
        ("DATABASE_URL", database.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
        ("CAUSELOOP_MASTER_KEY", &master),
    ])
}

fn email(person: usize) -> String {
    format!("person{person}@example.com")
}

/// The sessions of one connection, which are refreshed in turn.
struct Sessions {
    tokens: VecDeque<String>,
}

impl Caller for Sessions {
    fn ask(&mut self, request: &mut Vec<u8>) {
        let token = self.tokens.front().map_or("", String::as_str);
        let body = format!(r#"{{"refresh_token":"{token}"}}"#);
        let head = format!(
            "POST /auth/refresh HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body.as_bytes());
    }

    fn read(&mut self, body: &[u8]) -> Result<()> {
        let body = std::str::from_utf8(body)?;
        let (_, rest) = body.split_once(r#""refresh_token":""#).context("no token")?;
        let (next, _) = rest.split_once('"').context("no end of the token")?;
        let used = self.tokens.pop_front();
        if used.as_deref() == Some(next) {
            bail!("a token was not rotated");
        }
        self.tokens.push_back(next.to_owned());
        Ok(())
    }
}

fn refreshes(program: &Program, load: &str) -> Result<()> {
    println!(
        "durable refreshes of {SESSIONS} sessions, {} cores, load average before: {load}\n",
        cores()
    );
    println!("| connections | refreshes{COLUMNS}");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    let mut tokens = open(program)?;
    for connections in CONNECTIONS {
        tokens = refreshed(program, tokens, connections, WARM_UP)?.1;
        let (row, rest) = refreshed(program, tokens, connections, ROUND)?;
        tokens = rest;
        println!("{row}");
    }
    Ok(())
}

/// The row of a round, and the tokens as they are after it.
fn refreshed(
    program: &Program,
    tokens: Vec<String>,
    connections: usize,
    length: Duration,
) -> Result<(String, Vec<String>)> {
    let mut callers: Vec<Sessions> = Vec::new();
    callers.resize_with(connections, || Sessions {
        tokens: VecDeque::new(),
    });
    for (index, token) in tokens.into_iter().enumerate() {
        if let Some(caller) = callers.get_mut(index % connections) {
            caller.tokens.push_back(token);
        }
    }
    let (seen, callers) = measure(program, callers, length)?;
    let tokens = callers.into_iter().flat_map(|caller| caller.tokens).collect();
    Ok((seen.row(connections), tokens))
}

/// The first refresh tokens of all sessions.
fn open(program: &Program) -> Result<Vec<String>> {
    const AT_ONCE: usize = 8;
    std::thread::scope(|scope| {
        let opening: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                scope.spawn(move || -> Result<Vec<String>> {
                    let own = (first..PERSONS).step_by(AT_ONCE);
                    own.clone()
                        .try_for_each(|person| program.register(&email(person)))?;
                    let sessions = own.flat_map(|person| (0..SESSIONS / PERSONS).map(move |_| person));
                    sessions.map(|person| first_token(program, person)).collect()
                })
            })
            .collect();
        let opened: Result<Vec<Vec<String>>> = opening.into_iter().map(join).collect();
        Ok(opened?.concat())
    })
}

/// A login gives it as a cookie.
fn first_token(program: &Program, person: usize) -> Result<String> {
    let mut one = program.connect()?;
    program.login(&mut one, &email(person))?;
    let answer = String::from_utf8_lossy(&one.buffer);
    let (_, cookie) = answer.split_once("refresh_token=").context("no cookie")?;
    let (token, _) = cookie.split_once(';').context("no end of the cookie")?;
    Ok(token.to_owned())
}

/// pgbench's own rate for the change of one row.
async fn raw(database: &TestDb, clients: usize) -> Result<f64> {
    let owner = database.owner_url();
    prepare(owner).await?;
    let script = format!("\\set id random(1, {SESSIONS})\nUPDATE bench_raw SET n = n + 1 WHERE id = :id;\n");
    pgbench::run(owner, &script, clients, ROUND, true).await
}

async fn prepare(url: &SecretString) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), tokio_postgres::NoTls).await?;
    let setting_up = client.batch_execute(
        "DROP TABLE IF EXISTS bench_raw;
         CREATE TABLE bench_raw (id integer PRIMARY KEY, n bigint NOT NULL);
         INSERT INTO bench_raw SELECT id, 0 FROM generate_series(1, 512) id;
         ANALYZE bench_raw",
    );
    tokio::select! {
        done = setting_up => done?,
        ended = connection => ended?,
    }
    Ok(())
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
}
