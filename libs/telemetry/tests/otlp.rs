//! What an OTLP collector receives.
#![expect(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use causeway_telemetry::{CapturedLog, TelemetryOptions, init, metrics};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

impl Collector {
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request
            .into_inner()
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        self.0
            .lock()
            .unwrap()
            .extend(spans.flat_map(|scope| scope.spans).map(|span| span.name));
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request
            .into_inner()
            .resource_metrics
            .into_iter()
            .flat_map(|resource| resource.scope_metrics);
        self.0
            .lock()
            .unwrap()
            .extend(scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name));
        Ok(Response::new(Default::default()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server ends with the runtime of the test"
)]
async fn collector() -> (Collector, String) {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (collector, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_arrive_before_shutdown_returns_and_a_dead_collector_does_not_hold_it() {
    let (collector, endpoint) = collector().await;
    let options = |endpoint: &str| TelemetryOptions {
        otlp_endpoint: Some(endpoint.to_owned()),
        writer: Some(BoxMakeWriter::new(CapturedLog::default())),
        ..TelemetryOptions::new("causeway-test")
    };
    let telemetry = init(options(&endpoint)).unwrap();
    tracing::info_span!("the work").in_scope(|| tracing::info!("done"));
    metrics::record_call("server", "llm", "Generate", "OK", 0.01);
    telemetry.shutdown().await;
    assert_eq!(collector.names(), ["the work", "causeway_mesh_call_seconds"]);

    let unbound = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let telemetry = init(options(&format!("http://{unbound}"))).unwrap();
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        drop(tracing::info_span!("lost").entered())
    });
    let start = Instant::now();
    telemetry.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(7));
}
