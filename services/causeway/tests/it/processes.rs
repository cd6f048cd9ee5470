//! The program as operators run it: real processes, real signals.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use causeway::demo::tell;
use causeway_contracts::{METHODS, Rule};
use causeway_mesh::far;
use causeway_testkit::TestDb;
use http::{Request, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::http::Client;
use crate::mesh::{SIGNING_SECRET, account};

const PATIENCE: Duration = Duration::from_secs(60);
const INTERNAL_SECRET: &str = "an internal secret of the tests, 32 bytes or more";
const SERVICES: [(&str, &str); 5] = [
    ("auth", "MESH_AUTH_ADDR"),
    ("tenancy", "MESH_TENANCY_ADDR"),
    ("llm", "MESH_LLM_ADDR"),
    ("scoring", "MESH_SCORING_ADDR"),
    ("audit", "MESH_AUDIT_ADDR"),
];

/// A port that nobody else gets: below those that the system gives to outgoing connections, and claimed among all tests of
/// this machine until this one ends.
fn free_port() -> u16 {
    static CLAIMED: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let directory = std::env::temp_dir().join("causeway-test-ports");
    std::fs::create_dir_all(&directory).unwrap();
    loop {
        let random = u16::from_be_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[1]]);
        let port = 12_000 + random % 20_000;
        let claim = File::create(directory.join(port.to_string())).unwrap();
        if claim.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            CLAIMED.lock().unwrap().push(claim);
            return port;
        }
    }
}

/// The program with nothing in its environment but what is said.
pub(crate) fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // Nothing that lies around in the working directory is read.
    command.current_dir(std::env::temp_dir());
    command.envs(environment.iter().copied());
    command
}

/// Runs the program to its end.
pub(crate) async fn output(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let output = program(arguments, environment).output();
    tokio::time::timeout(PATIENCE, output)
        .await
        .expect("it ends")
        .expect("it runs")
}

/// Waits until `path` answers 200.
async fn wait_for(base: &str, path: &str, status: u16) {
    let client = Client::new(base);
    let answered = async {
        loop {
            if client
                .try_send("GET", path, "", None)
                .await
                .is_ok_and(|answer| answer.status == status)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .unwrap_or_else(|_| panic!("{path} never answered {status}"));
}

fn terminate(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
}

/// One process with everything, and where it is.
pub(crate) struct Whole {
    pub(crate) base: String,
    pub(crate) child: Child,
    /// A file and not a pipe: a pipe that nobody reads fills up, and the process waits for ever.
    log: tempfile::NamedTempFile,
}

impl Whole {
    pub(crate) async fn start(more: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (port, admin) = (free_port().to_string(), free_port().to_string());
        let mut environment = vec![
            ("PORT", port.as_str()),
            ("ADMIN_PORT", &admin),
            ("BIND_ADDR", "127.0.0.1"),
        ];
        environment.extend_from_slice(more);
        let mut arguments = arguments.to_vec();
        arguments.push("serve");
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = program(&arguments, &environment)
            .stderr(log.reopen().unwrap())
            .spawn()
            .expect("it starts");
        let base = format!("http://127.0.0.1:{port}");
        let mut whole = Self { base, child, log };
        tokio::select! {
            () = wait_for(&whole.base, "/ready", 200) => {}
            ended = whole.child.wait() => panic!("it ended: {ended:?}: {}", whole.log().await),
        }
        whole
    }

    /// What it wrote, once it has ended.
    pub(crate) async fn log(&mut self) -> String {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.is_ok(), "it ends");
        let text = std::fs::read(self.log.path()).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        crate::logs::keep(&text);
        text
    }
}

/// Six processes over TCP, with PostgreSQL.
pub(crate) struct Fleet {
    pub(crate) base: String,
    ports: Vec<(&'static str, u16)>,
    children: Vec<(&'static str, Child)>,
    more: Vec<(String, String)>,
    database: TestDb,
}

impl Fleet {
    async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// The same with more settings for each process.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Option<Self> {
        let database = TestDb::new(&causeway::serve::database::schemas()).await?;
        let ports: Vec<(&'static str, u16)> = SERVICES.iter().map(|(name, _)| (*name, free_port())).collect();
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut fleet = Self {
            base: String::new(),
            ports,
            children: Vec::new(),
            more: more.collect(),
            database,
        };
        for (name, _) in SERVICES {
            fleet.serve(name);
        }
        fleet.base = fleet.gateway().await;
        Some(fleet)
    }

    /// Starts one more gateway; answers where it is once it is ready.
    pub(crate) async fn gateway(&mut self) -> String {
        let port = free_port();
        let child = self.spawn("gateway", port);
        self.children.push(("gateway", child));
        let base = format!("http://127.0.0.1:{port}");
        wait_for(&base, "/ready", 200).await;
        base
    }

    /// Starts a service where the others look for it.
    pub(crate) fn serve(&mut self, name: &'static str) {
        let child = self.spawn(name, free_port());
        self.children.push((name, child));
    }

    /// Ends a service as a crash does: it is told nothing.
    pub(crate) async fn kill(&mut self, name: &str) {
        let place = self
            .children
            .iter()
            .position(|(child, _)| *child == name)
            .unwrap();
        let (_, mut child) = self.children.remove(place);
        child.kill().await.unwrap();
    }

    fn spawn(&self, name: &'static str, public: u16) -> Child {
        let own = self.ports.iter().find(|(service, _)| *service == name);
        let own = own.map_or_else(free_port, |(_, port)| *port);
        let mut environment: Vec<(&str, String)> = vec![
            ("NODE_ENV", "test".to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
            ("JWT_SIGNING_SECRET", SIGNING_SECRET.to_owned()),
            ("INTERNAL_SERVICE_SECRET", INTERNAL_SECRET.to_owned()),
            (
                "DATABASE_URL",
                self.database.service_url().expose_secret().to_owned(),
            ),
            (
                "DATABASE_OWNER_URL",
                self.database.owner_url().expose_secret().to_owned(),
            ),
            ("PG_POOL_MAX", "8".to_owned()),
            ("USE_MOCK_LLM", "true".to_owned()),
            ("BIND_ADDR", "127.0.0.1".to_owned()),
            ("PORT", public.to_string()),
            ("ADMIN_PORT", free_port().to_string()),
            ("MESH_LISTEN_ADDR", format!("127.0.0.1:{own}")),
        ];
        for ((_, setting), (_, port)) in SERVICES.iter().zip(&self.ports) {
            environment.push((setting, format!("http://127.0.0.1:{port}")));
        }
        let more = self
            .more
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(more)
            .collect();
        program(&["serve", name], &environment)
            .stderr(crate::logs::of_process())
            .spawn()
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_passes_in_six_processes() {
    let Some(fleet) = Fleet::start().await else { return };
    tell(&fleet.base, &mut Vec::new()).await.unwrap();
}

/// The code that a service itself answers, past the gateway.
async fn direct(port: u16, path: &str, token: Option<&str>) -> Code {
    let base = format!("http://127.0.0.1:{port}");
    let channel = far(base.parse().unwrap(), &CancellationToken::new());
    let mut request = Request::post(format!("{base}{path}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("x-causeway-caller", "owner")
        .header("x-internal-service-secret", "wrong");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let empty = Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[
        0, 0, 0, 0, 0,
    ])));
    let response = channel.oneshot(request.body(empty).unwrap()).await.unwrap();
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_does_not_trust_the_gateway() {
    let Some(fleet) = Fleet::start().await else { return };
    let secret = [
        ("INTERNAL_SERVICE_SECRET", INTERNAL_SECRET),
        ("JWT_SIGNING_SECRET", SIGNING_SECRET),
    ];
    for (service, port) in &fleet.ports {
        let made = output(&["token", "service", "--for", service], &secret).await;
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        for method in METHODS.iter().filter(|method| method.owner == *service) {
            assert_eq!(
                direct(*port, method.path, None).await,
                Code::Unauthenticated,
                "{}",
                method.path
            );
            assert_eq!(
                direct(*port, method.path, Some("a.b.c")).await,
                Code::Unauthenticated,
                "{}",
                method.path
            );
            if matches!(method.rule, Rule::Permission { .. }) {
                assert_eq!(
                    direct(*port, method.path, Some(&token)).await,
                    Code::PermissionDenied,
                    "{}",
                    method.path
                );
            }
            // A token for one service is nothing at another.
            let other = fleet.ports.iter().find(|(name, _)| name != service).unwrap().1;
            let elsewhere = METHODS
                .iter()
                .find(|method| {
                    fleet
                        .ports
                        .iter()
                        .any(|(name, port)| *port == other && *name == method.owner)
                })
                .unwrap();
            assert_eq!(
                direct(other, elsewhere.path, Some(&token)).await,
                Code::Unauthenticated
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_a_service_that_is_away() {
    let Some(mut fleet) = Fleet::start().await else {
        return;
    };
    let (_, child) = fleet
        .children
        .iter_mut()
        .find(|(name, _)| *name == "scoring")
        .unwrap();
    child.kill().await.unwrap();
    wait_for(&fleet.base, "/ready", 503).await;
    let client = Client::new(&fleet.base);
    assert_eq!(
        client.get("/ready").await.json(503)["not_serving"],
        json!(["scoring"])
    );
    assert_eq!(client.get("/health").await.status, 200);
    let account = account(&client, "away").await;
    let error = account.client.get("/v1/scoring/models").await;
    assert_eq!(error.reason(503), "SERVICE_UNAVAILABLE");
    assert!(!error.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn near_and_far_answer_alike() {
    let Some(fleet) = Fleet::start().await else { return };
    let near = crate::mesh::Mesh::start().await;
    let mut answers = Vec::new();
    for base in [&near.base, &fleet.base] {
        let account = account(&Client::new(base), "alike").await;
        let client = &account.client;
        let asked = vec![
            client.get("/v1/secrets").await,
            client.get("/v1/secrets/nothing").await,
            client
                .put("/v1/secrets/s", json!({"kind": "nonsense", "value": ""}))
                .await,
            client
                .post("/v1/scoring/models", json!({"name": "", "kind": "magic"}))
                .await,
            client.post("/v1/chat/completions", json!({"messages": []})).await,
            client.get("/v1/audit/proofs/inclusion?seq=99&size=100").await,
            client.get("/v1/workspaces/not-an-id").await,
        ];
        let comparable = asked.into_iter().map(|answer| {
            let mut json: Value = serde_json::from_str(&answer.body).unwrap();
            for own in ["error_id", "request_id"] {
                json[own] = Value::Null;
                if json["error"].is_object() {
                    json["error"][own] = Value::Null;
                }
            }
            (answer.status, json)
        });
        answers.push(comparable.collect::<Vec<_>>());
    }
    assert_eq!(answers[0], answers[1]);
    near.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_service_without_a_database_refuses_to_start() {
    let environment = [
        ("INTERNAL_SERVICE_SECRET", INTERNAL_SECRET),
        ("MESH_AUTH_ADDR", "http://127.0.0.1:1"),
        ("MESH_TENANCY_ADDR", "http://127.0.0.1:1"),
        ("MESH_LLM_ADDR", "http://127.0.0.1:1"),
        ("MESH_SCORING_ADDR", "http://127.0.0.1:1"),
    ];
    let ended = output(&["serve", "audit"], &environment).await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("DATABASE_URL"));
    let ended = output(&["serve", "audit"], &[]).await;
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        text.contains("INTERNAL_SERVICE_SECRET") && text.contains("DATABASE_URL"),
        "all at once: {text}"
    );
    assert_eq!(output(&["serve", "nonsense"], &[]).await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_its_story_and_exits_0() {
    let ended = output(&["demo"], &[]).await;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(
        text.contains("$ curl -s") && text.contains("can be proven"),
        "{text}"
    );
}

/// Logs in again and again until the program is gone; answers how many answers it got, and what went wrong.
async fn load(client: Client, body: Value, stop: CancellationToken) -> (usize, Vec<String>) {
    let (mut answered, mut lost) = (0, Vec::new());
    while !stop.is_cancelled() {
        match client
            .try_send("POST", "/auth/login", &body.to_string(), Some("application/json"))
            .await
        {
            Ok(answer) if answer.status == 200 || answer.status == 429 => answered += 1,
            Ok(answer) => lost.push(format!("{}: {}", answer.status, answer.body)),
            // Not accepted: nobody listens any more.
            Err(causeway_egress::EgressError::Connect(_)) => break,
            Err(error) => lost.push(format!("{error:?}")),
        }
    }
    (answered, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_no_request() {
    let mut whole = Whole::start(&[("NODE_ENV", "test"), ("SHUTDOWN_GRACE_SECONDS", "10")], &[]).await;
    let account = account(&Client::new(&whole.base), "load").await;
    let body = json!({"email": account.email, "password": account.password});
    let stop = CancellationToken::new();
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..16 {
        loads.spawn(load(Client::new(&whole.base), body.clone(), stop.clone()));
    }
    // Enough to be in the middle of it.
    let client = Client::new(&whole.base);
    for _ in 0..5 {
        client.post("/auth/login", body.clone()).await;
    }
    let told = Instant::now();
    terminate(&whole.child);
    let ended = tokio::time::timeout(Duration::from_secs(12), whole.child.wait())
        .await
        .expect("within its grace");
    assert!(ended.unwrap().success());
    assert!(told.elapsed() < Duration::from_secs(10));
    stop.cancel();
    let mut answered = 0;
    for (count, lost) in loads.join_all().await {
        answered += count;
        assert_eq!(lost, Vec::<String>::new());
    }
    assert!(answered > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_the_log() {
    for format in ["json", "pretty"] {
        let environment = [
            ("NODE_ENV", "test"),
            ("LOG_LEVEL", "debug"),
            ("LOG_FORMAT", format),
            ("JWT_SIGNING_SECRET", SIGNING_SECRET),
        ];
        let mut whole = Whole::start(&environment, &[]).await;
        let summary = tell(&whole.base, &mut Vec::new()).await.unwrap();
        let account = account(&Client::new(&whole.base), "silent").await;
        let client = &account.client;
        client
            .put(
                "/v1/secrets/s",
                json!({"kind": "custom", "value": "the-value-of-a-secret"}),
            )
            .await
            .json(200);
        client.post("/v1/secrets/s/reveal", json!({})).await.json(200);
        let said = json!({"model": "auto", "messages": [{"role": "user", "content": "a-private-question"}]});
        client.post("/v1/chat/completions", said).await.json(200);
        let wrong = json!({"email": account.email, "password": "a-wrong-password-of-a-person"});
        Client::new(&whole.base)
            .post("/auth/login", wrong)
            .await
            .json(401);
        Client::new(&whole.base)
            .bearer("cw_pat_madeupmadeupmadeupmadeup")
            .get("/v1/me")
            .await
            .json(401);
        client
            .send(
                "POST",
                "/v1/tokens",
                r#"{"name":"a-broken-body"#,
                Some("application/json"),
            )
            .await
            .json(400);
        terminate(&whole.child);
        let log = whole.log().await;
        assert!(log.contains("request"), "the log is there: {log}");
        let signature = account.access_token.rsplit('.').next().unwrap().to_owned();
        let secrets = [
            summary.token.as_str(),
            &account.password,
            &account.access_token,
            &signature,
            &account.email,
            SIGNING_SECRET,
            "the-value-of-a-secret",
            "a-private-question",
            "a-wrong-password-of-a-person",
            "cw_pat_madeup",
            "a-broken-body",
            "Say hello to the auditor",
            "cw_pat_",
        ];
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}
