//! What is known about one setting.

use crate::owner::Owner;
use crate::tier::Tier;

/// Refuses a value; the reason never repeats the value.
pub type Check = fn(&str) -> Result<(), &'static str>;

/// How the text of a value is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text that must never be shown.
    Secret,
    /// A whole number within the bounds, both included.
    Integer(i64, i64),
    /// A finite number within the bounds, both included.
    Float(f64, f64),
    /// Exactly `true` or `false`.
    Flag,
    /// `1` or `0`; `true` and `false` are understood too.
    Switch,
    /// Comma-separated entries, trimmed, blank ones dropped.
    List,
    /// One of the words.
    Choice(&'static [&'static str]),
    /// An address that begins with one of the schemes.
    Url(&'static [&'static str]),
}

impl Kind {
    /// The kind in the notation of the specification table.
    pub fn notation(self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Integer(..) => "int".to_owned(),
            Self::Float(..) => "float".to_owned(),
            Self::Flag => "bool".to_owned(),
            Self::Switch => "enum:0|1".to_owned(),
            Self::List => "csv".to_owned(),
            Self::Choice(words) => format!("enum:{}", words.join("|")),
            Self::Url(_) => "url".to_owned(),
        }
    }
}

/// What a malformed value does (C-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadValue {
    /// The process does not start.
    Refused,
    /// A warning; the default is used.
    FallsBack,
    /// A warning; the setting counts as unset and its feature stays off.
    Disables,
    /// A warning; the flag takes its safe side.
    SafeSide(bool),
}

/// Whether anything reads the setting yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Read now.
    Live,
    /// Recognised and checked; its feature comes later.
    Later,
    /// Recognised; no server will read it.
    Ignored,
}

/// What unset means in each tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// No value.
    None,
    /// A fixed text per tier.
    Fixed {
        /// In development.
        development: Option<&'static str>,
        /// In test.
        test: Option<&'static str>,
        /// In production.
        production: Option<&'static str>,
    },
    /// `http://localhost:` and the gateway's port; outside production only unless `everywhere`.
    LocalGateway {
        /// Also in production.
        everywhere: bool,
    },
}

impl DefaultValue {
    /// The fixed text of `tier`.
    pub const fn fixed(&self, tier: Tier) -> Option<&'static str> {
        match self {
            Self::None | Self::LocalGateway { .. } => None,
            Self::Fixed {
                development,
                test,
                production,
            } => match tier {
                Tier::Development => *development,
                Tier::Test => *test,
                Tier::Production => *production,
            },
        }
    }
}

/// One name of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// The setting this name is another spelling of.
    pub alias_of: Option<&'static str>,
    /// Other spellings, in order of precedence after the name itself.
    pub aliases: &'static [&'static str],
    /// Settings whose value stands in when this one is unset.
    pub fallbacks: &'static [&'static str],
    /// Who reads it.
    pub owners: &'static [Owner],
    /// How its text is read.
    pub kind: Kind,
    /// A further test of the text.
    pub check: Option<Check>,
    /// A further test of every entry of a list.
    pub each: Option<Check>,
    /// What unset means.
    pub default: DefaultValue,
    /// When it must be set, in words.
    pub required: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// Whether its entries open a door, so that contradicting aliases are dangerous.
    pub allowlist: bool,
    /// What a malformed value does.
    pub bad_value: BadValue,
    /// Whether anything reads it yet.
    pub availability: Availability,
    /// One line about what it does.
    pub about: &'static str,
    /// Why its default is unsafe to keep.
    pub risk: Option<&'static str>,
    /// Values that belong to somebody else: they count as unset (C-29).
    pub placeholders: &'static [&'static str],
    /// Whether an explicitly empty value means "nothing" instead of "unset".
    pub keeps_empty: bool,
    /// Whether the name is ours and in none of the source systems.
    pub ours: bool,
}

const fn new(name: &'static str, kind: Kind, owners: &'static [Owner], about: &'static str) -> Setting {
    Setting {
        name,
        alias_of: None,
        aliases: &[],
        fallbacks: &[],
        owners,
        kind,
        check: None,
        each: None,
        default: DefaultValue::None,
        required: "never",
        secret: matches!(kind, Kind::Secret),
        allowlist: false,
        bad_value: BadValue::Refused,
        availability: Availability::Live,
        about,
        risk: None,
        placeholders: &[],
        keeps_empty: false,
        ours: false,
    }
}

pub(crate) const fn text(name: &'static str, owners: &'static [Owner], about: &'static str) -> Setting {
    new(name, Kind::Text, owners, about)
}

pub(crate) const fn secret(name: &'static str, owners: &'static [Owner], about: &'static str) -> Setting {
    new(name, Kind::Secret, owners, about)
}

pub(crate) const fn integer(
    name: &'static str,
    (least, most): (i64, i64),
    owners: &'static [Owner],
    about: &'static str,
) -> Setting {
    new(name, Kind::Integer(least, most), owners, about)
}

pub(crate) const fn float(
    name: &'static str,
    (least, most): (f64, f64),
    owners: &'static [Owner],
    about: &'static str,
) -> Setting {
    new(name, Kind::Float(least, most), owners, about)
}

pub(crate) const fn flag(name: &'static str, owners: &'static [Owner], about: &'static str) -> Setting {
    new(name, Kind::Flag, owners, about)
}

pub(crate) const fn switch(name: &'static str, owners: &'static [Owner], about: &'static str) -> Setting {
    new(name, Kind::Switch, owners, about)
}

pub(crate) const fn list(name: &'static str, owners: &'static [Owner], about: &'static str) -> Setting {
    new(name, Kind::List, owners, about)
}

pub(crate) const fn choice(
    name: &'static str,
    words: &'static [&'static str],
    owners: &'static [Owner],
    about: &'static str,
) -> Setting {
    new(name, Kind::Choice(words), owners, about)
}

pub(crate) const fn url(name: &'static str, owners: &'static [Owner], about: &'static str) -> Setting {
    new(name, Kind::Url(&["http://", "https://"]), owners, about)
}

impl Setting {
    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = DefaultValue::Fixed {
            development: Some(value),
            test: Some(value),
            production: Some(value),
        };
        self
    }

    pub(crate) const fn default_per_tier(
        mut self,
        development: Option<&'static str>,
        test: Option<&'static str>,
        production: Option<&'static str>,
    ) -> Self {
        self.default = DefaultValue::Fixed {
            development,
            test,
            production,
        };
        self
    }

    pub(crate) const fn default_outside_production(self, value: &'static str) -> Self {
        self.default_per_tier(Some(value), Some(value), None)
    }

    pub(crate) const fn default_local_gateway(mut self, everywhere: bool) -> Self {
        self.default = DefaultValue::LocalGateway { everywhere };
        self
    }

    pub(crate) const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    pub(crate) const fn alias_of(mut self, name: &'static str) -> Self {
        self.alias_of = Some(name);
        self
    }

    pub(crate) const fn fallbacks(mut self, names: &'static [&'static str]) -> Self {
        self.fallbacks = names;
        self
    }

    pub(crate) const fn required(mut self, when: &'static str) -> Self {
        self.required = when;
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    pub(crate) const fn schemes(mut self, schemes: &'static [&'static str]) -> Self {
        self.kind = Kind::Url(schemes);
        self
    }

    pub(crate) const fn each(mut self, check: Check) -> Self {
        self.each = Some(check);
        self
    }

    pub(crate) const fn bad_value(mut self, effect: BadValue) -> Self {
        self.bad_value = effect;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn allowlist(mut self) -> Self {
        self.allowlist = true;
        self
    }

    pub(crate) const fn later(mut self) -> Self {
        self.availability = Availability::Later;
        self
    }

    pub(crate) const fn ignored(mut self) -> Self {
        self.availability = Availability::Ignored;
        self
    }

    pub(crate) const fn risk(mut self, why: &'static str) -> Self {
        self.risk = Some(why);
        self
    }

    pub(crate) const fn placeholders(mut self, values: &'static [&'static str]) -> Self {
        self.placeholders = values;
        self
    }

    pub(crate) const fn keeps_empty(mut self) -> Self {
        self.keeps_empty = true;
        self
    }

    pub(crate) const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    /// The name and its other spellings, in order of precedence.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether a process that runs `owners` checks this setting.
    pub fn concerns(&self, owners: &[Owner]) -> bool {
        self.owners
            .iter()
            .any(|owner| owner.concerns_every_process() || owners.contains(owner))
    }

    /// Why no server reads it, if none does.
    pub fn ignored_because(&self) -> Option<&'static str> {
        self.owners.iter().find_map(|owner| owner.not_for_servers())
    }
}
