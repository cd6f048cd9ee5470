//! Erasures whose process ends in the middle, as by kill -9: the next one goes on, and nothing that is half erased is
//! called done (ERA-01, ERA-03, ERA-06).

use causeway_holder::{Holding, RowOwner};
use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{CANARY, PATIENCE, put_canary, tool, until};
use crate::database::{MASTER_KEY, db};
use crate::http::Client;
use crate::mesh::{Account, SIGNING_SECRET, account, text};
use crate::processes::Whole;

/// Every place at which a process may end between two steps of an erasure.
const PLACES: [&str; 8] = [
    "erasure.claimed",
    "erasure.buried",
    "erasure.keys_destroyed",
    "erasure.erased.tenancy",
    "erasure.erased.auth",
    "erasure.erased.scoring",
    "erasure.purged",
    "erasure.finished",
];

async fn start(database: &TestDb, more: &[(&str, &str)]) -> Whole {
    let mut environment = vec![
        ("NODE_ENV", "test"),
        ("JWT_SIGNING_SECRET", SIGNING_SECRET),
        ("DATABASE_URL", database.service_url().expose_secret()),
        ("DATABASE_OWNER_URL", database.owner_url().expose_secret()),
        ("CAUSELOOP_MASTER_KEY", MASTER_KEY),
        ("RATE_LIMIT_PER_MINUTE", "0"),
        ("ERASURE_GRACE_HOURS", "0"),
    ];
    environment.extend_from_slice(more);
    Whole::start(&environment, &[]).await
}

/// What a query answers, column by column; none where `psql` is not installed.
fn ask(database: &TestDb, query: &str) -> Option<String> {
    let url = database.admin_url();
    let answer = tool("psql", &["-At", "-d", url.expose_secret(), "-c", query])?;
    Some(String::from_utf8(answer).unwrap().trim().to_owned())
}

/// An access token of the person for that workspace.
async fn session(base: &str, person: &Account, workspace: &str) -> String {
    let login = json!({"email": person.email, "password": person.password, "workspace_id": workspace});
    let session = Client::new(base).post("/auth/login", login).await.json(200);
    text(&session, "access_token")
}

/// Orders an erasure in a process that ends at its place, and checks what the ledger says of it then; answers its id.
async fn die(mut whole: Whole, database: &TestDb, by: &Client, order: Value, place: &str) -> String {
    let order = order.to_string();
    let asked = by.try_send("POST", "/v1/erasures", &order, Some("application/json"));
    let _ = timeout(PATIENCE, asked).await.expect("an answer or none");
    let ended = timeout(PATIENCE, whole.child.wait()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{place} is never reached"));
    assert!(!ended.unwrap().success());
    let query = "SELECT id, state, (SELECT count(*) FROM ledger.receipts WHERE erasure = id) FROM ledger.erasures \
         ORDER BY requested_at DESC LIMIT 1";
    let found = ask(database, query).unwrap();
    let (id, state) = found.split_once('|').unwrap();
    let expected = match place {
        "erasure.finished" => "succeeded|1",
        _ => "running|0",
    };
    assert_eq!(state, expected, "{place}");
    // What would come by itself after a while.
    database
        .admin("UPDATE ledger.erasures SET leased_until = now() WHERE state = 'running'")
        .await;
    id.to_owned()
}

fn rows(receipt: &Value, table: &str) -> Value {
    let counts = receipt["counts"].as_array().unwrap();
    let mut found = counts.iter().filter(|count| count["table"] == table);
    let rows = found.next().map_or(Value::Null, |count| count["rows"].clone());
    assert!(found.next().is_none(), "{table} is counted once");
    rows
}

/// The tables in which the workspace has rows, by the registries that the erasure goes by.
fn left_of(database: &TestDb, workspace: &str) -> String {
    let holdings: [&Holding; 3] = [
        &causeway_tenancy::HOLDING,
        &causeway_tenancy::KEYSTORE_HOLDING,
        &causeway_auth::HOLDING,
    ];
    let counted = holdings.iter().flat_map(|holding| {
        let tables = holding.tables.iter().filter_map(|table| {
            let column = match table.owner {
                RowOwner::Policy => "workspace_id",
                RowOwner::Column => "workspace",
                RowOwner::Parent { .. } => return None,
            };
            Some((holding.qualified(table), column))
        });
        tables.map(|(name, column)| {
            format!("SELECT '{name}' WHERE EXISTS (SELECT FROM {name} WHERE {column} = '{workspace}')")
        })
    });
    let keys = format!(
        "SELECT 'keys' WHERE EXISTS (SELECT FROM keystore.workspace_keys WHERE workspace_id = '{workspace}' \
         AND state <> 'destroyed')"
    );
    let query: Vec<String> = counted.chain([keys]).collect();
    ask(database, &query.join(" UNION ALL ")).unwrap()
}

/// A workspace with a row of each kind.
async fn furnished(base: &str) -> Account {
    let gone = account(&Client::new(base), "gone").await;
    put_canary(&gone).await;
    let client = &gone.client;
    let token = client.post("/v1/tokens", json!({"name": "t"})).await;
    assert_eq!(token.status, 200, "{}", token.body);
    let program = json!({"name": "p", "scopes": ["secrets.read"]});
    client.post("/v1/clients", program).await.json(200);
    let sealed = json!({"plaintext": "aGVsbG8=", "context": ""});
    client.post("/v1/crypto/encrypt", sealed).await.json(200);
    let rotation = client.post("/v1/keys/rotate", json!({})).await.json(202);
    until(
        client,
        &format!("/v1/keys/rotations/{}", text(&rotation, "id")),
        "succeeded",
    )
    .await;
    let export = client.post("/v1/exports", json!({})).await.json(202);
    until(client, &format!("/v1/exports/{}", text(&export, "id")), "ready").await;
    gone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_anywhere_in_the_erasure_of_a_workspace_leaves_it_to_the_next() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    if ask(&database, "SELECT 1").is_none() {
        println!("skipped: psql is not installed");
        return;
    }
    for place in PLACES {
        let whole = start(&database, &[("CAUSEWAY_ABORT_AT", place)]).await;
        let gone = furnished(&whole.base).await;
        let made = gone
            .client
            .post("/v1/workspaces", json!({"name": "another"}))
            .await;
        let another = text(&serde_json::from_str(&made.body).unwrap(), "id");
        let elsewhere = session(&whole.base, &gone, &another).await;
        let id = die(whole, &database, &gone.client, json!({}), place).await;

        let mut whole = start(&database, &[]).await;
        let watcher = Client::new(&whole.base).bearer(&elsewhere);
        let erasure = until(&watcher, &format!("/v1/erasures/{id}"), "succeeded").await;
        let receipt = &erasure["receipt"];
        for table in [
            "tenancy.secrets",
            "tenancy.exports",
            "tenancy.workspaces",
            "auth.tokens",
            "auth.clients",
        ] {
            assert_eq!(rows(receipt, table), 1, "{place}: {table} in {receipt}");
        }
        assert_eq!(receipt["destroyed_keys"], 2, "{place}: {receipt}");
        assert_eq!(left_of(&database, &gone.workspace_id), "", "{place}");
        whole.child.kill().await.unwrap();
    }
    let (sound, found) = db(&database, "check", &[]).await;
    assert!(sound, "{found}");
    let receipts = ask(&database, "SELECT count(*), max(sequence) FROM ledger.receipts").unwrap();
    assert_eq!(
        receipts,
        format!("{0}|{0}", PLACES.len()),
        "each erasure has one receipt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_anywhere_in_the_erasure_of_a_person_leaves_it_to_the_next() {
    let Some(database) = TestDb::new(&causeway::serve::database::schemas()).await else {
        return;
    };
    if ask(&database, "SELECT 1").is_none() {
        println!("skipped: psql is not installed");
        return;
    }
    // Nobody destroys keys for one person (ERA-04).
    for place in PLACES
        .into_iter()
        .filter(|place| *place != "erasure.keys_destroyed")
    {
        let whole = start(&database, &[("CAUSEWAY_ABORT_AT", place)]).await;
        let anybody = Client::new(&whole.base);
        let (owner, guest) = (account(&anybody, "owner").await, account(&anybody, "guest").await);
        put_canary(&owner).await;
        let joins = json!({"user_id": guest.user_id, "role": "owner"});
        owner.client.post("/v1/members", joins).await.json(200);
        let there = anybody.bearer(&session(&whole.base, &guest, &owner.workspace_id).await);
        there.post("/v1/tokens", json!({"name": "t"})).await.json(200);
        let order = json!({"subject": guest.user_id});
        let id = die(whole, &database, &owner.client, order, place).await;

        let mut whole = start(&database, &[]).await;
        let client = Client::new(&whole.base).bearer(&owner.access_token);
        let erasure = until(&client, &format!("/v1/erasures/{id}"), "succeeded").await;
        let receipt = &erasure["receipt"];
        for table in ["tenancy.members", "auth.tokens", "auth.sessions"] {
            assert_eq!(rows(receipt, table), 1, "{place}: {table} in {receipt}");
        }
        assert_eq!(
            rows(receipt, "auth.accounts"),
            0,
            "{place}: has a workspace of its own"
        );
        assert_eq!(receipt["destroyed_keys"], 0, "{place}");
        let members = client.get("/v1/members").await.json(200);
        assert_eq!(
            members["members"].as_array().map(Vec::len),
            Some(1),
            "{place}: {members}"
        );
        let shown = client.post("/v1/secrets/own/reveal", json!({})).await.json(200);
        assert_eq!(shown["value"], CANARY, "{place}: the workspace goes on");
        let logged = async {
            loop {
                let log = client.get("/v1/audit/events?page_size=1000").await.json(200);
                let events = log["entries"].as_array().cloned().unwrap_or_default();
                let told = events
                    .iter()
                    .filter(|event| event["event"]["action"] == "erasure.completed");
                match told.count() {
                    0 => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                    times => return times,
                }
            }
        };
        assert_eq!(
            timeout(PATIENCE, logged).await.expect("it is in the log"),
            1,
            "{place}"
        );
        whole.child.kill().await.unwrap();
    }
    let (sound, found) = db(&database, "check", &[]).await;
    assert!(sound, "{found}");
}
