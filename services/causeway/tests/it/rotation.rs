//! Keys from outside: a rotation that survives the end of its process anywhere, and master keys that change under it.

use std::time::Duration;

use causeway_testkit::TestDb;
use futures::StreamExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::database::MASTER_KEY;
use crate::http::Client;
use crate::mesh::{Account, Mesh, SIGNING_SECRET, account, text};
use crate::processes::{Whole, output};

const PATIENCE: Duration = Duration::from_secs(60);
/// More than one part of the work.
const SECRETS: usize = 260;

/// Every place at which a process may end between two steps of a rotation (ROT-01).
const PLACES: [&str; 10] = [
    "rotation.begun",
    "rotation.activated",
    "rotation.part",
    "rotation.part_kept",
    "rotation.reencrypted",
    "rotation.fence",
    "rotation.fenced",
    "rotation.counted",
    "rotation.retiring",
    "rotation.destroyed",
];

async fn start(database: &TestDb, more: &[(&str, &str)]) -> Whole {
    let mut environment = vec![
        ("NODE_ENV", "test"),
        ("JWT_SIGNING_SECRET", SIGNING_SECRET),
        ("DATABASE_URL", database.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
        ("CAUSELOOP_MASTER_KEY", MASTER_KEY),
        ("KEY_ROTATION_DUTY", "100"),
        ("RATE_LIMIT_PER_MINUTE", "0"),
    ];
    environment.extend_from_slice(more);
    Whole::start(&environment, &[]).await
}

fn value_of(number: usize) -> String {
    format!("value {number}")
}

async fn put_all(client: &Client) {
    let puts = futures::stream::iter(0..SECRETS).map(|number| async move {
        let secret = json!({"kind": "custom", "value": value_of(number)});
        client
            .put(&format!("/v1/secrets/s{number}"), secret)
            .await
            .json(200);
    });
    puts.buffer_unordered(8).collect::<Vec<()>>().await;
}

async fn reveal_all(client: &Client) {
    let shown = futures::stream::iter(0..SECRETS).map(|number| async move {
        let path = format!("/v1/secrets/s{number}/reveal");
        let shown = timeout(PATIENCE, async {
            loop {
                let answer = client.post(&path, json!({})).await;
                // What the process before left to tell the log comes first; until then nothing is revealed.
                if answer.status != 503 {
                    return answer.json(200);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert_eq!(shown.await.expect("revealed")["value"], value_of(number));
    });
    shown.buffer_unordered(8).collect::<Vec<()>>().await;
}

/// The newest rotation, once it is at its end.
async fn finished(client: &Client) -> Value {
    let ended = async {
        loop {
            let listed = client.get("/v1/keys/rotations").await.json(200);
            let newest = &listed["rotations"][0];
            if !newest["finished_at"].is_null() {
                let path = format!("/v1/keys/rotations/{}", text(newest, "id"));
                return client.get(&path).await.json(200);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("it comes to its end")
}

/// The process ends as by kill -9, at that place of a rotation that it is asked for.
async fn die_at(place: &str, database: &TestDb, account: &Account) {
    let mut whole = start(database, &[("CAUSEWAY_ABORT_AT", place)]).await;
    let client = Client::new(&whole.base).bearer(&account.access_token);
    // Early places end the process before it answers.
    let asked = client.try_send("POST", "/v1/keys/rotate", "{}", Some("application/json"));
    let _ = timeout(PATIENCE, asked).await.expect("an answer or none");
    let ended = timeout(PATIENCE, whole.child.wait()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{place} is never reached"));
    assert!(!ended.unwrap().success());
    // What would come by itself after a while.
    database
        .admin("UPDATE keystore.rotation_leases SET expires_at = now()")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_anywhere_in_a_rotation_leaves_every_secret_readable_and_the_next_goes_on() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    let mut whole = start(&database, &[]).await;
    let account = account(&Client::new(&whole.base), "rotating").await;
    put_all(&account.client).await;
    whole.child.kill().await.unwrap();
    for (before, place) in (1_i64..).zip(PLACES) {
        die_at(place, &database, &account).await;
        let mut whole = start(&database, &[]).await;
        let client = Client::new(&whole.base).bearer(&account.access_token);
        reveal_all(&client).await;
        let rotation = finished(&client).await;
        assert_eq!(rotation["state"], "succeeded", "{place}: {rotation}");
        assert_eq!(rotation["remaining"], 0, "{place}");
        assert_eq!(rotation["to_version"], before + 1, "{place}");
        assert_eq!(rotation["destroyed_versions"], json!([before]), "{place}");
        let proof = rotation["proof"].as_array().unwrap();
        let secrets = proof.iter().find(|line| line["table"] == "tenancy.secrets");
        assert_eq!(secrets.unwrap()["rows"], SECRETS, "{place}");
        assert!(proof.iter().all(|line| line["below"] == 0), "{place}: {proof:?}");
        reveal_all(&client).await;
        whole.child.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_asked_for_watched_and_in_the_audit_log() {
    let mesh = Mesh::start().await;
    let owner = mesh.account("owner").await;
    let client = &owner.client;
    put_all(client).await;
    let sealed = json!({"plaintext": "aGVsbG8=", "context": "Yw=="});
    let sealed = client.post("/v1/crypto/encrypt", sealed).await.json(200);
    let started = client.post("/v1/keys/rotate", json!({})).await.json(202);
    assert_eq!(
        (&started["ring"], &started["to_version"]),
        (&json!("data"), &json!(2))
    );
    let again = client.post("/v1/keys/rotate", json!({})).await;
    if again.status == 409 {
        assert_eq!(again.reason(409), "ROTATION_RUNNING");
    }
    let rotation = finished(client).await;
    assert_eq!(rotation["state"], "succeeded", "{rotation}");
    assert_eq!(rotation["done"], SECRETS);
    reveal_all(client).await;
    let keys = client.get("/v1/keys").await.json(200);
    let states: Vec<(&str, &str)> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["ring"].as_str().unwrap(), key["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [("data", "destroyed"), ("data", "active"), ("transit", "active")]
    );
    assert!(!keys.to_string().contains("wrapped\""), "no key material: {keys}");

    // What the crypto API sealed stays readable, and can follow.
    let turned = client
        .post("/v1/keys/rotate", json!({"ring": "transit"}))
        .await
        .json(202);
    assert_eq!(turned["state"], "succeeded");
    let item = json!({"ciphertext": sealed["ciphertext"], "context": "Yw=="});
    let followed = client
        .post("/v1/crypto/rewrap", json!({"items": [item]}))
        .await
        .json(200);
    assert_eq!(followed["items"][0]["key_version"], 2);
    for ciphertext in [&sealed["ciphertext"], &followed["items"][0]["ciphertext"]] {
        let body = json!({"ciphertext": ciphertext, "context": "Yw=="});
        let opened = client.post("/v1/crypto/decrypt", body).await.json(200);
        assert_eq!(opened["plaintext"], "aGVsbG8=");
    }
    let log = client.get("/v1/audit/events?page_size=1000").await.json(200);
    let log = log.to_string();
    for action in ["key.rotation_started", "key.rotated", "crypto.rewrapped"] {
        assert!(log.contains(action), "{action}");
    }
    mesh.end().await;
}

async fn keys(database: &TestDb, command: &str, more: &[(&str, &str)]) -> (bool, String) {
    let mut environment = vec![
        ("NODE_ENV", "test"),
        ("DATABASE_URL", database.service_url().expose_secret()),
    ];
    environment.extend_from_slice(more);
    let ended = output(&["keys", command], &environment).await;
    let text = [ended.stdout, ended.stderr].concat();
    (
        ended.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// B-TEN-11, B-TEN-12, ROT-06.
#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_changes_while_everything_runs() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    let made = output(&["keys", "generate"], &[]).await;
    let fresh = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(
        said.starts_with("master-") && !said.contains(&fresh),
        "the name and not the key: {said}"
    );

    let mut running = start(&database, &[]).await;
    let account = account(&Client::new(&running.base), "owner").await;
    let secret = json!({"kind": "custom", "value": "v1"});
    account.client.put("/v1/secrets/s", secret).await.json(200);
    let (sound, text) = keys(&database, "status", &[("CAUSELOOP_MASTER_KEY", MASTER_KEY)]).await;
    assert!(
        sound && text.contains("all data keys are wrapped by the active key"),
        "{text}"
    );

    // The overlap: both masters are known, here and in the process that is started next.
    let overlap = [
        ("CAUSELOOP_MASTER_KEY", fresh.as_str()),
        ("CAUSELOOP_MASTER_KEY_PREVIOUS", MASTER_KEY),
    ];
    let (sound, text) = keys(&database, "status", &overlap).await;
    assert!(sound && text.contains("1 data keys are not wrapped"), "{text}");
    let mut both = start(&database, &overlap).await;
    let (sound, text) = keys(&database, "rewrap", &overlap).await;
    assert!(
        sound && text.contains("1 data keys wrapped, 0 were already"),
        "{text}"
    );
    let (sound, text) = keys(&database, "rewrap", &overlap).await;
    assert!(
        sound && text.contains("0 data keys wrapped, 1 were already"),
        "{text}"
    );
    let client = Client::new(&both.base).bearer(&account.access_token);
    let shown = client.post("/v1/secrets/s/reveal", json!({})).await.json(200);
    assert_eq!(shown["value"], "v1");
    both.child.kill().await.unwrap();
    running.child.kill().await.unwrap();

    let mut alone = start(&database, &[("CAUSELOOP_MASTER_KEY", &fresh)]).await;
    let client = Client::new(&alone.base).bearer(&account.access_token);
    let shown = client.post("/v1/secrets/s/reveal", json!({})).await.json(200);
    assert_eq!(shown["value"], "v1");
    alone.child.kill().await.unwrap();
    let (sound, text) = keys(&database, "rewrap", &[("CAUSELOOP_MASTER_KEY", MASTER_KEY)]).await;
    assert!(
        !sound && text.contains("is not known"),
        "the former key opens nothing: {text}"
    );
}
