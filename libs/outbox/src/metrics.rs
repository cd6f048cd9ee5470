//! How many facts left the outbox, and how.

use std::sync::LazyLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

static FACTS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    causeway_telemetry::metrics::meter("causeway_outbox")
        .u64_counter("causeway_outbox_facts_total")
        .with_description("Facts that left the outbox, by their end: delivered to the log, or parked.")
        .build()
});

pub(crate) fn delivered(facts: usize) {
    add(facts, "delivered");
}

pub(crate) fn parked() {
    add(1, "parked");
}

fn add(facts: usize, end: &'static str) {
    FACTS.add(
        u64::try_from(facts).unwrap_or(u64::MAX),
        &[KeyValue::new("end", end)],
    );
}
