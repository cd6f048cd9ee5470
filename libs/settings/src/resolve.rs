//! From layered texts to values: aliases, fallbacks, defaults, then the rules.

use std::collections::BTreeMap;

use crate::owner::Owner;
use crate::problem::Problem;
use crate::registry;
use crate::rules;
use crate::setting::{Availability, BadValue, DefaultValue, Setting};
use crate::sources::Sources;
use crate::tier::Tier;
use crate::value::{self, Value};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// An operator did: under this name, in this source.
    Given { name: &'static str, source: String },
}

/// A value and its origin.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub value: Value,
    pub origin: Origin,
}

/// Everything that resolving finds, good and bad.
#[derive(Debug, Clone)]
pub(crate) struct Resolution {
    pub tier: Tier,
    pub owners: Vec<Owner>,
    given: BTreeMap<&'static str, Resolved>,
    values: BTreeMap<&'static str, Resolved>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    pub notes: Vec<Problem>,
}

impl Resolution {
    pub(crate) fn of(sources: &Sources, owners: &[Owner]) -> Self {
        let word = sources.text("NODE_ENV").unwrap_or(Tier::Development.name());
        let mut resolution = Self {
            tier: word.parse().unwrap_or(Tier::Development),
            owners: owners.to_vec(),
            given: BTreeMap::new(),
            values: BTreeMap::new(),
            problems: Vec::new(),
            warnings: sources.warnings().to_vec(),
            notes: Vec::new(),
        };
        let canonical = || registry::all().filter(|setting| setting.alias_of.is_none());
        canonical().for_each(|setting| resolution.read(setting, sources));
        for setting in canonical() {
            if let Some(value) = resolution.effective(setting) {
                resolution.values.insert(setting.name, value);
            }
        }
        rules::apply(&mut resolution);
        resolution
    }

    /// The value of `name`, its default included.
    pub(crate) fn value(&self, name: &str) -> Option<&Resolved> {
        self.values.get(name)
    }

    /// Whether an operator set `name` or one of its aliases.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The name under which an operator set `name`, else `name`.
    pub(crate) fn used_name<'a>(&self, name: &'a str) -> &'a str {
        match self.value(name).map(|resolved| &resolved.origin) {
            Some(Origin::Given { name, .. }) => name,
            Some(Origin::Default) | None => name,
        }
    }

    /// The value of `name` as text, secret or not: for rules, never for messages.
    pub(crate) fn raw(&self, name: &str) -> Option<String> {
        self.value(name).map(|resolved| resolved.value.raw())
    }

    /// The value of `name` as text where an operator set it.
    pub(crate) fn given_raw(&self, name: &str) -> Option<String> {
        self.given.get(name).map(|resolved| resolved.value.raw())
    }

    /// Whether this process checks `setting`.
    pub(crate) fn checks(&self, setting: &Setting) -> bool {
        setting.concerns(&self.owners)
    }

    pub(crate) fn problem(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(name, message));
    }

    pub(crate) fn warn(&mut self, name: &str, message: impl Into<String>) {
        self.warnings.push(Problem::new(name, message));
    }

    pub(crate) fn note(&mut self, name: &str, message: impl Into<String>) {
        self.notes.push(Problem::new(name, message));
    }

    fn read(&mut self, setting: &Setting, sources: &Sources) {
        let given = self.given_names(setting, sources);
        let Some((name, text)) = given.first().copied() else {
            return;
        };
        self.compare_aliases(setting, &given);
        let origin = Origin::Given {
            name,
            source: sources.source_of(name).to_owned(),
        };
        match value::read(setting, text) {
            Ok(value) => {
                self.given.insert(setting.name, Resolved { value, origin });
            }
            Err(reason) => self.malformed(setting, name, origin, &reason),
        }
        self.note_readers(setting, name);
    }

    /// The names of `setting` that hold something, in order of precedence.
    fn given_names<'a>(&mut self, setting: &Setting, sources: &'a Sources) -> Vec<(&'static str, &'a str)> {
        let text = |name| {
            if setting.keeps_empty {
                sources.raw(name)
            } else {
                sources.text(name)
            }
        };
        let mut given = Vec::new();
        for name in setting.names() {
            let Some(text) = text(name) else { continue };
            if !setting.placeholders.contains(&text) {
                given.push((name, text));
            } else if self.checks(setting) {
                self.warn(
                    name,
                    "is a placeholder of somebody else's system and counts as unset",
                );
            }
        }
        given
    }

    /// G-2: the first name wins, values are never merged, and a contradiction is told.
    fn compare_aliases(&mut self, setting: &Setting, given: &[(&'static str, &str)]) {
        let Some(((winner, text), rest)) = given.split_first() else {
            return;
        };
        let differs = |other: &str| match setting.kind {
            crate::setting::Kind::List => value::list(other) != value::list(text),
            _ => other != *text,
        };
        for (name, _) in rest.iter().filter(|(_, other)| differs(other)) {
            if !self.checks(setting) {
                continue;
            }
            if self.tier.is_production() && (setting.secret || setting.allowlist) {
                self.problem(
                    name,
                    format!("differs from {winner}, another name of the same setting; keep one"),
                );
            } else {
                self.warn(
                    name,
                    format!("differs from {winner}, another name of the same setting; {winner} is used"),
                );
            }
        }
    }

    /// C-21: what a malformed value does.
    fn malformed(&mut self, setting: &Setting, name: &'static str, origin: Origin, reason: &str) {
        let checked = self.checks(setting);
        let warning = match setting.bad_value {
            BadValue::Refused => {
                if checked {
                    self.problem(name, reason);
                }
                return;
            }
            BadValue::FallsBack => format!("{reason}; the default is used"),
            BadValue::Disables => format!("{reason}; it counts as unset"),
            BadValue::SafeSide(flag) => {
                self.given.insert(
                    setting.name,
                    Resolved {
                        value: Value::Flag(flag),
                        origin,
                    },
                );
                format!("{reason}; the safe side, {flag}, is used")
            }
        };
        if checked {
            self.warn(name, warning);
        }
    }

    fn note_readers(&mut self, setting: &Setting, name: &'static str) {
        if !self.checks(setting) {
            return;
        }
        match (setting.availability, setting.ignored_because()) {
            (Availability::Ignored, Some(why)) => self.note(name, why),
            (Availability::Ignored, None) => self.note(name, "recognised without effect"),
            (Availability::Later, _) => self.note(name, "recognised; its feature comes later"),
            (Availability::Live, _) => {}
        }
    }

    fn effective(&self, setting: &Setting) -> Option<Resolved> {
        self.given_for(setting).or_else(|| self.default_for(setting))
    }

    /// What an operator set: for the setting itself, else for what stands in for it.
    fn given_for(&self, setting: &Setting) -> Option<Resolved> {
        let own = self.given.get(setting.name).cloned();
        own.or_else(|| fallbacks(setting).find_map(|fallback| self.given_for(fallback)))
    }

    fn default_for(&self, setting: &Setting) -> Option<Resolved> {
        let text = match setting.default {
            DefaultValue::LocalGateway { everywhere } => self.local_gateway(everywhere),
            DefaultValue::None | DefaultValue::Fixed { .. } => {
                setting.default.fixed(self.tier).map(str::to_owned)
            }
        };
        let value = text.and_then(|text| value::read(setting, &text).ok());
        let own = value.map(|value| Resolved {
            value,
            origin: Origin::Default,
        });
        own.or_else(|| fallbacks(setting).find_map(|fallback| self.default_for(fallback)))
    }

    /// C-18: addresses of ourselves follow the gateway's port.
    fn local_gateway(&self, everywhere: bool) -> Option<String> {
        if self.tier.is_production() && !everywhere {
            return None;
        }
        let port = self.given_raw("PORT").unwrap_or_else(|| "4000".to_owned());
        Some(format!("http://localhost:{port}"))
    }
}

fn fallbacks(setting: &Setting) -> impl Iterator<Item = &'static Setting> {
    setting.fallbacks.iter().filter_map(|name| registry::find(name))
}
