//! The program as one process and as six.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use causeway_testkit::TestDb;
use secrecy::ExposeSecret as _;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::http::Client;
use crate::mesh::SIGNING_SECRET;

const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const INTERNAL_SECRET: &str = "an internal secret of the tests, 32 bytes or more";
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
pub(super) async fn wait_for(base: &str, path: &str, status: u16) {
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

pub(super) fn terminate(child: &Child) {
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
    pub(super) ports: Vec<(&'static str, u16)>,
    pub(super) children: Vec<(&'static str, Child)>,
    more: Vec<(String, String)>,
    /// What one service alone is given.
    own: (&'static str, Vec<(String, String)>),
    database: TestDb,
}

impl Fleet {
    pub(super) async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// The same with more settings for each process.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Option<Self> {
        Self::with_secrets_of("", &[], more).await
    }

    /// The same with settings that one service alone is given.
    pub(crate) async fn with_secrets_of(
        service: &'static str,
        own: &[(&str, &str)],
        more: &[(&str, &str)],
    ) -> Option<Self> {
        let database = TestDb::new(&causeway::serve::database::schemas()).await?;
        let ports: Vec<(&'static str, u16)> = SERVICES.iter().map(|(name, _)| (*name, free_port())).collect();
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let mut fleet = Self {
            base: String::new(),
            ports,
            children: Vec::new(),
            more: owned(more),
            own: (service, owned(own)),
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
        let own: &[(String, String)] = if self.own.0 == name { &self.own.1 } else { &[] };
        let more = self.more.iter().chain(own);
        let more = more.map(|(name, value)| (name.as_str(), value.as_str()));
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
