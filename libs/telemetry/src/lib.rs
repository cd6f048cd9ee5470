//! Logs, traces and metrics. One OpenTelemetry meter feeds both the Prometheus text of the admin port and OTLP; without
//! an OTLP endpoint nothing leaves the process, and W3C trace context is still passed on (B-OBS-4, B-OBS-7).

mod captured;
mod context;
mod export;
mod logs;
pub mod metrics;
mod report;

pub use captured::CapturedLog;
pub use context::{continue_trace, inject, inject_from, parent_of, trace_id};
pub use logs::{LogFormat, LogLevel, UnknownWord};
pub use report::{report, sanitise, slow_api};

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::global;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Dispatch;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How long [`Telemetry::shutdown`] waits for the last export.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// What the process writes and where.
pub struct TelemetryOptions {
    /// The name of the process in traces and metrics.
    pub service: String,
    /// The lowest level that is logged.
    pub level: LogLevel,
    /// How log lines look.
    pub format: LogFormat,
    /// Where traces and metrics go by OTLP over gRPC; nowhere when absent.
    pub otlp_endpoint: Option<String>,
    /// Where log lines go; standard error when absent.
    pub writer: Option<BoxMakeWriter>,
}

impl TelemetryOptions {
    /// JSON lines at `info` on standard error, nothing exported.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            level: LogLevel::Info,
            format: LogFormat::Json,
            otlp_endpoint: None,
            writer: None,
        }
    }
}

impl fmt::Debug for TelemetryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryOptions")
            .field("service", &self.service)
            .field("level", &self.level)
            .field("format", &self.format)
            .field("otlp_endpoint", &self.otlp_endpoint)
            .finish_non_exhaustive()
    }
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The OTLP endpoint is not a URL, or no client can be made for it.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: must be an http or https URL")]
    Endpoint(#[source] Option<opentelemetry_otlp::ExporterBuildError>),
    /// The Prometheus reader cannot be made.
    #[error("set up the Prometheus reader")]
    Prometheus(#[source] opentelemetry_sdk::error::OTelSdkError),
}

/// The meter of the process: the first [`init`] makes it, because instruments stay bound to the meter that made them.
static METER: OnceLock<Meter> = OnceLock::new();

#[derive(Debug, Clone)]
struct Meter {
    provider: SdkMeterProvider,
    registry: prometheus::Registry,
}

/// Running telemetry.
#[derive(Debug)]
pub struct Telemetry {
    dispatch: Dispatch,
    tracer: SdkTracerProvider,
    meter: Meter,
    installed: bool,
}

/// Starts logs, traces and metrics. With an OTLP endpoint it must run inside a tokio runtime.
///
/// A second call in one process (tests) keeps the first one's meter and default subscriber; its own subscriber is
/// [`Telemetry::dispatch`].
///
/// # Errors
/// An OTLP endpoint that cannot be used.
pub fn init(options: TelemetryOptions) -> Result<Telemetry, TelemetryError> {
    let TelemetryOptions {
        service,
        level,
        format,
        otlp_endpoint,
        writer,
    } = options;
    let endpoint = otlp_endpoint.as_deref();
    let tracer = export::tracer(&service, endpoint)?;
    let meter = match METER.get() {
        Some(meter) => meter.clone(),
        None => install(export::meter(&service, endpoint)?),
    };
    let writer = writer.unwrap_or_else(|| BoxMakeWriter::new(std::io::stderr));
    let dispatch = logs::dispatch(level, format, writer, &tracer);
    let installed = tracing::dispatcher::set_global_default(dispatch.clone()).is_ok();
    Ok(Telemetry {
        dispatch,
        tracer,
        meter,
        installed,
    })
}

fn install(meter: Meter) -> Meter {
    METER
        .get_or_init(|| {
            global::set_meter_provider(meter.provider.clone());
            metrics::install(&meter.provider);
            meter
        })
        .clone()
}

impl Telemetry {
    /// The metrics in Prometheus text format 0.0.4.
    pub fn prometheus(&self) -> String {
        (self.scrape())()
    }

    /// A function that gives the text of [`Telemetry::prometheus`], for the admin port.
    pub fn scrape(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let registry = self.meter.registry.clone();
        Arc::new(move || {
            prometheus::TextEncoder::new()
                .encode_to_string(&registry.gather())
                .unwrap_or_default()
        })
    }

    /// The subscriber of this call of [`init`], for tests that set it for a thread.
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Whether this call's subscriber became the default of the process.
    pub fn is_installed(&self) -> bool {
        self.installed
    }

    /// Sends what is buffered and stops, within a few seconds whatever the far side does.
    pub async fn shutdown(self) {
        let Self {
            tracer,
            meter,
            installed,
            ..
        } = self;
        // The exporters work on the runtime's threads, so the blocking wait must not sit on one of them.
        let flush = tokio::task::spawn_blocking(move || {
            let traces = tracer.shutdown_with_timeout(FLUSH_TIMEOUT);
            let metrics = if installed {
                meter.provider.force_flush()
            } else {
                Ok(())
            };
            traces.and(metrics)
        });
        match tokio::time::timeout(FLUSH_TIMEOUT * 2, flush).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) | Err(_) => tracing::warn!("the last traces or metrics were not delivered"),
        }
    }
}

#[cfg(test)]
mod tests;
