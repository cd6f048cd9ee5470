//! A stand-in for AWS.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;

/// What `scripts/clients.sh run` exits with when nothing is installed.
const NOT_INSTALLED: i32 = 69;
const PATIENCE: Duration = Duration::from_secs(30);

/// moto's server, on a free port of 127.0.0.1 as long as the value lives. It starts empty and takes any access key.
pub struct Moto {
    url: String,
    server: Child,
    /// Keeps its log from filling the pipe.
    _log: JoinSet<()>,
}

impl Moto {
    /// Starts a server. None at home where it is not installed: the test says so and returns.
    ///
    /// # Panics
    /// Where it is not installed and `CAUSEWAY_TEST_CLIENTS` or `CI` says that it must be; or when it does not start.
    pub async fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/clients.sh");
        let mut server = Command::new("bash")
            .args([script, "run", "moto"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bash runs");
        let mut log = BufReader::new(server.stderr.take().expect("piped")).lines();
        let url = tokio::time::timeout(PATIENCE, address(&mut log))
            .await
            .expect("moto starts in time");
        let Some(url) = url else {
            skip(server.wait().await.expect("bash ends"));
            return None;
        };
        let mut rest = JoinSet::new();
        rest.spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Some(Self {
            url,
            server,
            _log: rest,
        })
    }

    /// The address of every service.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server, with all that it keeps.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(mut self) {
        self.server.kill().await.expect("moto ends");
    }
}

/// What the server's log says its address is; nothing if it ends before.
async fn address(log: &mut Lines<BufReader<ChildStderr>>) -> Option<String> {
    while let Some(line) = log.next_line().await.expect("a log of text") {
        if let Some((_, url)) = line.split_once("Running on ") {
            return Some(url.trim().to_owned());
        }
    }
    None
}

fn skip(status: ExitStatus) {
    let must = ["CAUSEWAY_TEST_CLIENTS", "CI"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    assert!(
        status.code() == Some(NOT_INSTALLED) && !must,
        "moto does not start ({status}): run scripts/clients.sh install"
    );
    println!("skipped: moto is not installed");
}
