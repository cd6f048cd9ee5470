//! Backups that bring back what was erased, and a ledger that is older than what it governs (ERA-02, ERA-03).

use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{CANARY, elsewhere, erased, on_database, put_canary, tool, until};
use crate::database::{db, production};
use crate::mesh::{Account, Mesh, text};
use crate::processes::output;
use crate::revocation::until_refused;

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// ERA-02, ERA-03, B-TEN-6.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_stays_erased_when_a_backup_is_restored() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    let settings = on_database(&database);
    let mesh = Mesh::with(&settings).await;
    let (gone, stays, guest) = (
        mesh.account("gone").await,
        mesh.account("stays").await,
        mesh.account("guest").await,
    );
    for account in [&gone, &stays] {
        put_canary(account).await;
    }
    let token = text(
        &gone
            .client
            .post("/v1/tokens", json!({"name": "t"}))
            .await
            .json(200),
        "secret",
    );
    let joins = json!({"user_id": guest.user_id, "role": "editor"});
    stays.client.post("/v1/members", joins).await.json(200);
    let invited = json!({"email": guest.email, "role": "viewer"});
    let invited = stays.client.post("/v1/invitations", invited).await.json(200);

    let url = database.admin_url();
    let url = url.expose_secret();
    let Some(dump) = tool("pg_dump", &["-n", "tenancy", "-n", "auth", url]) else {
        println!("skipped: pg_dump is not installed");
        return;
    };
    let dump = String::from_utf8_lossy(&dump);
    for canary in [CANARY, &token, &gone.password, &text(&invited, "secret")] {
        assert!(
            !dump.contains(canary) && !dump.contains(&hex(canary)),
            "{canary} is in the dump"
        );
    }
    assert!(!dump.contains("workspace_keys") && dump.contains(&gone.workspace_id));
    let backup = tempfile::NamedTempFile::new().unwrap();
    let backup = backup.path().to_str().unwrap();
    tool(
        "pg_dump",
        &["-Fc", "-n", "tenancy", "-n", "auth", "-f", backup, url],
    )
    .unwrap();

    erased(&stays, &stays.client, json!({"subject": guest.user_id})).await;
    let erasure = erased(&gone, &gone.client, json!({})).await;
    let receipt = erasure["receipt"].clone();
    // A session of the erased workspace reads the receipt, and nothing else.
    until_refused(std::slice::from_ref(&gone.client)).await;
    let path = format!("/v1/erasures/{}", text(&erasure, "id"));
    assert_eq!(gone.client.get(&path).await.json(200)["receipt"], receipt);
    assert_eq!(
        (receipt["sequence"].clone(), text(&receipt, "hash").len()),
        (json!(2), 64)
    );
    mesh.end().await;
    let (sound, found) = db(&database, "check", &[]).await;
    assert!(sound, "{found}");

    database
        .admin("DROP SCHEMA tenancy CASCADE; DROP SCHEMA auth CASCADE")
        .await;
    tool("pg_restore", &["-d", url, backup]).unwrap();
    let (sound, found) = db(&database, "check", &[]).await;
    assert!(!sound, "{found}");
    for schema in ["tenancy", "auth"] {
        for tombstone in [1, 2] {
            assert!(
                found.contains(&format!("ERA-03 {schema}: tombstone {tombstone} is not applied")),
                "{found}"
            );
        }
    }
    let settings_of_production = production(database.service_url().expose_secret());
    let ended = output(&["serve", "tenancy"], &settings_of_production).await;
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && complaint.contains("ERA-03"),
        "{complaint}"
    );

    // To replay again changes nothing.
    for _ in 0..2 {
        let (done, said) = db(&database, "replay", &[]).await;
        assert!(done && said.contains("2 tombstones are applied"), "{said}");
    }
    let (sound, found) = db(&database, "check", &[]).await;
    assert!(sound, "{found}");
    let mesh = Mesh::with(&settings).await;
    let login = async |account: &Account| {
        let body = json!({"email": account.email, "password": account.password,
            "workspace_id": account.workspace_id});
        mesh.anonymous().post("/auth/login", body).await
    };
    let refused = login(&gone).await;
    assert!(refused.status.is_client_error(), "{}", refused.body);
    assert_eq!(login(&guest).await.status, 200, "has a workspace of its own");
    let back = login(&stays).await.json(200);
    let client = mesh.anonymous().bearer(&text(&back, "access_token"));
    let members = client.get("/v1/members").await;
    assert!(!members.body.contains(&guest.user_id), "{}", members.body);
    assert_eq!(
        client.get("/v1/invitations").await.json(200)["invitations"],
        json!([])
    );
    let revealed = client.post("/v1/secrets/own/reveal", json!({})).await.json(200);
    assert_eq!(revealed["value"], CANARY, "others go on");
    mesh.end().await;
}

/// ERA-03.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_older_than_what_it_governs_is_refused() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    let settings = on_database(&database);
    let mesh = Mesh::with(&settings).await;
    let (gone, stays) = (mesh.account("gone").await, mesh.account("stays").await);
    let watcher = elsewhere(&mesh, &gone).await;
    erased(&gone, &watcher, json!({})).await;
    mesh.end().await;
    let (sound, found) = db(&database, "check", &[]).await;
    assert!(sound, "{found}");

    // What a backup from before the erasure holds: nothing, and numbers that begin anew.
    database
        .admin("TRUNCATE ledger.receipts, ledger.tombstones, ledger.erasures RESTART IDENTITY CASCADE")
        .await;
    let (sound, found) = db(&database, "check", &[]).await;
    for schema in ["tenancy", "auth"] {
        let complaint = format!("ERA-03 {schema}: tombstone 1 was applied and the ledger does not have it");
        assert!(!sound && found.contains(&complaint), "{found}");
    }
    let settings_of_production = production(database.service_url().expose_secret());
    let ended = output(&["serve", "tenancy"], &settings_of_production).await;
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && complaint.contains("ERA-03"),
        "{complaint}"
    );

    // Elsewhere it is served with a warning, and nobody is taken for erased by a number that was somebody else's.
    let mesh = Mesh::with(&settings).await;
    let client = mesh.anonymous().bearer(&stays.access_token);
    let ordered = client.post("/v1/erasures", json!({})).await.json(202);
    let path = format!("/v1/erasures/{}", text(&ordered, "id"));
    let running = until(&client, &path, "running").await;
    assert!(running["receipt"].is_null(), "{running}");
    mesh.end().await;
    let (_, found) = db(&database, "check", &[]).await;
    assert!(
        !found.contains("tombstone 1 is not applied"),
        "it is not finished: {found}"
    );
}
