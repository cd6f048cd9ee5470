//! What the gateway costs. One run starts the release program as operators do (the gateway in one process, services in
//! another, everything in a third), calls the same RPCs past the gateway and through it in turns, and reports
//! latencies and CPU per request. `docs/benchmarks.md` says what the numbers mean and what they do not.

mod call;
mod load;
mod machine;
mod program;
mod report;
mod start;
mod subject;
mod system;
mod usage;

use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{SecondsFormat, Utc};

use crate::machine::Machine;
use crate::program::Place;
use crate::report::{Report, Series};
use crate::subject::{Cast, Rpc, Secrets, Way};
use crate::system::Systems;

const CALLERS: [usize; 2] = [1, 32];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(600);
const WARM_UP: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> Result<()> {
    let commit = std::env::args().nth(1).unwrap_or_else(|| "unknown".to_owned());
    let (place, secrets, cast) = (Place::of_this_program()?, Secrets::generate(), Cast::generate());
    let machine = Machine::here();
    eprintln!("starting the program ...");
    let (start, whole) = start::measure(&place, &secrets).await?;
    let systems = Systems::start(&place, &secrets, &cast, whole).await?;
    let series = Box::pin(measure(&systems, &secrets, &cast)).await?;
    systems.end().await?;

    #[expect(clippy::disallowed_methods, reason = "a report says when it was made")]
    let at = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let report = Report {
        at,
        commit,
        machine,
        round_seconds: ROUND.as_secs_f64(),
        start,
        series,
    };
    let report = report.summarise();
    let file = place.results.join("latest.json");
    let json = serde_json::to_vec_pretty(&report).context("write the report")?;
    std::fs::write(&file, json).context("write the report")?;
    println!("{}", report.table());
    println!("every round: {}", program::shown(&file));
    Ok(())
}

/// All rounds, in turns: what disturbs the machine for a while disturbs every way alike.
async fn measure(systems: &Systems, secrets: &Secrets, cast: &Cast) -> Result<Vec<Series>> {
    let mut series: Vec<Series> = Vec::new();
    for callers in CALLERS {
        for rpc in Rpc::ALL {
            series.extend(Way::ALL.map(|way| Series {
                rpc,
                way,
                callers,
                summary: None,
                rounds: Vec::new(),
            }));
        }
    }
    let processes = systems.processes();
    for round in 0..=ROUNDS {
        let (word, length) = match round {
            0 => ("warm-up".to_owned(), WARM_UP),
            _ => (format!("round {round} of {ROUNDS}"), ROUND),
        };
        eprintln!("{word} ...");
        for one in &mut series {
            let call = cast.call(one.rpc, one.way, systems.model(one.way), secrets)?;
            let channel = systems.channel(one.way, one.rpc);
            let seen = load::round(&channel, &call, one.callers, length, &processes)
                .await
                .with_context(|| format!("{} {}", one.rpc.name(), one.way.name()))?;
            if round > 0 {
                one.rounds.push(seen);
            }
        }
    }
    Ok(series)
}
