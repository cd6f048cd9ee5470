//! The load generator: a fixed number of callers, each of which waits for its answer before it asks again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use causeway_mesh::MeshChannel;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::call::Call;
use crate::system::Processes;
use crate::usage::{cpu_seconds, cpu_seconds_of_machine};

/// What one round showed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Round {
    pub(crate) requests: usize,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU seconds by process, while the round ran.
    pub(crate) cpu: Cpu,
}

/// CPU seconds by process.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Cpu {
    pub(crate) gateway: f64,
    pub(crate) services: f64,
    pub(crate) whole: f64,
    /// This process: the generator, and what it calls without a socket.
    pub(crate) generator: f64,
    /// Everything on the machine, ours included.
    pub(crate) machine: f64,
}

impl Cpu {
    fn read(processes: &Processes) -> Result<Self> {
        Ok(Self {
            gateway: cpu_seconds(processes.gateway)?,
            services: cpu_seconds(processes.services)?,
            whole: cpu_seconds(processes.whole)?,
            generator: cpu_seconds(std::process::id())?,
            machine: cpu_seconds_of_machine()?,
        })
    }

    /// Adds `other`, or takes it away with `sign` -1.
    pub(crate) fn plus(self, other: Self, sign: f64) -> Self {
        Self {
            gateway: self.gateway + sign * other.gateway,
            services: self.services + sign * other.services,
            whole: self.whole + sign * other.whole,
            generator: self.generator + sign * other.generator,
            machine: self.machine + sign * other.machine,
        }
    }

    /// What strangers used.
    pub(crate) fn others(self) -> f64 {
        (self.machine - self.gateway - self.services - self.whole - self.generator).max(0.0)
    }
}

/// Calls for `length` with `callers` at once.
pub(crate) async fn round(
    channel: &MeshChannel,
    call: &Call,
    callers: usize,
    length: Duration,
    processes: &Processes,
) -> Result<Round> {
    let before = Cpu::read(processes)?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        tasks.spawn(caller(channel.clone(), call.clone(), started + length));
    }
    let mut nanoseconds = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        nanoseconds.extend(ended.context("join a caller")??);
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = Cpu::read(processes)?.plus(before, -1.0);
    nanoseconds.sort_unstable();
    Ok(Round {
        requests: nanoseconds.len(),
        seconds,
        p50_us: quantile(&nanoseconds, 0.50) / 1e3,
        p99_us: quantile(&nanoseconds, 0.99) / 1e3,
        cpu,
    })
}

async fn caller(channel: MeshChannel, call: Call, until: Instant) -> Result<Vec<u64>> {
    let mut nanoseconds = Vec::with_capacity(1 << 14);
    while Instant::now() < until {
        let asked = Instant::now();
        call.send(&channel).await?;
        nanoseconds.push(u64::try_from(asked.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(nanoseconds)
}

/// The value that the fraction `at` of `sorted` does not exceed.
fn quantile(sorted: &[u64], at: f64) -> f64 {
    let rank = (sorted.len() as f64 * at).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .map_or(f64::NAN, |value| *value as f64)
}

/// The middle one; of an even number the mean of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_seen() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(quantile(&values, 0.50), 100.0);
        assert_eq!(quantile(&values, 0.99), 198.0);
        assert_eq!(quantile(&[7], 0.99), 7.0);
    }

    #[test]
    fn one_bad_round_does_not_move_the_median() {
        assert_eq!(median([3.0, 1.0, 900.0]), 3.0);
        assert_eq!(median([4.0, 2.0]), 3.0);
    }
}
