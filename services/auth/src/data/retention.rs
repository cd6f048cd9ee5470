//! How long a workspace lets its history of sign-ins be kept (`retention_days`). Tenancy knows; what no workspace decided goes
//! with its age alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_contracts::tenancy::v1::ResolveTenantRequest;
use causeway_contracts::tenancy::v1::platform_service_client::PlatformServiceClient;
use causeway_mesh::{Mesh, MeshChannel};
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::store::{AuthStore, StoreError};

/// How often it is looked for what has become too old: a day more or less is what the setting says.
const PAUSE: Duration = Duration::from_secs(3600);
/// How long tenancy may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many workspaces are looked at together.
const PART: usize = 200;

/// History that was not looked at. It will be, an hour later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    /// The store.
    #[error("forget sign-ins")]
    Store(#[from] StoreError),
    /// Tenancy.
    #[error("ask tenancy how long a workspace keeps its history")]
    Tenancy(#[source] Box<Status>),
}

/// Who knows how long a workspace lets its history be kept.
#[async_trait]
pub(crate) trait Retentions: Send + Sync + 'static {
    /// The time; none where the workspace does not say, or is gone.
    async fn of(&self, workspace: WorkspaceId) -> Result<Option<TimeDelta>, Status>;
}

/// Tenancy knows.
pub(crate) struct MeshRetentions(PlatformServiceClient<MeshChannel>);

impl MeshRetentions {
    /// What tenancy knows.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self(PlatformServiceClient::new(mesh.to("tenancy")))
    }
}

#[async_trait]
impl Retentions for MeshRetentions {
    async fn of(&self, workspace: WorkspaceId) -> Result<Option<TimeDelta>, Status> {
        let mut request = Request::new(ResolveTenantRequest {
            workspace_id: workspace.to_string(),
        });
        request.set_timeout(PATIENCE);
        let days = match self.0.clone().resolve_tenant(request).await {
            Ok(tenant) => tenant.into_inner().retention_days,
            Err(status) if status.code() == Code::NotFound => 0,
            Err(status) => return Err(status),
        };
        Ok(Some(TimeDelta::days(days.into())).filter(|time| !time.is_zero()))
    }
}

/// Forgets what workspaces do not want to be kept any longer.
pub(crate) struct Retention {
    /// Where the history is.
    pub(crate) store: Arc<dyn AuthStore>,
    /// How long it is kept.
    pub(crate) retentions: Arc<dyn Retentions>,
    /// The time.
    pub(crate) clock: fn() -> DateTime<Utc>,
}

impl Retention {
    /// Works until it is stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    causeway_telemetry::report(&error, Uuid::now_v7(), "old sign-ins wait to be forgotten");
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(rounds).await;
    }

    /// Goes through all workspaces once.
    pub(crate) async fn round(&self) -> Result<(), RetentionError> {
        let (mut last, mut failed) = (None, None);
        loop {
            let workspaces = self.store.workspaces_with_history(last, PART).await?;
            for workspace in workspaces.iter().copied() {
                // What goes wrong in one workspace holds up no other one.
                if let Err(error) = self.forget(workspace).await {
                    failed = Some(error);
                }
            }
            last = workspaces.last().copied();
            if workspaces.len() < PART {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    async fn forget(&self, workspace: WorkspaceId) -> Result<(), RetentionError> {
        let kept = self.retentions.of(workspace).await;
        let kept = kept.map_err(|status| RetentionError::Tenancy(Box::new(status)))?;
        if let Some(time) = kept {
            self.store
                .forget_sign_ins(workspace, (self.clock)() - time)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use causeway_context::{SessionId, UserId};
    use causeway_outbox::MemoryOutbox;

    use super::*;
    use crate::domain::{NewSession, Session, Trace};
    use crate::store::MemoryStore;
    use crate::store::history::Slice;

    /// One workspace wants its history kept for 30 days.
    struct Thirty(WorkspaceId);

    #[async_trait]
    impl Retentions for Thirty {
        async fn of(&self, workspace: WorkspaceId) -> Result<Option<TimeDelta>, Status> {
            Ok((workspace == self.0).then(|| TimeDelta::days(30)))
        }
    }

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(number)
    }

    fn today() -> DateTime<Utc> {
        day(100)
    }

    #[tokio::test]
    async fn what_a_workspace_does_not_want_kept_is_forgotten_and_the_rest_is_not() {
        let (short, untouched) = (WorkspaceId::generate(), WorkspaceId::generate());
        let store: Arc<dyn AuthStore> = Arc::new(MemoryStore::new(MemoryOutbox::default()));
        let user = UserId::generate();
        for (workspace, number) in [(short, 69), (short, 71), (untouched, 20)] {
            let session = Session {
                id: SessionId::generate(),
                user,
                workspace,
                trace: Trace::default(),
                opened_at: day(number),
                last_used_at: day(number),
                idle_until: day(200),
                expires_at: day(200),
                closed_at: None,
            };
            let fact = crate::store::conformance::fact("Login");
            let new = NewSession {
                session,
                token: None,
                proof: None,
                password: None,
                without_factor: false,
            };
            store.open_session(&new, fact).await.expect("opened");
        }
        let retention = Retention {
            store: Arc::clone(&store),
            retentions: Arc::new(Thirty(short)),
            clock: today,
        };
        retention.round().await.expect("gone through");
        let all = Slice {
            size: 10,
            before: None,
        };
        let left = store.list_sign_ins(user, all).await.expect("read");
        let mut left: Vec<(WorkspaceId, DateTime<Utc>)> =
            left.into_iter().map(|one| (one.workspace, one.at)).collect();
        left.sort_by_key(|(_, at)| *at);
        assert_eq!(left, [(untouched, day(20)), (short, day(71))]);
    }
}
