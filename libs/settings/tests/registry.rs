//! The registry against the specification table and the documents made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use causeway_settings::{Availability, Owner, Setting, Tier, example, explain, markdown, registry};

const TABLE: &str = include_str!("../spec/settings.tsv");
const DIFFERENCES: &str = include_str!("../spec/differences.tsv");

struct Row {
    name: &'static str,
    default: &'static str,
    kind: &'static str,
    owners: BTreeSet<&'static str>,
    behaviour: &'static str,
    secret: bool,
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| {
        let cells: Vec<_> = line.split('\t').collect();
        let owners = cells[5].split(',').collect();
        Row {
            name: cells[0],
            default: cells[2],
            kind: cells[4],
            owners,
            behaviour: cells[6],
            secret: cells[8] == "yes",
        }
    };
    TABLE.lines().skip(1).map(row).collect()
}

/// The rows of each name: one per source system.
fn by_name() -> BTreeMap<&'static str, Vec<Row>> {
    let mut names = BTreeMap::<_, Vec<_>>::new();
    for row in rows() {
        names.entry(row.name).or_default().push(row);
    }
    names
}

fn default_of(setting: &Setting) -> String {
    let setting = registry::canonical(setting.name).expect("a registered name");
    match setting.default {
        causeway_settings::DefaultValue::LocalGateway { .. } => "http://localhost:PORT".to_owned(),
        _ => setting.default.fixed(Tier::Development).unwrap_or("-").to_owned(),
    }
}

fn owners_of(setting: &Setting) -> BTreeSet<&'static str> {
    setting.owners.iter().map(|owner| owner.name()).collect()
}

/// What of `setting` no row of the table agrees with: field and our value.
fn differences(setting: &Setting, rows: &[Row]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let default = default_of(setting);
    let owners = owners_of(setting);
    let all_owners: BTreeSet<_> = rows.iter().flat_map(|row| row.owners.iter().copied()).collect();
    if !rows.iter().any(|row| row.default == default) {
        found.push(("default", default));
    }
    if !rows.iter().any(|row| row.kind == setting.kind.notation()) {
        found.push(("type", setting.kind.notation()));
    }
    if owners != all_owners {
        found.push(("owner", owners.into_iter().collect::<Vec<_>>().join(",")));
    }
    if !rows.iter().any(|row| row.secret == setting.secret) {
        found.push(("secret", if setting.secret { "yes" } else { "no" }.to_owned()));
    }
    found
}

#[test]
fn every_row_of_the_table_is_in_the_registry_and_agrees_or_differs_for_a_listed_reason() {
    let mut found = BTreeSet::new();
    for (name, rows) in by_name() {
        let setting = registry::find(name).unwrap_or_else(|| panic!("{name} is not in the registry"));
        for (field, ours) in differences(setting, &rows) {
            found.insert(format!("{name}\t{field}\t{ours}"));
        }
    }
    let listed = DIFFERENCES.lines().skip(1).map(|line| {
        let (difference, reason) = line.rsplit_once('\t').unwrap();
        assert!(reason.len() > 10, "{difference} has no reason");
        difference.to_owned()
    });
    let listed: BTreeSet<_> = listed.collect();
    let unlisted: Vec<_> = found.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&found).collect();
    assert!(
        unlisted.is_empty() && stale.is_empty(),
        "not listed: {unlisted:#?}\nno longer so: {stale:#?}"
    );
}

#[test]
fn a_name_outside_the_table_is_marked_as_ours_and_no_other() {
    let table = by_name();
    for setting in registry::all() {
        assert_eq!(
            setting.ours,
            !table.contains_key(setting.name),
            "{}",
            setting.name
        );
    }
}

#[test]
fn every_name_is_there_once_and_is_a_variable_name() {
    let mut seen = BTreeSet::new();
    for setting in registry::all() {
        assert!(seen.insert(setting.name), "{} twice", setting.name);
        assert!(
            setting
                .name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        );
        assert!(!setting.owners.is_empty(), "{}", setting.name);
    }
    assert!(seen.len() > 190, "{}", seen.len());
}

#[test]
fn aliases_know_their_canonical_name_and_share_its_kind() {
    for setting in registry::all() {
        for name in setting.aliases {
            let alias = registry::find(name).unwrap();
            assert_eq!(alias.alias_of, Some(setting.name));
            assert_eq!(
                (alias.kind, alias.secret),
                (setting.kind, setting.secret),
                "{name}"
            );
        }
        if let Some(canonical) = setting.alias_of {
            assert!(
                registry::find(canonical).unwrap().aliases.contains(&setting.name),
                "{}",
                setting.name
            );
        }
        for name in setting.fallbacks {
            let fallback = registry::find(name).unwrap();
            assert!(fallback.alias_of.is_none());
            assert_eq!(fallback.kind, setting.kind, "{name}");
        }
    }
}

#[test]
fn every_default_is_a_value_that_the_setting_accepts() {
    for setting in registry::all() {
        for tier in [Tier::Development, Tier::Test, Tier::Production] {
            let Some(text) = setting.default.fixed(tier) else {
                continue;
            };
            let pairs = [("NODE_ENV", "development"), (setting.name, text)];
            let sources = causeway_settings::Sources::from_pairs(pairs);
            let report = causeway_settings::Report::of(&sources, Owner::ALL);
            let about = |problem: &&causeway_settings::Problem| problem.setting == setting.name;
            assert_eq!(report.problems.iter().find(about), None);
        }
    }
}

#[test]
fn descriptions_are_one_line_of_our_own() {
    let table = by_name();
    for setting in registry::all() {
        let about = setting.about;
        assert!(
            (10..=130).contains(&about.len()) && about.ends_with(['.', ')']),
            "{}: {about}",
            setting.name
        );
        for row in table.get(setting.name).into_iter().flatten() {
            for words in about.split(' ').collect::<Vec<_>>().windows(7) {
                let run = words.join(" ");
                assert!(!row.behaviour.contains(&run), "{} repeats {run:?}", setting.name);
            }
        }
    }
}

#[test]
fn only_names_without_a_server_are_ignored() {
    for setting in registry::all() {
        let ignored = setting.availability == Availability::Ignored;
        assert_eq!(ignored, setting.ignored_because().is_some(), "{}", setting.name);
    }
}

#[test]
fn the_documents_in_the_repository_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, text) in [(".env.example", example()), ("docs/settings.md", markdown())] {
        let file = fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(
            file == text,
            "{path} is old: run `cargo run -p causeway-settings --example documents`"
        );
    }
}

#[test]
fn the_documents_name_every_setting_once() {
    let (example, page) = (example(), markdown());
    for setting in registry::all() {
        let entry = format!("\n# {}=", setting.name);
        assert_eq!(
            example.matches(&entry).count(),
            1,
            "{} in .env.example",
            setting.name
        );
        assert_eq!(
            page.matches(&format!("\n| `{}` |", setting.name)).count(),
            1,
            "{} in the page",
            setting.name
        );
    }
    for line in example.lines() {
        assert!(line.is_empty() || line.starts_with('#'), "{line}");
    }
}

#[test]
fn every_name_can_be_explained_and_an_alias_leads_to_its_setting() {
    for setting in registry::all() {
        let text = explain(setting.name).unwrap();
        assert!(text.contains(setting.name), "{text}");
    }
    let text = explain("JWT_SECRET").unwrap();
    assert!(text.contains("another name of JWT_SIGNING_SECRET"));
    assert!(text.contains("JWT_SIGNING_SECRET > AUTH_JWT_SECRET > JWT_SECRET"));
    assert!(
        explain("KAFKA_BROKERS")
            .unwrap()
            .contains("its feature comes later")
    );
    assert_eq!(explain("NO_SUCH_NAME"), None);
}

/// The text of every source file outside this crate that runs in the program.
fn program() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // `Settings::llm` reads its group for everybody.
    let mut text = include_str!("../src/llm.rs").to_owned();
    for folder in ["gateway", "services", "libs"] {
        read_sources(&root.join(folder), &mut text);
    }
    text
}

fn read_sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() && !["settings", "target", "tests", "benches"].contains(&name) {
            read_sources(&path, text);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            text.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}

#[test]
fn settings_that_are_read_now_have_a_reader_and_later_ones_have_none() {
    let program = program();
    let stands_in: BTreeSet<_> = registry::all()
        .flat_map(|setting| setting.fallbacks.iter().copied())
        .collect();
    let is_read = |name: &str| program.contains(&format!("\"{name}\"")) || stands_in.contains(name);
    let without_reader = |setting: &&Setting| {
        let by_the_mesh = setting.name.starts_with("MESH_") || setting.name == "NODE_ENV";
        setting.availability == Availability::Live
            && setting.alias_of.is_none()
            && !by_the_mesh
            && !is_read(setting.name)
    };
    let read_early = |setting: &&Setting| {
        let named = program.contains(&format!("\"{}\"", setting.name));
        setting.availability == Availability::Later && named
    };
    let names = |settings: Vec<&Setting>| settings.iter().map(|setting| setting.name).collect::<Vec<_>>();
    let missing = names(registry::all().filter(without_reader).collect());
    let early = names(registry::all().filter(read_early).collect());
    assert!(missing.is_empty(), "nothing reads {missing:?}: mark them later()");
    assert!(early.is_empty(), "read already, so not later(): {early:?}");
}
