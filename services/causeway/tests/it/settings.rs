//! Settings as operators have them: the files of the systems that Causeway takes the place of, and production files with
//! one mistake each.

use std::fs;
use std::path::Path;

use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;

use crate::processes::{Whole, output};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../libs/settings/tests/env");

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(FILES).join(name)).unwrap()
}

/// A folder whose `.env` is that text.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), text).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_the_source_systems_start_unchanged() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    for name in ["causeloop.env", "ai-platform.env", "kaireon.env"] {
        let folder = folder(&text(name));
        // Only what names another machine is pointed elsewhere: the database, and the ports that are free here.
        let environment = [
            ("DATABASE_URL", database.service_url().expose_secret()),
            ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
        ];
        let mut whole = Whole::start(&environment, &["--directory", folder.path().to_str().unwrap()]).await;
        whole.child.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_production_rule_stops_the_start_and_names_the_setting() {
    let sound = text("production.env");
    let folder = folder(&sound);
    let directory = folder.path().to_str().unwrap();
    let checked = output(&["--directory", directory, "config", "check"], &[]).await;
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let breaks = text("production-breaks.tsv");
    for line in breaks.lines().skip(1).filter(|line| !line.is_empty()) {
        let [setting, value, named] = line
            .split('\t')
            .collect::<Vec<_>>()
            .try_into()
            .expect("three columns");
        // An empty value does not win over a file's: it is taken out of the file.
        let kept: Vec<&str> = sound
            .lines()
            .filter(|line| !line.starts_with(&format!("{setting}=")))
            .collect();
        fs::write(folder.path().join(".env"), kept.join("\n")).unwrap();
        let ended = output(&["--directory", directory, "serve"], &[(setting, value)]).await;
        let complaint = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(64), "{setting}={value}: {complaint}");
        assert!(
            complaint.contains(named),
            "{setting}={value} should name {named}: {complaint}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_can_be_explained_and_its_value_is_not_shown() {
    let explained = output(&["config", "explain", "JWT_SECRET"], &[]).await;
    assert!(String::from_utf8_lossy(&explained.stdout).contains("JWT_SIGNING_SECRET"));
    let secret = "a-jwt-secret-that-must-never-be-shown-anywhere";
    let checked = output(&["config", "check"], &[("JWT_SECRET", secret)]).await;
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        text.contains("JWT_SIGNING_SECRET") && text.contains("JWT_SECRET") && !text.contains(secret),
        "{text}"
    );
    assert_eq!(
        output(&["config", "explain", "NO_SUCH_SETTING"], &[])
            .await
            .status
            .code(),
        Some(1)
    );
}
