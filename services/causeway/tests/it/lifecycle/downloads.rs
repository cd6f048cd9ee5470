//! Exports as other programs fetch and open them: curl, which goes on with a download that was cut off, and age.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::{PATIENCE, until};
use crate::mesh::{Account, Mesh, text};

/// Whether a program can be run. Where the clients of the tests are said to be installed it must be.
fn is_installed(program: &str) -> bool {
    let runs = std::process::Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(
        runs || std::env::var_os("CAUSEWAY_TEST_CLIENTS").is_none(),
        "{program} is not installed: run scripts/install.sh test"
    );
    if !runs {
        println!("skipped: {program} is not installed");
    }
    runs
}

fn curl(mesh: &Mesh, account: &Account, path: &str, file: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", account.access_token),
        ])
        .args(more)
        .arg("--output")
        .arg(file)
        .arg(format!("{}{path}", mesh.base))
        .kill_on_drop(true);
    command
}

async fn fetch(mesh: &Mesh, account: &Account, path: &str, file: &Path, more: &[&str]) {
    let fetched = curl(mesh, account, path, file, more).output();
    let fetched = timeout(PATIENCE, fetched).await.expect("in time").unwrap();
    assert!(
        fetched.status.success(),
        "{}",
        String::from_utf8_lossy(&fetched.stderr)
    );
}

/// Makes an export; answers it once it can be fetched, and where.
/// A download that ends in the middle: whoever reads what curl writes goes away. Answers how much of it there is.
async fn cut_off(mesh: &Mesh, account: &Account, path: &str, file: &Path) -> u64 {
    let mut curl = curl(mesh, account, path, Path::new("-"), &[])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = vec![0; 150_000];
    let reads = curl.stdout.as_mut().unwrap().read_exact(&mut begun);
    timeout(PATIENCE, reads).await.expect("bytes come").unwrap();
    curl.kill().await.unwrap();
    std::fs::write(file, &begun).unwrap();
    begun.len() as u64
}

async fn made(account: &Account, order: Value) -> (Value, String) {
    let ordered = account.client.post("/v1/exports", order).await.json(202);
    let path = format!("/v1/exports/{}", text(&ordered, "id"));
    let export = until(&account.client, &path, "ready").await;
    (export, format!("{path}/download"))
}

/// Models with so many and so long names that an export takes its time.
async fn fill(account: &Account) {
    for model in 0..12 {
        let offers: Vec<Value> = (0..1000)
            .map(|offer| json!({"offer_id": format!("{offer}-{}", "n".repeat(100))}))
            .collect();
        let model = json!({"name": format!("m{model}"), "kind": "thompson", "offers": offers});
        account.client.post("/v1/scoring/models", model).await.json(200);
    }
}

/// From where on downloads of the workspace began, as the log has it.
async fn offsets(account: &Account) -> BTreeSet<u64> {
    let log = account
        .client
        .get("/v1/audit/events?page_size=1000")
        .await
        .json(200);
    let events = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["event"]);
    events
        .filter(|event| event["action"] == "export.downloaded")
        .filter_map(|event| event["details"]["offset"].as_f64())
        .map(|offset| offset as u64)
        .collect()
}

/// EXP-01: resumable.
#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_on_with_a_download_that_was_cut_off() {
    if !is_installed("curl") {
        return;
    }
    let mesh = Mesh::start().await;
    let owner = mesh.account("owner").await;
    fill(&owner).await;
    let (export, download) = made(&owner, json!({})).await;
    let size = export["size_bytes"].as_u64().unwrap();
    assert!(size > 1 << 20, "{size}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("export.ndjson");

    let length = || std::fs::metadata(&file).map_or(0, |found| found.len());
    let had = cut_off(&mesh, &owner, &download, &file).await;
    assert_eq!((length(), had < size), (had, true));

    fetch(&mesh, &owner, &download, &file, &["--continue-at", "-"]).await;
    let whole = owner.client.get(&download).await;
    assert!(
        std::fs::read(&file).unwrap() == whole.body.as_bytes(),
        "as one piece"
    );
    // What is there already is not asked for again, and nothing is added to it.
    fetch(&mesh, &owner, &download, &file, &["--continue-at", "-"]).await;
    assert_eq!(length(), size);
    let logged = async {
        while !offsets(&owner).await.is_superset(&[0, had].into()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, logged)
        .await
        .expect("both downloads are in the log");
    mesh.end().await;
}

/// EXP-01: to the recipient of the customer.
#[tokio::test(flavor = "multi_thread")]
async fn age_opens_an_export_for_its_recipient_and_for_nobody_else() {
    if !(is_installed("age") && is_installed("age-keygen") && is_installed("curl")) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let in_there = |name: &str| directory.path().join(name);
    let run = async |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let ended = command.args(arguments).current_dir(directory.path()).output();
        timeout(PATIENCE, ended).await.expect("in time").unwrap()
    };
    for identity in ["mine", "other"] {
        assert!(run("age-keygen", &["-o", identity]).await.status.success());
    }
    let recipient = run("age-keygen", &["-y", "mine"]).await.stdout;
    let recipient = String::from_utf8(recipient).unwrap().trim().to_owned();

    let mesh = Mesh::start().await;
    let owner = mesh.account("owner").await;
    fill(&owner).await;
    let (export, download) = made(&owner, json!({"age_recipient": recipient})).await;
    assert_eq!(export["age_recipient"], recipient.as_str());
    fetch(&mesh, &owner, &download, &in_there("sealed"), &[]).await;
    let sealed = std::fs::read(in_there("sealed")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
    assert_eq!(export["size_bytes"], sealed.len());
    let opened = run("age", &["--decrypt", "-i", "mine", "sealed"]).await;
    assert!(
        opened.status.success(),
        "{}",
        String::from_utf8_lossy(&opened.stderr)
    );
    let text = String::from_utf8(opened.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["workspace_id"], owner.workspace_id.as_str());
    let manifest = &lines[lines.len() - 1]["manifest"];
    assert_eq!(manifest["tables"], export["tables"], "the whole of it");
    assert!(
        !run("age", &["--decrypt", "-i", "other", "sealed"])
            .await
            .status
            .success()
    );
    mesh.end().await;
}
