//! The release binary as operators run it: a process of its own, with nothing in its environment but what is said.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where the programs are and where results go: both follow from where this program is.
pub(crate) struct Place {
    causeway: PathBuf,
    /// `target/bench`.
    pub(crate) results: PathBuf,
}

impl Place {
    pub(crate) fn of_this_program() -> Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        let folder = this.parent().context("find this program's folder")?;
        let causeway = folder.join("causeway");
        if !causeway.is_file() {
            bail!("{} is missing: run scripts/bench.sh", causeway.display());
        }
        let results = folder.parent().unwrap_or(folder).join("bench");
        std::fs::create_dir_all(&results).context("make the folder of the results")?;
        Ok(Self { causeway, results })
    }
}

/// A running `causeway serve`.
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    process: u32,
    log: PathBuf,
}

impl Program {
    /// Starts `causeway serve ROLES`; its log goes to `target/bench/NAME.log`.
    pub(crate) fn start(
        place: &Place,
        name: &'static str,
        roles: &str,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let log = place.results.join(format!("{name}.log"));
        let child = Command::new(&place.causeway)
            .args(["serve", roles])
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
            // Nothing that lies around in the working directory is read.
            .current_dir(&place.results)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).context("make a log file")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let process = child.id().context("ask for the process id")?;
        Ok(Self {
            name,
            child,
            process,
            log,
        })
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// Waits until it listens at `address`; with a `path`, until that is answered 200.
    pub(crate) async fn answers(&mut self, address: SocketAddr, path: Option<&str>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !answers(address, path).await {
            if let Some(status) = self.child.try_wait().context("look at the process")? {
                bail!("{} ended ({status}), see {}", self.name, self.log.display());
            }
            if Instant::now() > deadline {
                bail!("{} does not answer, see {}", self.name, self.log.display());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Ends it as an operator would, and waits for the end.
    pub(crate) async fn end(mut self) -> Result<()> {
        let told = Command::new("kill")
            .args(["-TERM", &self.process.to_string()])
            .status()
            .await
            .context("run kill")?;
        if !told.success() {
            bail!("{} was gone before its end", self.name);
        }
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended
            .with_context(|| format!("{} does not end", self.name))?
            .context("wait for the process")?;
        Ok(())
    }
}

async fn answers(address: SocketAddr, path: Option<&str>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let Some(path) = path else { return true };
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let sent = stream.write_all(request.as_bytes()).await;
    sent.is_ok() && stream.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
}

/// An address of this machine that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    listener.local_addr().context("read the free port")
}

/// Where a log is, for people: beside the results.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
