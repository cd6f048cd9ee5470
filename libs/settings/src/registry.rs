//! Every setting that the system knows, by owner.

mod audit;
mod auth;
mod events;
mod gateway;
mod llm;
mod outside;
mod provenance;
mod scoring;
mod shared;
mod stores;
mod tasks;
mod tenancy;
mod worker;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::setting::Setting;

/// The registry in the order of the documents: a heading and its settings.
pub const SECTIONS: &[(&str, &[Setting])] = &[
    ("All processes", shared::SETTINGS),
    ("Gateway", gateway::SETTINGS),
    ("Auth", auth::SETTINGS),
    ("Tenancy", tenancy::SETTINGS),
    ("Language models", llm::SETTINGS),
    ("Scoring", scoring::SETTINGS),
    ("Interaction stores", stores::SETTINGS),
    ("Audit, search and SIEM", audit::SETTINGS),
    ("Provenance", provenance::SETTINGS),
    ("Tasks and attachments", tasks::SETTINGS),
    ("Events", events::SETTINGS),
    ("Worker, cron and webhooks", worker::SETTINGS),
    ("Not read by servers", outside::SETTINGS),
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Setting>> =
    LazyLock::new(|| all().map(|setting| (setting.name, setting)).collect());

/// Every name, aliases included.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|(_, settings)| settings.iter())
}

/// What is known about `name`.
pub fn find(name: &str) -> Option<&'static Setting> {
    BY_NAME.get(name).copied()
}

/// The setting that `name` is a spelling of.
pub fn canonical(name: &str) -> Option<&'static Setting> {
    let setting = find(name)?;
    setting.alias_of.map_or(Some(setting), find)
}
