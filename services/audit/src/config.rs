//! What the service is told at its start.

use causeway_settings::{Problem, Settings};

/// Nothing yet: search back ends, SIEM delivery and provenance, whose settings this service owns, come later, and the
/// registry of settings says so of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {}

impl Config {
    /// The configuration in `settings`.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn from_settings(_settings: &Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self::default())
    }
}
