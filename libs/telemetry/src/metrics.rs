//! The instruments that every process has. A service makes its own with [`meter`], named
//! `causeway_<service>_<thing>_total|_seconds`; labels come from closed sets, never from a tenant or a path.

use std::sync::OnceLock;

use opentelemetry::metrics::{Histogram, Meter, MeterProvider as _, UpDownCounter};
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::SdkMeterProvider;

/// From 0.25 ms, which is what a call in one process costs, to the budget of a model's answer.
const SECONDS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 100.0,
];

static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

#[derive(Debug)]
struct Instruments {
    calls: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
}

pub(crate) fn install(provider: &SdkMeterProvider) {
    let meter = provider.meter("causeway");
    let calls = meter
        .f64_histogram("causeway_mesh_call_seconds")
        .with_description("How long calls took, by side (client, server, http), service, method and code.")
        .with_boundaries(SECONDS.to_vec())
        .build();
    let in_flight = meter
        .i64_up_down_counter("causeway_mesh_calls_in_flight")
        .with_description("Calls that have begun and not ended.")
        .build();
    // A second provider does not come here: `init` installs the first one only.
    let _ = INSTRUMENTS.set(Instruments { calls, in_flight });
}

/// Records a call that ended. Nothing happens before [`crate::init`].
///
/// `side` is `client`, `server` or `http`; `method` is a name of the method table or a matched route.
pub fn record_call(
    side: &'static str,
    service: &'static str,
    method: &'static str,
    code: &'static str,
    seconds: f64,
) {
    if let Some(instruments) = INSTRUMENTS.get() {
        let labels = [
            KeyValue::new("side", side),
            KeyValue::new("service", service),
            KeyValue::new("method", method),
            KeyValue::new("code", code),
        ];
        instruments.calls.record(seconds, &labels);
    }
}

/// Counts a call as running until the guard is dropped.
pub fn in_flight(side: &'static str, service: &'static str) -> InFlight {
    let guard = InFlight { side, service };
    guard.add(1);
    guard
}

/// A running call.
#[derive(Debug)]
#[must_use = "the call counts as ended when this is dropped"]
pub struct InFlight {
    side: &'static str,
    service: &'static str,
}

impl InFlight {
    fn add(&self, change: i64) {
        if let Some(instruments) = INSTRUMENTS.get() {
            let labels = [
                KeyValue::new("side", self.side),
                KeyValue::new("service", self.service),
            ];
            instruments.in_flight.add(change, &labels);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.add(-1);
    }
}

/// The meter for a service's own instruments; make them after [`crate::init`].
pub fn meter(name: &'static str) -> Meter {
    global::meter(name)
}
