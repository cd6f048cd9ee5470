//! The tracer and meter providers with their OTLP exporters and the Prometheus reader.

use std::time::Duration;

use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tonic::transport::ClientTlsConfig;

use crate::{Meter, TelemetryError};

const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
const METRIC_INTERVAL: Duration = Duration::from_secs(30);

/// Without an endpoint spans carry their trace on and are not recorded of our own accord.
pub(crate) fn tracer(service: &str, endpoint: Option<&str>) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder().with_resource(resource(service));
    let Some(endpoint) = endpoint else {
        return Ok(builder
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .build());
    };
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_tls_config(tls(endpoint)?)
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| TelemetryError::Endpoint(Some(error)))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
    Ok(builder
        .with_sampler(sampler)
        .with_batch_exporter(exporter)
        .build())
}

/// One meter, read by Prometheus and, with an endpoint, pushed by OTLP.
pub(crate) fn meter(service: &str, endpoint: Option<&str>) -> Result<Meter, TelemetryError> {
    let registry = prometheus::Registry::new();
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        // The instruments carry their full Prometheus name, which is then the same in both exports.
        .without_units()
        .without_counter_suffixes()
        .scope_info_enabled(false)
        .build()
        .map_err(TelemetryError::Prometheus)?;
    let mut builder = SdkMeterProvider::builder()
        .with_resource(resource(service))
        .with_reader(reader);
    if let Some(endpoint) = endpoint {
        let exporter = MetricExporter::builder()
            .with_tonic()
            .with_tls_config(tls(endpoint)?)
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| TelemetryError::Endpoint(Some(error)))?;
        builder = builder.with_reader(
            PeriodicReader::builder(exporter)
                .with_interval(METRIC_INTERVAL)
                .build(),
        );
    }
    Ok(Meter {
        provider: builder.build(),
        registry,
    })
}

fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn tls(endpoint: &str) -> Result<ClientTlsConfig, TelemetryError> {
    let uri: Uri = endpoint.parse().map_err(|_| TelemetryError::Endpoint(None))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(ClientTlsConfig::new().with_enabled_roots()),
        _ => Err(TelemetryError::Endpoint(None)),
    }
}
