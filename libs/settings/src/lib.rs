//! The registry of every setting: name, aliases, tier rules, parsing and its documentation.
//!
//! A process reads [`Sources`] once, resolves them into [`Settings`] for the [`Owner`]s it runs, and exits
//! with every [`Problem`] printed if there is any. Nothing else looks at the process environment.

mod check;
mod document;
mod dotenv;
mod explain;
mod llm;
mod owner;
mod problem;
pub mod registry;
mod report;
mod resolve;
mod rules;
mod setting;
mod settings;
mod sources;
mod tier;
mod value;

pub use document::{example, markdown};
pub use explain::explain;
pub use llm::{LlmChoice, LlmGroup};
pub use owner::Owner;
pub use problem::Problem;
pub use report::{Found, Report};
pub use setting::{Availability, BadValue, Check, DefaultValue, Kind, Setting};
pub use settings::Settings;
pub use sources::Sources;
pub use tier::Tier;
