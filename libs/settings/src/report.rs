//! What `causeway config check` shows: every value in force and where it comes from.

use std::fmt;

use crate::owner::Owner;
use crate::problem::Problem;
use crate::registry;
use crate::resolve::{Origin, Resolution, Resolved};
use crate::setting::{Availability, Kind, Setting};
use crate::sources::Sources;
use crate::tier::Tier;
use crate::value::Value;

/// One value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The canonical name.
    pub name: &'static str,
    /// The value as it may be shown: of a secret only its length.
    pub shown: String,
    /// A file, `process environment` or `default`.
    pub source: String,
    /// The other name under which it was set, if it was.
    pub alias: Option<&'static str>,
    /// What to look at.
    pub warnings: Vec<String>,
    /// Whether it has an effect, if it has none or not yet.
    pub note: Option<String>,
    availability: Availability,
}

/// Every value in force for a process, and everything that is wrong.
#[derive(Debug, Clone)]
pub struct Report {
    /// The tier.
    pub tier: Tier,
    /// The values, in the order of the documents.
    pub found: Vec<Found>,
    /// What stops the start.
    pub problems: Vec<Problem>,
    /// What does not stop it.
    pub warnings: Vec<Problem>,
    /// What has no effect (yet).
    pub notes: Vec<Problem>,
}

impl Report {
    /// Looks at `sources` as a process that runs `owners` would.
    pub fn of(sources: &Sources, owners: &[Owner]) -> Self {
        let resolution = Resolution::of(sources, owners);
        let checked =
            registry::all().filter(|setting| setting.alias_of.is_none() && resolution.checks(setting));
        let found = checked.filter_map(|setting| {
            let resolved = resolution.value(setting.name)?;
            Some(Found::of(setting, resolved, &resolution))
        });
        let found = found.collect();
        let Resolution {
            tier,
            problems,
            warnings,
            notes,
            ..
        } = resolution;
        Self {
            tier,
            found,
            problems,
            warnings,
            notes,
        }
    }

    /// Whether a process would start.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Found {
    fn of(setting: &Setting, resolved: &Resolved, resolution: &Resolution) -> Self {
        let (source, used) = match &resolved.origin {
            Origin::Default => ("default".to_owned(), setting.name),
            Origin::Given { name, source } => (source.clone(), *name),
        };
        let about = |problem: &&Problem| setting.names().any(|name| name == problem.setting);
        let text = |problem: &Problem| problem.message.clone();
        Self {
            name: setting.name,
            shown: shown(setting, &resolved.value),
            source,
            alias: (used != setting.name).then_some(used),
            warnings: resolution.warnings.iter().filter(about).map(text).collect(),
            note: resolution.notes.iter().find(about).map(text),
            availability: setting.availability,
        }
    }

    /// Whether an operator set it.
    pub fn is_default(&self) -> bool {
        self.source == "default"
    }
}

fn shown(setting: &Setting, value: &Value) -> String {
    let raw = value.raw();
    match setting.kind {
        _ if setting.secret => format!("(secret, {} chars)", raw.chars().count()),
        Kind::Url(_) => without_login(&raw),
        _ => raw.replace(|letter: char| letter.is_control(), " "),
    }
}

/// An address may hold a user and a password, and its query a token.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "(address)".to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (login, host) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(_, host)| ("(login)@", host));
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let query = if path.len() < rest.len() { "?..." } else { "" };
    format!("{scheme}://{login}{host}{path}{query}")
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}  [{}", self.name, self.shown, self.source)?;
        if let Some(alias) = self.alias {
            write!(f, ", as {alias}")?;
        }
        f.write_str("]")?;
        self.note
            .iter()
            .try_for_each(|note| write!(f, "\n    note: {note}"))?;
        self.warnings
            .iter()
            .try_for_each(|warning| write!(f, "\n    warning: {warning}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Tier: {}", self.tier)?;
        writeln!(f, "\nSet:")?;
        let set = || self.found.iter().filter(|found| !found.is_default());
        if set().next().is_none() {
            writeln!(f, "  nothing")?;
        }
        set().try_for_each(|found| writeln!(f, "  {found}"))?;
        writeln!(f, "\nDefaults of what is in use:")?;
        let live = |found: &&Found| found.is_default() && found.availability == Availability::Live;
        self.found
            .iter()
            .filter(live)
            .try_for_each(|found| writeln!(f, "  {found}"))?;
        section(f, "Warnings", &self.warnings)?;
        section(f, "Problems", &self.problems)?;
        match self.problems.len() {
            0 => writeln!(f, "\nA process with these settings starts."),
            count => writeln!(
                f,
                "\nA process with these settings does not start: {count} to correct."
            ),
        }
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, problems: &[Problem]) -> fmt::Result {
    if problems.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}:")?;
    problems.iter().try_for_each(|problem| writeln!(f, "  {problem}"))
}
