//! Files, their order, and the report of what came from where.

mod support;

use std::fs;

use causeway_settings::{Owner, Report, Settings, Sources, Tier};
use support::{named, owned};

const LONG_A: &str = "token-key-a-0123456789abcdef0123456789";

#[test]
fn later_files_win_and_the_process_wins_over_all() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write(
        ".env",
        "NODE_ENV=test\nPORT=1\nBIND_ADDR=10.0.0.1\nLLM_MODEL=a\nAI_MODEL=a\nGIT_SHA=a\n",
    );
    write(
        ".env.local",
        "PORT=2\nBIND_ADDR=10.0.0.2\nLLM_MODEL=b\nAI_MODEL=b\n",
    );
    write(
        ".env.test",
        "PORT=3\nBIND_ADDR=10.0.0.3\nLLM_MODEL=c\nUNKNOWN_NAME=x\n",
    );
    write(".env.test.local", "PORT=4\nBIND_ADDR=10.0.0.4\n");
    write(".env.development", "PORT=9\nnot a line\n");
    let process = owned(&[("PORT", "5"), ("PATH", "/bin")]);
    let sources = Sources::from_directory(directory.path(), process).unwrap();
    let settings = Settings::resolve(&sources, Owner::ALL).unwrap();
    assert_eq!(settings.tier(), Tier::Test);
    assert_eq!(settings.integer("PORT"), Some(5));
    assert_eq!(settings.text("BIND_ADDR").unwrap(), "10.0.0.4");
    assert_eq!(settings.text("LLM_MODEL").unwrap(), "c");
    assert_eq!(settings.text("AI_MODEL").unwrap(), "b");
    assert_eq!(settings.text("GIT_SHA").unwrap(), "a");
    let report = Report::of(&sources, Owner::ALL);
    let source = |name| {
        report
            .found
            .iter()
            .find(|found| found.name == name)
            .unwrap()
            .source
            .clone()
    };
    assert_eq!(source("PORT"), "process environment");
    assert_eq!(source("BIND_ADDR"), ".env.test.local");
    assert_eq!(source("GIT_SHA"), ".env");
    assert_eq!(source("MAX_BODY_BYTES"), "default");
}

#[test]
fn an_empty_value_in_the_process_takes_a_file_value_away() {
    let sources = support::sources_of("causeloop.env", &[("DATABASE_URL", "")]);
    assert!(
        !Settings::resolve(&sources, Owner::ALL)
            .unwrap()
            .is_set("DATABASE_URL")
    );
}

#[test]
fn bad_lines_name_file_and_line_and_repeated_names_are_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".env"), "PORT=1\nhunter2\nPORT=2\n").unwrap();
    fs::write(directory.path().join(".env.local"), [0xff, 0xfe]).unwrap();
    let problems = Sources::from_directory(directory.path(), []).unwrap_err();
    assert_eq!(problems[0].to_string(), ".env:2: is not KEY=value");
    assert_eq!(problems[1].setting, ".env.local");
    fs::write(directory.path().join(".env"), "PORT=1\nPORT=2\n").unwrap();
    fs::remove_file(directory.path().join(".env.local")).unwrap();
    let sources = Sources::from_directory(directory.path(), []).unwrap();
    let settings = Settings::resolve(&sources, Owner::ALL).unwrap();
    assert_eq!(settings.integer("PORT"), Some(2));
    assert!(named(settings.warnings(), "PORT")[0].contains("lines 1 and 2"));
}

#[test]
fn a_tier_file_cannot_name_another_tier() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".env.production"), "NODE_ENV=development\n").unwrap();
    let problems =
        Sources::from_directory(directory.path(), owned(&[("NODE_ENV", "production")])).unwrap_err();
    assert_eq!(problems[0].setting, "NODE_ENV");
}

#[test]
fn a_report_shows_values_sources_and_aliases_but_no_secret() {
    let sources = Sources::from_pairs([
        ("JWT_SECRET", LONG_A),
        ("AI_BASE_URL", "https://user:hunter2@llm.example/v1?token=hunter2"),
        ("KAFKA_CLIENT_ID", "me"),
        ("NEXT_PHASE", "build"),
        ("PORT", "none"),
    ]);
    let report = Report::of(&sources, Owner::ALL);
    let found = |name| report.found.iter().find(|found| found.name == name).unwrap();
    assert_eq!(
        found("JWT_SIGNING_SECRET").shown,
        format!("(secret, {} chars)", LONG_A.len())
    );
    assert_eq!(found("JWT_SIGNING_SECRET").alias, Some("JWT_SECRET"));
    assert_eq!(found("AI_BASE_URL").shown, "https://(login)@llm.example/v1?...");
    assert!(
        found("KAFKA_CLIENT_ID")
            .note
            .as_deref()
            .unwrap()
            .contains("later")
    );
    assert!(found("NEXT_PHASE").note.is_some());
    assert!(!report.is_sound());
    let text = report.to_string();
    assert!(text.contains("does not start: 1 to correct") && text.contains("PORT: must be"));
    assert!(!text.contains("hunter2") && !text.contains(LONG_A));
    assert!(!format!("{sources:?}").contains(LONG_A));
}
