//! What is revoked is refused by two gateways alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway::serve::{Bind, Options, Roles, Running, start};
use causeway_settings::{Settings, Sources};
use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{EXCHANGE, Program, form, refused};
use crate::http::Client;
use crate::mesh::{SIGNING_SECRET, account, text};

/// Within this a revocation holds everywhere (TOK-04).
const SOON: Duration = Duration::from_secs(5);

/// All services in one process over PostgreSQL, and two gateways that reach them over TCP.
struct TwoGateways {
    clients: [Client; 2],
    running: Vec<Running>,
    _database: TestDb,
}

async fn process(roles: &str, pairs: &[(&str, &str)]) -> Running {
    let roles: Roles = roles.parse().expect("roles");
    let settings = Settings::resolve(&Sources::from_pairs(pairs.iter().copied()), &roles.owners());
    let local = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let options = Options {
        settings: settings.expect("sound settings"),
        roles,
        metrics: Arc::new(String::new),
        bind: Bind {
            gateway: local,
            mesh: local,
            admin: local,
        },
    };
    start(options).await.expect("it starts")
}

impl TwoGateways {
    async fn start() -> Option<Self> {
        crate::logs::of_this_process();
        let database = TestDb::new(&causeway::serve::database::schemas()).await?;
        let url = database.service_url().expose_secret().to_owned();
        let owner_url = database.owner_url().expose_secret().to_owned();
        let mut pairs = vec![
            ("NODE_ENV", "test"),
            ("JWT_SIGNING_SECRET", SIGNING_SECRET),
            (
                "INTERNAL_SERVICE_SECRET",
                "the root of service tokens, 32 bytes or more",
            ),
            ("USE_MOCK_LLM", "true"),
            ("DATABASE_URL", &url),
            ("DATABASE_OWNER_URL", &owner_url),
        ];
        let services = process("auth,tenancy,llm,scoring,audit", &pairs).await;
        let address = format!("http://{}", services.mesh.expect("the services listen"));
        for name in ["AUTH", "TENANCY", "LLM", "SCORING", "AUDIT"] {
            pairs.push((
                match name {
                    "AUTH" => "MESH_AUTH_ADDR",
                    "TENANCY" => "MESH_TENANCY_ADDR",
                    "LLM" => "MESH_LLM_ADDR",
                    "SCORING" => "MESH_SCORING_ADDR",
                    _ => "MESH_AUDIT_ADDR",
                },
                &address,
            ));
        }
        let gateways = [process("gateway", &pairs).await, process("gateway", &pairs).await];
        let clients = [0, 1].map(|index| {
            let address = gateways[index].gateway.expect("the gateway listens");
            Client::new(&format!("http://{address}"))
        });
        let mut running = Vec::from(gateways);
        running.push(services);
        Some(Self {
            clients,
            running,
            _database: database,
        })
    }

    async fn end(self) {
        for process in self.running {
            process.end().await;
        }
    }
}

/// How long it takes until every one of them is refused.
pub(super) async fn until_refused(clients: &[Client]) -> Duration {
    let began = Instant::now();
    for client in clients {
        while client.get("/v1/secrets").await.status != 401 {
            assert!(began.elapsed() < SOON, "still let in");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    began.elapsed()
}

/// TOK-04.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_is_refused_by_both_gateways_within_five_seconds() {
    let Some(system) = TwoGateways::start().await else {
        return;
    };
    let account = account(&system.clients[0], "revoked").await;
    let scoped = json!({"name": "batch", "scopes": ["secrets.read"]});
    let at_both = |token: &str| system.clients.clone().map(|client| client.bearer(token));
    let warm = async |clients: &[Client]| {
        for client in clients {
            client.get("/v1/secrets").await.json(200);
        }
    };

    let program = Program::of(&account, scoped.clone()).await;
    let machine = at_both(&program.token(&system.clients[1]).await);
    warm(&machine).await;
    let path = format!("/v1/clients/{}", program.id);
    account.client.delete(&path).await.json(200);
    let client_took = until_refused(&machine).await;
    let later = form(
        &program.basic(&system.clients[1]),
        "/auth/token",
        "grant_type=client_credentials",
    )
    .await;
    assert_eq!(refused(&later, 401), "invalid_client");

    let program = Program::of(&account, scoped.clone()).await;
    let token = program.token(&system.clients[0]).await;
    let machine = at_both(&token);
    warm(&machine).await;
    let basic = program.basic(&system.clients[0]);
    form(&basic, "/auth/revoke", &format!("token={token}"))
        .await
        .json(200);
    let token_took = until_refused(&machine).await;

    let key = account.client.post("/v1/api-keys", scoped).await.json(200);
    let exchange = format!(
        "{EXCHANGE}&subject_token={}&subject_token_type=urn:ietf:params:oauth:token-type:access_token",
        text(&key, "secret")
    );
    let short = form(&system.clients[0], "/auth/token", &exchange).await.json(200);
    let mut shown = Vec::from(at_both(&text(&key, "secret")));
    shown.extend(at_both(&text(&short, "access_token")));
    warm(&shown).await;
    let path = format!("/v1/api-keys/{}", text(&key, "id"));
    account.client.delete(&path).await.json(200);
    let key_took = until_refused(&shown).await;
    eprintln!("refused everywhere after: client {client_took:?}, token {token_took:?}, key {key_took:?}");
    system.end().await;
}

/// The writer of a client's end: both gateways are told, so that no token of it goes on, and none comes back with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_switched_off_is_refused_by_both_gateways_and_its_old_tokens_for_ever() {
    let Some(system) = TwoGateways::start().await else {
        return;
    };
    let account = account(&system.clients[0], "disabled").await;
    let program = Program::of(&account, json!({"name": "batch", "scopes": ["secrets.read"]})).await;
    let path = format!("/v1/clients/{}", program.id);
    let switch = async |disabled: bool| {
        let body = json!({"disabled": disabled}).to_string();
        let changed = account
            .client
            .send("PATCH", &path, &body, Some("application/json"))
            .await;
        assert_eq!(changed.json(200)["disabled"], json!(disabled));
    };
    let old = program.token(&system.clients[0]).await;
    let at_both = |token: &str| system.clients.clone().map(|client| client.bearer(token));
    for client in &at_both(&old) {
        client.get("/v1/secrets").await.json(200);
    }
    switch(true).await;
    let took = until_refused(&at_both(&old)).await;
    let basic = program.basic(&system.clients[1]);
    let refused_grant = form(&basic, "/auth/token", "grant_type=client_credentials").await;
    assert_eq!(refused(&refused_grant, 401), "invalid_client");

    switch(false).await;
    let new = at_both(&program.token(&system.clients[1]).await);
    let began = Instant::now();
    for client in &new {
        // What a gateway knows of the client may be seconds old.
        while client.get("/v1/secrets").await.status != 200 {
            assert!(began.elapsed() < SOON, "still refused");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for client in &at_both(&old) {
        assert_eq!(
            client.get("/v1/secrets").await.status,
            401,
            "it ended with the switch"
        );
    }
    eprintln!("switched off: refused everywhere after {took:?}");
    system.end().await;
}
