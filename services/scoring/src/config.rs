//! What the service is told at its start.

use causeway_settings::{Problem, Settings};

/// Nothing yet: retraining, model bytes, interaction stores and the external scoring service, whose settings this
/// service owns, come later, and the registry of settings says so of each.
///
/// `RETRAIN_EVERY_N` is about kinds of model whose outcomes are folded in by a recomputation (B-SCO-5, B-SCO-6). A
/// Thompson model has none: its update is two additions, exact in any order, and is made with each outcome. Waiting
/// for the Nth would only make its decisions worse.
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
