//! Where a tenant is served and how often it may call. Tenancy knows; it is asked once for many requests, and what it
//! said is remembered for a moment, and for longer while it is away (docs/decisions/0010).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use causeway_context::{Caller, RateTier, RequestId, WorkspaceId};
use causeway_contracts::tenancy::v1::ResolveTenantRequest;
use causeway_contracts::tenancy::v1::platform_service_client::PlatformServiceClient;
use causeway_mesh::{Mesh, OnBehalf};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

/// For so long a change of region or tier may go unseen.
const FRESH: Duration = Duration::from_secs(30);
/// An id that is none may become one.
const UNKNOWN_FRESH: Duration = Duration::from_secs(5);
/// How long it takes until tenancy is asked again that was away.
const PAUSE: Duration = Duration::from_secs(1);
/// What was said counts for so long while tenancy is away.
const STALE: Duration = Duration::from_secs(600);
/// How long tenancy may think.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tenants that are remembered at once.
const MOST: usize = 10_000;

/// What the door needs to know of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// Its home.
    pub(crate) region: String,
    /// How often it may call.
    pub(crate) rate_tier: RateTier,
}

/// Tenancy is away, and nothing is remembered that still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Away;

/// A tenant, or that the id is none.
type Answer = Result<Option<Arc<Tenant>>, Away>;

/// What tenancy said of tenants.
pub(crate) struct Tenants {
    most: usize,
    entries: Mutex<HashMap<WorkspaceId, Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    known: Mutex<Option<Known>>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    answer: Answer,
    /// When tenancy said it.
    said_at: Instant,
    fresh_until: Instant,
}

impl Tenants {
    pub(crate) fn new() -> Self {
        Self::of(MOST)
    }

    fn of(most: usize) -> Self {
        Self {
            most,
            entries: Mutex::new(HashMap::new()),
        }
    }

    /// The tenant with that id; nothing if there is none.
    ///
    /// # Errors
    /// [`Away`].
    pub(crate) async fn find(&self, mesh: &Mesh, request_id: &RequestId, id: WorkspaceId) -> Answer {
        self.find_by(id, || ask(mesh, request_id.clone(), id)).await
    }

    async fn find_by<F>(&self, id: WorkspaceId, ask: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = Result<Option<Tenant>, Status>>,
    {
        let entry = self.entry(id);
        if let Some(answer) = entry.fresh() {
            return answer;
        }
        // Who waits here gets what the one before was told.
        let _one = entry.asking.lock().await;
        if let Some(answer) = entry.fresh() {
            return answer;
        }
        match tokio::time::timeout(PATIENCE, ask()).await {
            Ok(Ok(tenant)) => entry.learn(tenant),
            Ok(Err(status)) => {
                tracing::warn!(code = ?status.code(), "tenancy did not say where a tenant is served");
                entry.go_on()
            }
            Err(_) => {
                tracing::warn!("tenancy did not say in time where a tenant is served");
                entry.go_on()
            }
        }
    }

    fn entry(&self, id: WorkspaceId) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains_key(&id) && entries.len() >= self.most {
            let any = entries.keys().next().copied();
            any.map(|any| entries.remove(&any));
        }
        Arc::clone(entries.entry(id).or_default())
    }
}

impl Entry {
    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> Option<Answer> {
        let known = self.known();
        let fresh = known.as_ref().filter(|known| Instant::now() < known.fresh_until);
        fresh.map(|known| known.answer.clone())
    }

    fn learn(&self, tenant: Option<Tenant>) -> Answer {
        let now = Instant::now();
        let fresh = if tenant.is_some() { FRESH } else { UNKNOWN_FRESH };
        let answer = Ok(tenant.map(Arc::new));
        *self.known() = Some(Known {
            answer: answer.clone(),
            said_at: now,
            fresh_until: now + fresh,
        });
        answer
    }

    /// What was said before goes on to count for a while; without that nobody asks again at once either.
    fn go_on(&self) -> Answer {
        let now = Instant::now();
        let mut known = self.known();
        let before = known
            .take()
            .filter(|known| now.duration_since(known.said_at) < STALE);
        let (answer, said_at) = before.map_or((Err(Away), now), |known| (known.answer, known.said_at));
        *known = Some(Known {
            answer: answer.clone(),
            said_at,
            fresh_until: now + PAUSE,
        });
        answer
    }
}

async fn ask(mesh: &Mesh, request_id: RequestId, id: WorkspaceId) -> Result<Option<Tenant>, Status> {
    let mut request = Request::new(ResolveTenantRequest {
        workspace_id: id.to_string(),
    });
    request.extensions_mut().insert(OnBehalf {
        caller: Caller::service("gateway"),
        request_id,
    });
    let mut tenancy = PlatformServiceClient::new(mesh.to("tenancy"));
    match tenancy.resolve_tenant(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            Ok(Some(Tenant {
                region: answer.region,
                // A tier of another release: what a workspace has about which nothing was decided.
                rate_tier: RateTier::parse(&answer.rate_tier).unwrap_or(RateTier::Standard),
            }))
        }
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn tenant(region: &str) -> Tenant {
        Tenant {
            region: region.to_owned(),
            rate_tier: RateTier::Free,
        }
    }

    async fn told(tenants: &Tenants, id: WorkspaceId, answer: Result<Option<Tenant>, Status>) -> Answer {
        tenants.find_by(id, || async { answer }).await
    }

    async fn remembered(tenants: &Tenants, id: WorkspaceId) -> Answer {
        told(tenants, id, Err(Status::unavailable("away"))).await
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_counts_for_half_a_minute() {
        let (tenants, id) = (Tenants::new(), WorkspaceId::generate());
        let eu = Ok(Some(Arc::new(tenant("eu"))));
        assert_eq!(told(&tenants, id, Ok(Some(tenant("eu")))).await, eu);
        pass(FRESH - PAUSE).await;
        assert_eq!(told(&tenants, id, Ok(Some(tenant("us")))).await, eu);
        pass(PAUSE).await;
        let us = Ok(Some(Arc::new(tenant("us"))));
        assert_eq!(told(&tenants, id, Ok(Some(tenant("us")))).await, us);
        let other = WorkspaceId::generate();
        assert_eq!(told(&tenants, other, Ok(None)).await, Ok(None));
        pass(UNKNOWN_FRESH).await;
        assert_eq!(told(&tenants, other, Ok(Some(tenant("eu")))).await, eu);
    }

    #[tokio::test(start_paused = true)]
    async fn while_tenancy_is_away_what_was_said_goes_on_to_count_for_a_time() {
        let (tenants, id) = (Tenants::new(), WorkspaceId::generate());
        assert_eq!(remembered(&tenants, id).await, Err(Away));
        let eu = Ok(Some(Arc::new(tenant("eu"))));
        assert_eq!(
            told(&tenants, id, Ok(Some(tenant("eu")))).await,
            Err(Away),
            "asked again after a pause"
        );
        pass(PAUSE).await;
        assert_eq!(told(&tenants, id, Ok(Some(tenant("eu")))).await, eu);
        pass(STALE - PAUSE).await;
        assert_eq!(remembered(&tenants, id).await, eu);
        pass(PAUSE).await;
        assert_eq!(remembered(&tenants, id).await, Err(Away));
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_are_one_question_and_none_waits_for_ever() {
        let (tenants, id, asked) = (Tenants::new(), WorkspaceId::generate(), AtomicUsize::new(0));
        let slow = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Some(tenant("eu")))
        };
        let answers = futures::future::join_all((0..20).map(|_| tenants.find_by(id, slow))).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let never = tenants
            .find_by(WorkspaceId::generate(), std::future::pending)
            .await;
        assert_eq!(never, Err(Away));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let tenants = Tenants::of(3);
        for _ in 0..10 {
            let answer = told(&tenants, WorkspaceId::generate(), Ok(Some(tenant("eu")))).await;
            assert!(answer.is_ok());
        }
        assert_eq!(tenants.entries.lock().unwrap().len(), 3);
    }
}
