//! How much of the time a rotation works.

use std::time::Duration;

/// The longest rest between two parts.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How much of the time a rotation works, and leaves the rest to the calls (ROT-07).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duty(u32);

impl Duty {
    /// That many of a hundred parts of the time.
    pub(crate) fn percent(percent: u32) -> Self {
        Self(percent.clamp(1, 100))
    }

    /// How long to rest after having worked for so long.
    pub(crate) fn rest_after(self, worked: Duration) -> Duration {
        (worked * (100 - self.0) / self.0).min(LONGEST_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_in_proportion_to_work_and_bounded() {
        let worked = Duration::from_millis(30);
        assert_eq!(Duty::percent(25).rest_after(worked), Duration::from_millis(90));
        assert_eq!(Duty::percent(50).rest_after(worked), worked);
        assert_eq!(Duty::percent(100).rest_after(worked), Duration::ZERO);
        assert_eq!(Duty::percent(0), Duty::percent(1));
        assert_eq!(Duty::percent(1).rest_after(Duration::from_secs(9)), LONGEST_REST);
    }
}
