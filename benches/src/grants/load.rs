//! The load: callers who each wait for their answer before they ask again, on connections that stay open. All of them are
//! tasks of one thread, because what the load costs is taken from the program that it measures.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http::head_of;
use crate::program::{Program, cores, cpu_seconds, cpu_seconds_of_machine};

/// Who asks: the bytes of the next request, and what its answer says.
pub(crate) trait Caller: Send + 'static {
    /// Writes the whole next request into `request`.
    fn ask(&mut self, request: &mut Vec<u8>);

    /// Reads the body of a success.
    ///
    /// # Errors
    /// A body that is not what was asked for.
    fn read(&mut self, body: &[u8]) -> Result<()>;
}

/// What a round showed.
pub(crate) struct Seen {
    latencies: Vec<Duration>,
    elapsed: Duration,
    /// CPU seconds of the program alone, and of everything on the machine.
    server: f64,
    machine: f64,
}

/// The columns of [`Seen::row`].
pub(crate) const COLUMNS: &str = "/s | p50 ms | p99 ms | server CPU µs | all CPU µs | /s on all cores |";

impl Seen {
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// A row of the table. The last column is what the machine would give to the program alone.
    pub(crate) fn row(&self, connections: usize) -> String {
        let count = self.latencies.len() as f64;
        let each = self.server / count;
        format!(
            "| {connections} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} |",
            self.rate(),
            self.at(50),
            self.at(99),
            each * 1e6,
            self.machine / count * 1e6,
            cores() as f64 / each
        )
    }

    fn at(&self, part: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let latency = self.latencies.get((self.latencies.len() * part / 100).min(last));
        latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Lets every caller ask, on a connection of its own, for a while; answers the callers as well, who go on later. Every
/// answer must be a success.
pub(crate) fn measure<C: Caller>(
    program: &Program,
    callers: Vec<C>,
    length: Duration,
) -> Result<(Seen, Vec<C>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(round(program, callers, length))
}

async fn round<C: Caller>(program: &Program, callers: Vec<C>, length: Duration) -> Result<(Seen, Vec<C>)> {
    let mut streams = Vec::new();
    for _ in &callers {
        let stream = TcpStream::connect(&program.address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let before = (cpu_seconds(program.id())?, cpu_seconds_of_machine()?);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (caller, stream) in callers.into_iter().zip(streams) {
        tasks.spawn(call(caller, stream, began + length));
    }
    let (mut callers, mut latencies) = (Vec::new(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (caller, own) = ended??;
        callers.push(caller);
        latencies.extend(own);
    }
    let elapsed = began.elapsed();
    latencies.sort_unstable();
    let seen = Seen {
        latencies,
        elapsed,
        server: cpu_seconds(program.id())? - before.0,
        machine: cpu_seconds_of_machine()? - before.1,
    };
    Ok((seen, callers))
}

async fn call<C: Caller>(mut caller: C, mut stream: TcpStream, until: Instant) -> Result<(C, Vec<Duration>)> {
    let (mut request, mut answer, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    while Instant::now() < until {
        request.clear();
        caller.ask(&mut request);
        let began = Instant::now();
        let (head, length) = exchange(&mut stream, &request, &mut answer).await?;
        latencies.push(began.elapsed());
        let body = answer.get(head..head + length).unwrap_or_default();
        if !answer.starts_with(b"HTTP/1.1 20") {
            bail!("refused: {}", String::from_utf8_lossy(body));
        }
        caller.read(body)?;
    }
    Ok((caller, latencies))
}

/// Where the body of the answer begins in `answer`, and how long it is.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Result<(usize, usize)> {
    stream.write_all(request).await?;
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the connection was closed");
        }
        if let Some((head, length)) = head_of(answer)?
            && answer.len() >= head + length
        {
            return Ok((head, length));
        }
    }
}
