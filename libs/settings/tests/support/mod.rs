//! Fixtures: each file of `tests/env` as the `.env` of a directory of its own.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs;
use std::path::Path;

use causeway_settings::{Owner, Problem, Settings, Sources};

/// The text of a fixture.
pub(crate) fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env").join(name)).expect("a fixture")
}

/// The fixture as `.env`, with `process` as the process environment.
pub(crate) fn sources_of(name: &str, process: &[(&str, &str)]) -> Sources {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join(".env"), fixture(name)).expect("a written file");
    Sources::from_directory(directory.path(), owned(process)).expect("readable files")
}

pub(crate) fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn resolve(pairs: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
    Settings::resolve(&Sources::from_pairs(owned(pairs)), Owner::ALL)
}

pub(crate) fn named<'a>(problems: &'a [Problem], name: &str) -> Vec<&'a str> {
    problems
        .iter()
        .filter(|problem| problem.setting == name)
        .map(|problem| problem.message.as_str())
        .collect()
}
