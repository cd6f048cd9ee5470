//! What row-level security and `WorkspaceTx` cost, against the same server in the same run: an insert against pgbench's
//! plain one, and queries below the policy against a superuser's with an explicit WHERE. `docs/benchmarks.md` says how to
//! read it.

mod insert;
mod pgbench;
mod policy;

use anyhow::{Context as _, Result};
use causeway_database::Schema;
use causeway_testkit::TestDb;
use diesel_migrations::embed_migrations;

static BENCH: Schema = Schema {
    name: "bench",
    migrations: embed_migrations!("src/database/migrations"),
    unscoped: &["plain"],
};

#[tokio::main]
async fn main() -> Result<()> {
    let database = TestDb::new(&[&BENCH])
        .await
        .context("run scripts/bench.sh: it starts the server")?;
    println!("{}", policy::measure(&database).await?);
    println!("{}", insert::measure(&database).await?);
    Ok(())
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
