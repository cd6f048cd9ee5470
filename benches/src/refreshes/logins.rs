//! Logins: what bounds them is argon2id, and nothing else should.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use serde_json::json;

use crate::load::{COLUMNS, Caller, measure as load};
use crate::program::{PASSWORD, Program, cores, cpu_seconds};

const ROUND: Duration = Duration::from_secs(10);
const RAW: Duration = Duration::from_secs(5);

/// Logs in, always the same one.
struct Person(Vec<u8>);

impl Caller for Person {
    fn ask(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.0);
    }

    fn read(&mut self, body: &[u8]) -> Result<()> {
        if !body.starts_with(b"{\"access_token\":\"ey") {
            bail!("no session: {}", String::from_utf8_lossy(body));
        }
        Ok(())
    }
}

/// How many log in in a second, `connections` at once, beside the rate of argon2id.
pub(crate) fn measure(
    program: &Program,
    persons: usize,
    connections: usize,
    email: fn(usize) -> String,
) -> Result<()> {
    println!("\n| connections | logins{COLUMNS}");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    let callers: Vec<Person> = (0..connections)
        .map(|index| Person(login(&email(index % persons))))
        .collect();
    let (seen, _) = load(program, callers, ROUND)?;
    println!("{}", seen.row(connections));
    let (rate, each) = raw()?;
    println!(
        "\nthe primitive: argon2id alone on {} cores: {rate:.1}/s, {:.1} µs of CPU each; logins reach {:.0} % of it",
        cores(),
        each * 1e6,
        seen.rate() / rate * 100.0
    );
    Ok(())
}

fn login(email: &str) -> Vec<u8> {
    let body = json!({"email": email, "password": PASSWORD}).to_string();
    format!(
        "POST /auth/login HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// How many passwords the machine compares in a second, with the parameters of the program (OWASP's second choice), and the
/// CPU seconds that one takes.
fn raw() -> Result<(f64, f64)> {
    let function = Argon2::default();
    let hash = function.hash_password(PASSWORD.as_bytes())?.to_string();
    let (before, end) = (cpu_seconds(std::process::id())?, Instant::now() + RAW);
    let counted: Vec<u32> = std::thread::scope(|scope| {
        let compare = || {
            let mut count = 0;
            while Instant::now() < end
                && function
                    .verify_password(PASSWORD.as_bytes(), hash.as_str())
                    .is_ok()
            {
                count += 1;
            }
            count
        };
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(compare)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(0))
            .collect()
    });
    let count = f64::from(counted.iter().sum::<u32>());
    let used = cpu_seconds(std::process::id())? - before;
    Ok((count / RAW.as_secs_f64(), used / count))
}
