//! Where the logs of everything that these tests start are kept, so that a last step can look for secrets in all of
//! them. Without `CAUSEWAY_TEST_LOGS` they are kept nowhere.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, OnceLock};

use causeway_telemetry::{LogLevel, Telemetry, TelemetryOptions};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use uuid::Uuid;

/// A new file for one log.
fn file() -> Option<File> {
    let folder = PathBuf::from(std::env::var_os("CAUSEWAY_TEST_LOGS")?);
    Some(
        File::create(folder.join(format!("{}.log", Uuid::now_v7())))
            .expect("the folder of the logs is there"),
    )
}

/// Where a process writes its log.
pub(crate) fn of_process() -> Stdio {
    file().map_or_else(Stdio::null, Stdio::from)
}

/// Keeps the log of what runs inside this process, at its most talkative.
pub(crate) fn of_this_process() {
    static TELEMETRY: OnceLock<Option<Telemetry>> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let file = Mutex::new(file()?);
        let options = TelemetryOptions {
            level: LogLevel::Debug,
            writer: Some(BoxMakeWriter::new(file)),
            ..TelemetryOptions::new("causeway-test")
        };
        causeway_telemetry::init(options).ok()
    });
}

/// Keeps a log that was read from a process.
pub(crate) fn keep(text: &str) {
    if let Some(mut file) = file() {
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("the log is kept");
    }
}
