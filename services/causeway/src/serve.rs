//! `causeway serve`: starts what was asked for and ends it in order.

mod admin;
mod banner;
pub mod database;
mod process;
mod restored;
mod roles;
mod services;
mod verifiers;

pub use admin::MetricsText;
pub use process::{Bind, Options, Running, start};
pub use roles::{Role, Roles};

use anyhow::Context as _;
use causeway_settings::{Owner, Settings, Sources};
use causeway_telemetry::TelemetryOptions;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Runs until SIGTERM or SIGINT, then drains.
pub(crate) async fn until_signalled(sources: Sources, roles: Roles) -> Result<(), Failure> {
    // Before anything starts, so that no signal is lost.
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;

    let settings = Settings::resolve(&sources, &roles.owners())?;
    let telemetry =
        causeway_telemetry::init(telemetry_options(&settings, &roles)).context("start telemetry")?;
    let banner = banner::wanted(&settings);
    let running = start(Options {
        settings,
        roles,
        metrics: telemetry.scrape(),
        bind: Bind::default(),
    })
    .await?;
    if banner {
        eprint!("{}", banner::text(&running));
    }
    let stopped = running.stopped();
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        () = stopped.cancelled() => {}
    }
    let early = stopped.is_cancelled();
    let report = running.end().await;
    tracing::info!(
        requests_ended = report.requests_ended,
        workers_ended = report.workers_ended,
        "stopped"
    );
    telemetry.shutdown().await;
    if early {
        return Err(anyhow::anyhow!("background work ended early").into());
    }
    Ok(())
}

fn telemetry_options(settings: &Settings, roles: &Roles) -> TelemetryOptions {
    TelemetryOptions {
        level: settings
            .text("LOG_LEVEL")
            .and_then(|word| word.parse().ok())
            .unwrap_or_default(),
        format: settings
            .text("LOG_FORMAT")
            .and_then(|word| word.parse().ok())
            .unwrap_or_default(),
        otlp_endpoint: settings.text("OTEL_EXPORTER_OTLP_ENDPOINT"),
        ..TelemetryOptions::new(format!("causeway-{roles}"))
    }
}

impl Roles {
    /// Whose settings a process of these roles reads.
    pub fn owners(&self) -> Vec<Owner> {
        if self.is_all() {
            return Owner::ALL.to_vec();
        }
        let shared = [Owner::Mesh, Owner::Observability];
        self.iter().map(Role::owner).chain(shared).collect()
    }
}
