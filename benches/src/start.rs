//! How fast the program is there, and what it takes while nobody asks.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::load::median;
use crate::program::{Place, Program};
use crate::subject::Secrets;
use crate::system;
use crate::usage::{Memory, cpu_seconds, memory};

const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(3);

/// What was seen of `causeway serve all`.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    /// From the start of the process to the first answer of `/ready` that is 200, of every start.
    pub(crate) first_answer_ms: Vec<f64>,
    /// Memory after three seconds in which nobody asked.
    pub(crate) idle_mib: Memory,
    /// CPU used in these seconds, in percent of one core.
    pub(crate) idle_cpu_percent: f64,
}

impl Start {
    pub(crate) fn median_ms(&self) -> f64 {
        median(self.first_answer_ms.iter().copied())
    }
}

/// Starts the program a few times. The last one goes on running.
pub(crate) async fn measure(place: &Place, secrets: &Secrets) -> Result<(Start, (Program, SocketAddr))> {
    let mut first_answer_ms = Vec::new();
    let mut running = None;
    for _ in 0..STARTS {
        if let Some((program, _)) = running.take() {
            Program::end(program).await?;
        }
        let started = Instant::now();
        running = Some(system::whole(place, secrets).await?);
        first_answer_ms.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let (program, address) = running.ok_or_else(|| anyhow::anyhow!("it was never started"))?;
    let before = cpu_seconds(program.process())?;
    tokio::time::sleep(IDLE).await;
    let used = cpu_seconds(program.process())? - before;
    let start = Start {
        first_answer_ms,
        idle_mib: memory(program.process())?,
        idle_cpu_percent: used / IDLE.as_secs_f64() * 100.0,
    };
    Ok((start, (program, address)))
}
