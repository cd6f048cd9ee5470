//! The subscriber: log lines and the bridge of spans to traces.

use std::str::FromStr;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Dispatch;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

/// Transports that would fill the log, and through which the exporter would trace itself.
const QUIET: &str = "h2=off,hyper=off,hyper_util=off,tonic=off,tower=off,rustls=off,tokio_postgres=warn";

/// A word that is not one of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {0}")]
pub struct UnknownWord(&'static str);

/// The lowest level that is logged (B-OBS-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Nothing.
    Silent,
    /// Failures of ours.
    Error,
    /// Things that an operator should look at.
    Warn,
    /// What the process does.
    #[default]
    Info,
    /// How it does it.
    Debug,
}

impl LogLevel {
    fn directive(self) -> &'static str {
        match self {
            Self::Silent => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl FromStr for LogLevel {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "silent" => Ok(Self::Silent),
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(UnknownWord("silent, error, warn, info, debug")),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            _ => Err(UnknownWord("json, pretty")),
        }
    }
}

pub(crate) fn dispatch(
    level: LogLevel,
    format: LogFormat,
    writer: BoxMakeWriter,
    tracer: &SdkTracerProvider,
) -> Dispatch {
    let traces = tracing_opentelemetry::layer()
        .with_tracer(tracer.tracer("causeway"))
        .with_location(false)
        .with_threads(false)
        .with_filter(filter("info"));
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(writer)
            .with_filter(filter(level.directive()))
            .boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer()
            .compact()
            .with_ansi(false)
            .with_writer(writer)
            .with_filter(filter(level.directive()))
            .boxed(),
    };
    Dispatch::new(Registry::default().with(traces).with(lines))
}

/// Directives are ours and tested, so a lossy parse loses none.
fn filter(level: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{level},{QUIET}"))
}
