//! Resolved settings, as services read them.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use crate::llm::{self, LlmChoice};
use crate::owner::Owner;
use crate::problem::Problem;
use crate::registry;
use crate::resolve::Resolution;
use crate::rules;
use crate::setting::Kind;
use crate::sources::Sources;
use crate::tier::Tier;
use crate::value::Value;

/// Values with aliases, types, tier and defaults settled. Cheap to clone.
///
/// Getters take the canonical name and give the default where there is one. A name outside the registry, or
/// a getter of the wrong type, is a programming error and panics at start-up.
#[derive(Clone)]
pub struct Settings {
    resolution: Arc<Resolution>,
}

impl Settings {
    /// Resolves for a process that runs `owners`; on failure, all problems at once.
    ///
    /// Settings of other owners can be read too, but nobody has checked them.
    pub fn resolve(sources: &Sources, owners: &[Owner]) -> Result<Self, Vec<Problem>> {
        let resolution = Resolution::of(sources, owners);
        if resolution.problems.is_empty() {
            return Ok(Self {
                resolution: Arc::new(resolution),
            });
        }
        Err(resolution.problems)
    }

    /// The tier of the deployment.
    pub fn tier(&self) -> Tier {
        self.resolution.tier
    }

    /// What an operator should look at, to be logged once at start-up.
    pub fn warnings(&self) -> &[Problem] {
        &self.resolution.warnings
    }

    /// Settings that are recognised and have no effect (yet), to be logged once at start-up.
    pub fn notes(&self) -> &[Problem] {
        &self.resolution.notes
    }

    /// Whether an operator set `name` or one of its aliases; defaults and fallbacks do not count.
    pub fn is_set(&self, name: &str) -> bool {
        canonical(name);
        self.resolution.is_given(name)
    }

    /// A text, word or address; numbers, flags and lists give their text too. Not for secrets.
    pub fn text(&self, name: &str) -> Option<String> {
        assert!(
            canonical(name) != Kind::Secret,
            "{name} is a secret: read it with secret()"
        );
        self.resolution.raw(name)
    }

    /// A secret, or any text that should be handled as one.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        canonical(name);
        match &self.resolution.value(name)?.value {
            Value::Secret(secret) => Some(secret.clone()),
            other => Some(other.raw().into()),
        }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        assert!(
            matches!(canonical(name), Kind::Integer(..)),
            "{name} is not a whole number"
        );
        match self.resolution.value(name)?.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A number.
    pub fn float(&self, name: &str) -> Option<f64> {
        assert!(
            matches!(canonical(name), Kind::Float(..)),
            "{name} is not a number"
        );
        match self.resolution.value(name)?.value {
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    /// A switch.
    pub fn flag(&self, name: &str) -> Option<bool> {
        assert!(
            matches!(canonical(name), Kind::Flag | Kind::Switch),
            "{name} is not a flag"
        );
        match self.resolution.value(name)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The entries of a comma-separated list; empty when unset.
    pub fn list(&self, name: &str) -> Vec<String> {
        assert!(canonical(name) == Kind::List, "{name} is not a list");
        match self.resolution.value(name).map(|resolved| &resolved.value) {
            Some(Value::List(entries)) => entries.clone(),
            _ => Vec::new(),
        }
    }

    /// Which group of settings chooses the language model providers (C-11), the tenant's own choice aside.
    pub fn llm(&self) -> LlmChoice {
        llm::choose(&self.resolution)
    }

    /// Whether the publicly known development key may seal data (C-7): never in production, and elsewhere only
    /// with the in-memory store, a local database or a tier that was named.
    pub fn development_key_allowed(&self) -> bool {
        rules::keys::development_key_allowed(&self.resolution)
    }
}

/// The kind of a canonical name.
fn canonical(name: &str) -> Kind {
    match registry::find(name) {
        Some(setting) => {
            assert!(
                setting.alias_of.is_none(),
                "{name} is an alias, read its canonical name"
            );
            setting.kind
        }
        None => panic!("{name} is not in the registry of settings"),
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("tier", &self.tier())
            .finish_non_exhaustive()
    }
}
