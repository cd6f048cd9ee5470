//! What was measured, as a table for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::load::{Cpu, Round, median};
use crate::machine::Machine;
use crate::start::Start;
use crate::subject::{Rpc, Way};

/// The bars of a start and of an idle process.
const FIRST_ANSWER_MS: f64 = 300.0;
const IDLE_MIB: f64 = 40.0;
/// From here on the latencies say more about the other programs than about ours.
const NOISY_PERCENT: f64 = 5.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) at: String,
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) round_seconds: f64,
    pub(crate) start: Start,
    pub(crate) series: Vec<Series>,
}

/// One RPC on one way, with one number of callers.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    #[serde(serialize_with = "rpc_name")]
    pub(crate) rpc: Rpc,
    #[serde(serialize_with = "way_name")]
    pub(crate) way: Way,
    pub(crate) callers: usize,
    pub(crate) summary: Option<Summary>,
    pub(crate) rounds: Vec<Round>,
}

fn rpc_name<S: serde::Serializer>(rpc: &Rpc, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rpc.name())
}

fn way_name<S: serde::Serializer>(way: &Way, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(way.name())
}

/// The rounds of a series in one: medians of times, sums of work.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Summary {
    p50_us: f64,
    p99_us: f64,
    requests_per_second: f64,
    /// CPU of the gateway's process per request.
    gateway_cpu_us: Option<f64>,
    /// CPU of all processes that answer, per request; without a socket the generator is among them.
    servers_cpu_us: f64,
    /// How many requests the gateway passes with one core.
    gateway_requests_per_core: Option<f64>,
    /// How many requests one core answers, shared by all processes that answer.
    requests_per_core: f64,
    /// The widest distance between two rounds' p50, in percent of the median.
    spread_percent: f64,
}

impl Summary {
    fn of(way: Way, rounds: &[Round]) -> Self {
        let requests: usize = rounds.iter().map(|round| round.requests).sum();
        let cpu = rounds
            .iter()
            .fold(Cpu::default(), |sum, round| sum.plus(round.cpu, 1.0));
        let each = |seconds: f64| seconds * 1e6 / requests as f64;
        let gateway_cpu_us = match way {
            Way::GatewayGrpc | Way::GatewayRest => Some(each(cpu.gateway)),
            Way::Direct | Way::WholeGrpc | Way::WholeRest | Way::Near => None,
        };
        let servers_cpu_us = match way {
            Way::Direct => each(cpu.services),
            Way::GatewayGrpc | Way::GatewayRest => each(cpu.gateway + cpu.services),
            Way::WholeGrpc | Way::WholeRest => each(cpu.whole),
            Way::Near => each(cpu.generator),
        };
        let p50_us = median(rounds.iter().map(|round| round.p50_us));
        let (low, high) = rounds.iter().fold((f64::MAX, 0.0_f64), |(low, high), round| {
            (low.min(round.p50_us), high.max(round.p50_us))
        });
        Self {
            p50_us,
            p99_us: median(rounds.iter().map(|round| round.p99_us)),
            requests_per_second: median(rounds.iter().map(|round| round.requests as f64 / round.seconds)),
            gateway_cpu_us,
            servers_cpu_us,
            gateway_requests_per_core: gateway_cpu_us.map(|cpu| 1e6 / cpu),
            requests_per_core: 1e6 / servers_cpu_us,
            spread_percent: (high - low) / p50_us * 100.0,
        }
    }
}

impl Report {
    /// Fills in what follows from the rounds.
    pub(crate) fn summarise(mut self) -> Self {
        for series in &mut self.series {
            series.summary = Some(Summary::of(series.way, &series.rounds));
        }
        self
    }

    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "\nmachine    {}\nstrangers  {:.0} % of its CPU went to other programs while it was measured{}\ncommit     {}, {}\n\n{}",
            self.machine.line(),
            self.strangers_percent(),
            if self.strangers_percent() > NOISY_PERCENT {
                ": trust CPU times, not latencies"
            } else {
                ""
            },
            self.commit,
            self.at,
            self.start_lines(),
        );
        for callers in self.callers() {
            for rpc in Rpc::ALL {
                self.block(&mut text, rpc, callers);
            }
        }
        self.conclusion(&mut text);
        text
    }

    fn callers(&self) -> Vec<usize> {
        let mut callers: Vec<usize> = self.series.iter().map(|series| series.callers).collect();
        callers.sort_unstable();
        callers.dedup();
        callers
    }

    fn find(&self, rpc: Rpc, way: Way, callers: usize) -> Option<Summary> {
        self.series
            .iter()
            .find(|series| series.rpc == rpc && series.way == way && series.callers == callers)?
            .summary
    }

    fn strangers_percent(&self) -> f64 {
        let rounds = || self.series.iter().flat_map(|series| &series.rounds);
        let others: f64 = rounds().map(|round| round.cpu.others()).sum();
        let available: f64 = rounds().map(|round| round.seconds).sum::<f64>() * self.machine.cores() as f64;
        others / available * 100.0
    }

    fn start_lines(&self) -> String {
        let word = |holds: bool| if holds { "holds" } else { "MISSED" };
        let (start, memory) = (&self.start, &self.start.idle_mib);
        let slowest = start.first_answer_ms.iter().copied().fold(0.0, f64::max);
        format!(
            "causeway serve all, release\n  \
             first answered request  {:6.1} ms median of {}, slowest {slowest:.1} ms   (bar {FIRST_ANSWER_MS} ms: {})\n  \
             idle after 3 s          {:6.1} MiB RSS, {:.1} MiB PSS, {:.1} MiB of it its own   (bar {IDLE_MIB} MiB RSS: {})\n  \
             idle CPU                {:6.1} % of one core\n",
            start.median_ms(),
            start.first_answer_ms.len(),
            word(slowest < FIRST_ANSWER_MS),
            memory.rss,
            memory.pss,
            memory.anonymous,
            word(memory.rss < IDLE_MIB),
            start.idle_cpu_percent,
        )
    }

    fn block(&self, text: &mut String, rpc: Rpc, callers: usize) {
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "\n{:32} {:>8} {:>8} {:>9} {:>9} {:>10} {:>10} {:>8} {:>7}",
            format!("{}, {callers} at a time", rpc.name()),
            "p50 us",
            "p99 us",
            "p50 / dir",
            "req/s",
            "gateway us",
            "servers us",
            "req/core",
            "spread"
        );
        let direct = self.find(rpc, Way::Direct, callers);
        for way in Way::ALL {
            let (Some(row), Some(direct)) = (self.find(rpc, way, callers), direct) else {
                continue;
            };
            let gateway = row
                .gateway_cpu_us
                .map_or(String::new(), |cpu| format!("{cpu:.1}"));
            let _ = writeln!(
                text,
                "  {:30} {:8.0} {:8.0} {:>9} {:9.0} {gateway:>10} {:10.1} {:8.0} {:6.0}%",
                way.name(),
                row.p50_us,
                row.p99_us,
                format!("x{:.2}", row.p50_us / direct.p50_us),
                row.requests_per_second,
                row.servers_cpu_us,
                row.requests_per_core,
                row.spread_percent,
            );
        }
    }

    /// The two numbers that this is about.
    fn conclusion(&self, text: &mut String) {
        let callers = self.callers();
        let (Some(few), Some(many)) = (callers.first(), callers.last()) else {
            return;
        };
        let _ = writeln!(
            text,
            "\nthe gateway, against the service called directly\n  {:20} {:5} {:>16} {:>16} {:>22} {:>18} {:>18}",
            "",
            "",
            "added p50, us",
            "added p99, us",
            "gateway requests/core",
            "direct req/core",
            "both req/core"
        );
        for rpc in Rpc::ALL {
            for (way, word) in [(Way::GatewayGrpc, "gRPC"), (Way::GatewayRest, "REST")] {
                let found = (
                    self.find(rpc, Way::Direct, *few),
                    self.find(rpc, way, *few),
                    self.find(rpc, Way::Direct, *many),
                    self.find(rpc, way, *many),
                );
                let (Some(direct), Some(through), Some(direct_many), Some(through_many)) = found else {
                    continue;
                };
                let _ = writeln!(
                    text,
                    "  {:20} {word:5} {:>16} {:>16} {:>22} {:>18} {:>18}",
                    rpc.name(),
                    format!("+{:.0}", through.p50_us - direct.p50_us),
                    format!("+{:.0}", through.p99_us - direct.p99_us),
                    format!(
                        "{:.0}",
                        through_many.gateway_requests_per_core.unwrap_or(f64::NAN)
                    ),
                    format!("{:.0}", direct_many.requests_per_core),
                    format!(
                        "{:.0} (x{:.2})",
                        through_many.requests_per_core,
                        through_many.requests_per_core / direct_many.requests_per_core
                    ),
                );
            }
        }
        let _ = writeln!(text, "  latency with {few} caller, requests per core with {many}");
    }
}
