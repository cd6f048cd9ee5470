//! A flood of logins beside readers: passwords are hashed on threads of their own, as many at once as there are cores.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::http::Connection;
use crate::program::{Program, cpu_seconds, cpu_seconds_of_machine};
use crate::spread::{Spread, nanos};
use crate::{Kind, now};

const EMAIL: &str = "bench@example.com";
const ROUND: Duration = Duration::from_secs(5);
/// How many log in at once: none is told that the program is busy.
const LOGINS: usize = 16;

pub(crate) fn measure() -> Result<()> {
    let program = Program::start(&[])?;
    program.register(EMAIL)?;
    let session = program.login(&mut program.connect()?, EMAIL)?;
    let token = session["access_token"]
        .as_str()
        .context("a login gives a token")?;
    println!("\nbeside a flood of logins, all in one process and on this machine:\n");
    println!(
        "| | a read with a token, p50 µs | p99 µs | verify in process, p50 µs | p99 µs | logins/s | cores of the program | \
         of the machine |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let (stop, logins) = (AtomicBool::new(false), AtomicU64::new(0));
    println!("{}", look("calm", &program, token, &logins)?);
    let seen = std::thread::scope(|threads| {
        for _ in 0..LOGINS {
            threads.spawn(|| log_in(&program, &stop, &logins));
        }
        let seen = look("flood", &program, token, &logins);
        stop.store(true, Ordering::Relaxed);
        seen
    });
    println!("{}", seen?);
    Ok(())
}

/// What a reader sees, and what a verification costs in this process meanwhile.
fn look(name: &str, program: &Program, token: &str, logins: &AtomicU64) -> Result<String> {
    let kind = Kind::secret()?;
    let busy = || -> Result<[f64; 2]> { Ok([cpu_seconds(program.id())?, cpu_seconds_of_machine()?]) };
    let (began, before, logged_in) = (Instant::now(), busy()?, logins.load(Ordering::Relaxed));
    let reads = reads(program, token)?;
    let verifies = verifies(&kind);
    let seconds = began.elapsed().as_secs_f64();
    let [own, all] = busy()?;
    Ok(format!(
        "| {name} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.2} | {:.2} |",
        reads.at(50.0),
        reads.at(99.0),
        verifies.at(50.0),
        verifies.at(99.0),
        (logins.load(Ordering::Relaxed) - logged_in) as f64 / seconds,
        (own - before[0]) / seconds,
        (all - before[1]) / seconds
    ))
}

/// One reader who waits for each answer.
fn reads(program: &Program, token: &str) -> Result<Spread> {
    let mut connection = program.connect()?;
    let request =
        format!("GET /v1/permissions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n");
    let (mut each, began) = (Vec::new(), Instant::now());
    while began.elapsed() < ROUND {
        let asked = Instant::now();
        connection.exchange(request.as_bytes())?;
        each.push(nanos(asked));
    }
    Ok(Spread::of(each))
}

fn verifies(kind: &Kind) -> Spread {
    let now = now();
    crate::spread::timed(100_000, || {
        black_box(kind.keys.verify(black_box(&kind.token), now).is_ok());
    })
}

/// Logs in again and again. A refusal counts for nothing.
fn log_in(program: &Program, stop: &AtomicBool, logins: &AtomicU64) {
    let mut connection: Option<Connection> = None;
    while !stop.load(Ordering::Relaxed) {
        let Some(open) = connection.take().or_else(|| program.connect().ok()) else {
            continue;
        };
        let mut open = open;
        if program.login(&mut open, EMAIL).is_ok() {
            logins.fetch_add(1, Ordering::Relaxed);
            connection = Some(open);
        }
    }
}
