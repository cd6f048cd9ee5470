//! One request, one trace, over every process that took part.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::http::Client;
use crate::processes::Fleet;

/// What an OTLP collector was sent: process names by trace, and processes that sent metrics.
#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Seen>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Seen {
    spans: BTreeSet<(String, String)>,
    metrics: BTreeSet<String>,
}

impl Collector {
    /// Waits until the collector has seen enough.
    async fn wait_until(&self, enough: impl Fn(&Seen) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if enough(&self.seen.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(90), wait).await;
        assert!(waited.is_ok(), "{:?}", self.seen.lock().unwrap().spans);
    }
}

fn process(resource: Option<Resource>) -> String {
    let attributes = resource.map(|resource| resource.attributes).unwrap_or_default();
    let name = attributes
        .into_iter()
        .find(|attribute| attribute.key == "service.name");
    match name
        .and_then(|attribute| attribute.value)
        .and_then(|value| value.value)
    {
        Some(Value::StringValue(name)) => name,
        _ => String::new(),
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let process = process(resource.resource);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let traces = spans.map(|span| {
                span.trace_id
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            });
            self.seen
                .lock()
                .unwrap()
                .spans
                .extend(traces.map(|trace| (trace, process.clone())));
        }
        self.changed.notify_waiters();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let processes = request
            .into_inner()
            .resource_metrics
            .into_iter()
            .map(|metrics| process(metrics.resource));
        self.seen.lock().unwrap().metrics.extend(processes);
        self.changed.notify_waiters();
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_is_one_trace_over_every_process() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut servers = JoinSet::new();
    let server = Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()));
    servers.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let Some(fleet) = Fleet::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())]).await else {
        return;
    };
    let trace = Uuid::new_v4().simple().to_string();
    let client = Client::new(&fleet.base).header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let email = format!("trace-{trace}@example.com");
    let body =
        json!({"email": email, "password": "correct horse battery staple", "workspace_name": "traced"});
    client.post("/auth/register", body).await.json(201);

    let expected = ["causeway-gateway", "causeway-auth", "causeway-tenancy"];
    collector
        .wait_until(|seen| {
            expected
                .iter()
                .all(|process| seen.spans.contains(&(trace.clone(), (*process).to_owned())))
        })
        .await;
}
