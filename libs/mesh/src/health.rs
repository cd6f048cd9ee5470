//! Health that means it: a service is SERVING while its store answers, and says so under its own name.

use std::time::Duration;

use causeway_contracts::METHODS;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as WireStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;

use crate::channel::MeshChannel;
use crate::service::Readiness;

const CHECK_EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps `grpc.health.v1.Health` true for the services of this process.
pub struct Health {
    reporter: HealthReporter,
    services: Vec<(&'static str, Readiness)>,
}

impl Health {
    /// For services by their mesh names.
    pub fn new(reporter: HealthReporter, services: Vec<(&'static str, Readiness)>) -> Self {
        Self { reporter, services }
    }

    /// Asks every service once and reports what it said.
    pub async fn check(&self) -> bool {
        let mut all = true;
        for (name, ready) in &self.services {
            let serving = tokio::time::timeout(PATIENCE, ready()).await.unwrap_or(false);
            all &= serving;
            self.report(
                name,
                if serving {
                    ServingStatus::Serving
                } else {
                    ServingStatus::NotServing
                },
            )
            .await;
        }
        let whole = if all {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        self.reporter.set_service_status("", whole).await;
        all
    }

    /// Checks again and again until `stop`; then says NOT_SERVING, so that balancers go elsewhere while requests are
    /// drained.
    pub async fn run(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(CHECK_EVERY))
            .await
            .is_some()
        {
            self.check().await;
        }
        for (name, _) in &self.services {
            self.report(name, ServingStatus::NotServing).await;
        }
        self.reporter
            .set_service_status("", ServingStatus::NotServing)
            .await;
    }

    async fn report(&self, owner: &str, status: ServingStatus) {
        let mut names: Vec<&str> = METHODS
            .iter()
            .filter(|method| method.owner == owner)
            .map(|method| method.service)
            .collect();
        names.dedup();
        for name in names {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Whether the service behind `channel` says that it serves.
pub async fn is_serving(channel: MeshChannel, owner: &str) -> bool {
    let Some(service) = METHODS
        .iter()
        .find(|method| method.owner == owner)
        .map(|method| method.service)
    else {
        return false;
    };
    let mut client = HealthClient::new(channel);
    let check = client.check(HealthCheckRequest {
        service: service.to_owned(),
    });
    match tokio::time::timeout(PATIENCE, check).await {
        Ok(Ok(answer)) => answer.into_inner().status() == WireStatus::Serving,
        Ok(Err(_)) | Err(_) => false,
    }
}
