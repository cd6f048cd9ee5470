//! Health that means it: a service is SERVING while its store answers, and says so under its own name.

use std::collections::BTreeSet;
use std::time::Duration;

use causeway_contracts::METHODS;
use futures::future::join_all;
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

    /// Asks every service once, all at the same time, and reports what they said.
    pub async fn check(&self) -> bool {
        let asked = self.services.iter().map(|(name, ready)| async move {
            let serving = tokio::time::timeout(PATIENCE, ready()).await.unwrap_or(false);
            self.report(name, status(serving)).await;
            serving
        });
        let all = join_all(asked).await.into_iter().all(|serving| serving);
        self.reporter.set_service_status("", status(all)).await;
        all
    }

    /// Checks again and again until `stop`; then says NOT_SERVING, so that balancers go elsewhere while requests are
    /// drained, and lets go of those who watch.
    pub async fn run(mut self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(CHECK_EVERY))
            .await
            .is_some()
        {
            stop.run_until_cancelled(self.check()).await;
        }
        let mut names = vec![""];
        names.extend(self.services.iter().flat_map(|(owner, _)| services_of(owner)));
        for name in names {
            self.reporter
                .set_service_status(name, ServingStatus::NotServing)
                .await;
            // A stream of `Watch` would keep its connection open for the whole grace period. It ends, after its last
            // word, when what it watches is made anew.
            self.reporter.clear_service_status(name).await;
            self.reporter
                .set_service_status(name, ServingStatus::NotServing)
                .await;
        }
    }

    async fn report(&self, owner: &str, status: ServingStatus) {
        for name in services_of(owner) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

fn status(serving: bool) -> ServingStatus {
    if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

/// The gRPC services that a service of the mesh answers.
fn services_of(owner: &str) -> BTreeSet<&'static str> {
    METHODS
        .iter()
        .filter(|method| method.owner == owner)
        .map(|method| method.service)
        .collect()
}

/// Whether the service behind `channel` says that it serves.
pub async fn is_serving(channel: MeshChannel, owner: &str) -> bool {
    let Some(service) = services_of(owner).into_iter().next() else {
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
