//! The raw texts of settings, layered, each with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use config::{Config, ConfigError, Map, Value};

use crate::dotenv;
use crate::problem::Problem;
use crate::registry;
use crate::tier::Tier;

/// How the process environment is called where a value's source is shown.
pub(crate) const PROCESS: &str = "process environment";

/// Raw values of recognised names. A later layer wins; unrecognised names are dropped.
#[derive(Clone, Default)]
pub struct Sources {
    raw: BTreeMap<&'static str, Raw>,
    warnings: Vec<Problem>,
}

#[derive(Clone)]
struct Raw {
    text: String,
    source: String,
}

impl Sources {
    /// Reads `.env`, `.env.local`, `.env.{tier}` and `.env.{tier}.local` of `directory`, then `process`; the
    /// later one wins.
    ///
    /// The tier in the file names is `NODE_ENV` of the process, else of the first two files, else development.
    pub fn from_directory(
        directory: &Path,
        process: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Problem>> {
        let process = Layer::new(PROCESS, process);
        let mut reader = Reader {
            directory,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        let mut layers = reader.read(&[".env".to_owned(), ".env.local".to_owned()]);
        let tier = tier_of(layers.iter().chain([&process]));
        layers.extend(reader.read(&[format!(".env.{tier}"), format!(".env.{tier}.local")]));
        layers.push(process);
        reader.expect_one_tier(&layers, &tier);
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let mut sources =
            Self::layered(layers).map_err(|error| vec![Problem::new("settings", error.to_string())])?;
        sources.warnings = reader.warnings;
        Ok(sources)
    }

    /// Exactly these values and nothing else, as if the process environment held them.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        let raw = Layer::new(PROCESS, pairs).values.into_iter();
        let raw = raw.map(|(key, text)| {
            (
                key,
                Raw {
                    text,
                    source: PROCESS.to_owned(),
                },
            )
        });
        Self {
            raw: raw.collect(),
            warnings: Vec::new(),
        }
    }

    /// These sources with `value` for `name` on top; a name outside the registry changes nothing.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Some(setting) = registry::find(name) {
            self.raw.insert(
                setting.name,
                Raw {
                    text: value.to_owned(),
                    source: PROCESS.to_owned(),
                },
            );
        }
        self
    }

    fn layered(layers: Vec<Layer>) -> Result<Self, ConfigError> {
        let builder = layers
            .into_iter()
            .fold(Config::builder(), |builder, layer| builder.add_source(layer));
        let table = builder.build()?.cache.into_table()?;
        let mut raw = BTreeMap::new();
        for (key, value) in table {
            let source = value.origin().unwrap_or(PROCESS).to_owned();
            if let Some(setting) = registry::find(&key) {
                raw.insert(
                    setting.name,
                    Raw {
                        text: value.into_string()?,
                        source,
                    },
                );
            }
        }
        Ok(Self {
            raw,
            warnings: Vec::new(),
        })
    }

    /// The text of `name` unless it is blank, which means unset (G-1).
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|text| !text.trim().is_empty())
    }

    /// The text of `name` as it stands, blank or not.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.raw.get(name).map(|raw| raw.text.as_str())
    }

    /// Where the text of `name` came from.
    pub(crate) fn source_of(&self, name: &str) -> &str {
        self.raw.get(name).map_or("default", |raw| raw.source.as_str())
    }

    /// What was odd in the files.
    pub(crate) fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.raw.iter().map(|(name, raw)| (name, &raw.source)))
            .finish()
    }
}

/// One file, or the process environment, as a source of the `config` crate.
///
/// Its own environment source is not used: it lower-cases names, and its parsing of values would turn the
/// secret "007" into 7.
#[derive(Clone)]
struct Layer {
    name: String,
    values: BTreeMap<&'static str, String>,
}

impl Layer {
    fn new(name: &str, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let known = |(key, value): (String, String)| Some((registry::find(&key)?.name, value));
        Self {
            name: name.to_owned(),
            values: pairs.into_iter().filter_map(known).collect(),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let value = |text: &String| Value::new(Some(&self.name), text.clone());
        Ok(self
            .values
            .iter()
            .map(|(key, text)| ((*key).to_owned(), value(text)))
            .collect())
    }
}

/// The word of the last layer that names the tier. An unknown word names no file; resolving reports it.
fn tier_of<'a>(layers: impl Iterator<Item = &'a Layer>) -> String {
    let last = layers
        .filter_map(|layer| layer.text("NODE_ENV"))
        .last()
        .unwrap_or_default();
    last.parse::<Tier>().unwrap_or(Tier::Development).to_string()
}

struct Reader<'a> {
    directory: &'a Path,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    fn read(&mut self, names: &[String]) -> Vec<Layer> {
        names.iter().filter_map(|name| self.read_one(name)).collect()
    }

    fn read_one(&mut self, name: &str) -> Option<Layer> {
        let text = match fs::read_to_string(self.directory.join(name)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                self.problems
                    .push(Problem::new(name, format!("read the file: {error}")));
                return None;
            }
        };
        match dotenv::parse(&text) {
            Ok(entries) => Some(self.layer(name, entries)),
            Err(bad) => {
                let named = bad
                    .iter()
                    .map(|bad| Problem::new(format!("{name}:{}", bad.line), bad.message));
                self.problems.extend(named);
                None
            }
        }
    }

    fn layer(&mut self, name: &str, entries: Vec<dotenv::Entry>) -> Layer {
        let mut seen = BTreeMap::new();
        for entry in &entries {
            if let Some(first) = seen.insert(entry.key.as_str(), entry.line) {
                let message = format!(
                    "set in lines {first} and {} of {name}, the later one wins",
                    entry.line
                );
                self.warnings.push(Problem::new(&entry.key, message));
            }
        }
        Layer::new(name, entries.into_iter().map(|entry| (entry.key, entry.value)))
    }

    /// A tier file that names another tier would be read under the wrong rules.
    fn expect_one_tier(&mut self, layers: &[Layer], tier: &str) {
        let tier_file = format!(".env.{tier}");
        for layer in layers.iter().filter(|layer| layer.name.starts_with(&tier_file)) {
            if layer
                .text("NODE_ENV")
                .is_some_and(|word| !word.is_empty() && word != tier)
            {
                let message = format!(
                    "{} is read for tier {tier}, it cannot name another one",
                    layer.name
                );
                self.problems.push(Problem::new("NODE_ENV", message));
            }
        }
    }
}
