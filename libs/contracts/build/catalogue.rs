//! The permission catalogue: ids that are for ever (RBAC-03). Shared by the build and its test.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What stands instead of a description where a permission is no more.
const REMOVED: &str = "removed";

/// A line of the catalogue.
pub(crate) struct Entry {
    /// The bit in a set.
    pub(crate) id: u16,
    /// Such as `secrets.write`.
    pub(crate) name: String,
    /// What it allows; nothing for one that was removed, whose id and name stay taken.
    pub(crate) description: Option<String>,
}

/// The catalogue of a text: ids rise, so that a line can only be added at the end.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut entries: Vec<Entry> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut parts = line.split('\t');
        let (Some(id), Some(name), Some(description), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            mistakes.push(format!(
                "permissions.tsv: {line:?} is not id, name and description"
            ));
            continue;
        };
        let Ok(id @ 1..) = id.parse::<u16>() else {
            mistakes.push(format!("permissions.tsv: {id:?} is not an id"));
            continue;
        };
        if entries.last().is_some_and(|last| last.id >= id) {
            mistakes.push(format!(
                "permissions.tsv: the id {id} of {name} does not follow the one before it"
            ));
        }
        if entries.iter().any(|entry| entry.name == name) {
            mistakes.push(format!("permissions.tsv: {name} has two ids"));
        }
        entries.push(Entry {
            id,
            name: name.to_owned(),
            description: (description != REMOVED).then(|| description.to_owned()),
        });
    }
    if mistakes.is_empty() {
        Ok(entries)
    } else {
        Err(mistakes)
    }
}

/// The id of a permission that RPCs may ask for.
pub(crate) fn id_of(entries: &[Entry], name: &str) -> Option<u16> {
    let mut live = entries.iter().filter(|entry| entry.description.is_some());
    live.find(|entry| entry.name == name).map(|entry| entry.id)
}

/// What does not fit between the catalogue and what RPCs ask for.
pub(crate) fn compare(entries: &[Entry], asked: &BTreeSet<String>) -> Vec<String> {
    let unknown = asked
        .iter()
        .filter(|name| id_of(entries, name).is_none())
        .map(|name| {
            format!("{name} has no line in libs/contracts/permissions.tsv: give it the next id there")
        });
    let unused = entries
        .iter()
        .filter(|entry| entry.description.is_some() && !asked.contains(&entry.name))
        .map(|entry| {
            let name = &entry.name;
            format!("no RPC asks for {name}: its line in libs/contracts/permissions.tsv says `{REMOVED}`")
        });
    unknown.chain(unused).collect()
}

/// The text of the table.
pub(crate) fn table(entries: &[Entry]) -> String {
    let words = entries.last().map_or(0, |last| usize::from(last.id) / 64) + 1;
    let mut rows = String::new();
    for Entry {
        id,
        name,
        description,
    } in entries
    {
        if let Some(description) = description {
            let _ = writeln!(
                rows,
                "    Permission {{ id: {id}, name: {name:?}, description: {description:?} }},"
            );
        }
    }
    format!(
        "/// Every permission of the catalogue, by id.\npub static CATALOGUE: &[Permission] = &[\n{rows}];\n\n\
         const WORDS: usize = {words};\n"
    )
}
