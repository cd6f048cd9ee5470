//! How long calls took, one by one.

use std::time::Instant;

/// What calls took, in order.
pub(crate) struct Spread(Vec<u64>);

impl Spread {
    pub(crate) fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// Microseconds at a percentile.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = (self.0.len() as f64 * part / 100.0) as usize;
        self.0
            .get(place.min(last))
            .map_or(0.0, |nanos| *nanos as f64 / 1e3)
    }

    pub(crate) fn row(&self, name: &str, floor: &Self) -> String {
        format!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.1}x |",
            self.at(50.0),
            self.at(99.0),
            self.at(99.9),
            self.at(50.0) / floor.at(50.0)
        )
    }
}

pub(crate) fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Times `calls` of `work`, after a tenth as many to warm up.
pub(crate) fn timed(calls: usize, mut work: impl FnMut()) -> Spread {
    (0..calls / 10).for_each(|_| work());
    let each = (0..calls).map(|_| {
        let began = Instant::now();
        work();
        nanos(began)
    });
    Spread::of(each.collect())
}
