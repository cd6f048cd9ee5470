//! CPU time and memory of processes, from `/proc`.

use std::fs;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::machine::kibibytes;

/// The unit of `/proc/<pid>/stat` and `/proc/stat`: Linux shows a hundredth of a second to programs on every platform
/// that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The CPU seconds that a process has used, in user and kernel mode, over all its threads.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    ticks_of(&text)
        .map(seconds)
        .with_context(|| format!("understand {path}"))
}

/// The CPU seconds that everything on the machine has used, and what the hypervisor took away.
pub(crate) fn cpu_seconds_of_machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    busy_ticks(&text).map(seconds).context("understand /proc/stat")
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

/// `utime` and `stime`: the 12th and 13th field after the name, which may itself hold blanks and parentheses.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// All but idle and waiting for a disk: `user nice system idle iowait irq softirq steal`.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let all: u64 = fields.iter().sum();
    Some(all - fields.get(3)? - fields.get(4)?)
}

/// Memory of a process, in MiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// Every page that is present, also those of files that others map too.
    pub(crate) rss: f64,
    /// The same with shared pages divided among those who share them.
    pub(crate) pss: f64,
    /// What is its own and backed by no file: heap and stacks.
    pub(crate) anonymous: f64,
}

/// The memory that a process has now.
pub(crate) fn memory(process: u32) -> Result<Memory> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let mebibytes = |name| kibibytes(&text, name) as f64 / 1024.0;
    Ok(Memory {
        rss: mebibytes("Rss"),
        pss: mebibytes("Pss"),
        anonymous: mebibytes("Anonymous"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 120 30 5 6 20 0 3 0 99 1 2";
        assert_eq!(ticks_of(stat), Some(150));
    }

    #[test]
    fn idle_time_and_waiting_are_not_work() {
        assert_eq!(busy_ticks("cpu  10 1 5 1000 300 2 3 4 0 0\ncpu0 1 2 3"), Some(25));
    }
}
