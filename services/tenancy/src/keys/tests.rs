use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use causeway_context::{CallContext, Caller, RequestId, UserId};
use causeway_contracts::{Role, method};
use causeway_crypto::{KeyCause, KeyError, LocalKeys, LocalRing, WrappedKey};
use causeway_errors::Code;
use causeway_outbox::OutboxEvent;
use tokio::task::JoinSet;
use tokio::time::advance;

use super::*;
use crate::domain::{Member, Workspace, WorkspaceName};
use crate::store::{MemoryStore, WorkspaceStore as _};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// A key service that can be away, and counts how often it unwraps.
struct Service {
    ring: LocalRing,
    away: AtomicBool,
    unwrapped: AtomicUsize,
}

impl Service {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            ring: LocalRing::new(&LocalKeys::default(), true).expect("a ring"),
            away: AtomicBool::new(false),
            unwrapped: AtomicUsize::new(0),
        })
    }

    fn goes(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    async fn answers(&self) -> Result<(), KeyError> {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        if self.away.load(Ordering::Relaxed) {
            return Err(KeyError::Unavailable(KeyCause::new("away")));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyProvider for Service {
    fn active_id(&self) -> Option<&str> {
        self.ring.active_id()
    }

    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError> {
        self.answers().await?;
        self.ring.wrap(key, context).await
    }

    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError> {
        self.unwrapped.fetch_add(1, Ordering::Relaxed);
        self.answers().await?;
        self.ring.unwrap_key(wrapped, context).await
    }
}

async fn workspace(store: &MemoryStore) -> WorkspaceId {
    let (id, user) = (WorkspaceId::generate(), UserId::generate());
    let workspace = Workspace {
        id,
        name: WorkspaceName::parse("Acme").expect("a name"),
        region: "us-east-1".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    };
    let owner = Member {
        workspace: id,
        user,
        role: Role::Owner.into(),
        joined_at: NOW,
    };
    let rpc = method("/causeway.tenancy.v1.TenancyService/ProvisionWorkspace").expect("an RPC");
    let ctx = CallContext::new(Caller::service("auth"), rpc, RequestId::generate(), NOW);
    let fact = OutboxEvent::of(&ctx).expect("audited").in_workspace(id);
    store
        .create_workspace(&workspace, &owner, fact)
        .await
        .expect("made");
    id
}

async fn keys() -> (Arc<Service>, Arc<MemoryStore>, DataKeys, WorkspaceId) {
    let (service, store) = (Service::new(), Arc::new(MemoryStore::default()));
    let id = workspace(&store).await;
    let keys = DataKeys::new(Arc::clone(&store) as _, Arc::clone(&service) as _);
    (service, store, keys, id)
}

fn refusal(answer: Result<UsableKey, TenancyError>) -> (Code, String, Option<Duration>) {
    let error = answer.err().expect("refused").to_api();
    (error.code, error.reason.into_owned(), error.retry_after)
}

/// KEY-07.
#[tokio::test(start_paused = true)]
async fn in_an_outage_keys_are_given_out_until_their_time_is_over() {
    let (service, _store, keys, id) = keys().await;
    keys.active(id, Ring::Data, NOW).await.expect("made");
    service.goes(true);
    advance(Duration::from_secs(299)).await;
    for _ in 0..3 {
        keys.version(id, Ring::Data, FIRST_VERSION)
            .await
            .expect("remembered");
        keys.active(id, Ring::Data, NOW).await.expect("remembered");
    }
    assert_eq!(service.unwrapped.load(Ordering::Relaxed), 0);

    advance(Duration::from_secs(1)).await;
    let soon = Some(Duration::from_secs(1));
    let refused = refusal(keys.version(id, Ring::Data, FIRST_VERSION).await);
    assert_eq!(refused, (Code::Unavailable, "KEY_UNAVAILABLE".to_owned(), soon));

    service.goes(false);
    advance(Duration::from_secs(1)).await;
    keys.version(id, Ring::Data, FIRST_VERSION)
        .await
        .expect("unwrapped again");
}

#[tokio::test]
async fn a_workspace_without_a_key_gets_none_in_an_outage() {
    use crate::store::KeyStore as _;
    let (service, store, keys, id) = keys().await;
    service.goes(true);
    let (code, reason, _) = refusal(keys.active(id, Ring::Data, NOW).await);
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "KEY_UNAVAILABLE"));
    assert!(
        store
            .find_active_key(id, Ring::Data)
            .await
            .expect("read")
            .is_none()
    );
    service.goes(false);
    keys.active(id, Ring::Data, NOW).await.expect("made");
}

/// KEY-07.
#[tokio::test]
async fn many_readers_of_a_cold_key_unwrap_it_once() {
    let (service, store, warm, id) = keys().await;
    warm.active(id, Ring::Data, NOW).await.expect("made");
    let cold = Arc::new(DataKeys::new(store as _, Arc::clone(&service) as _));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let cold = Arc::clone(&cold);
        tasks.spawn(async move { cold.version(id, Ring::Data, FIRST_VERSION).await });
    }
    for key in tasks.join_all().await {
        key.expect("unwrapped");
    }
    assert_eq!(service.unwrapped.load(Ordering::Relaxed), 1);
}

/// KEY-07, on two replicas with warm caches.
#[tokio::test]
async fn a_destroyed_key_is_gone_whatever_is_remembered_and_nobody_is_asked_twice() {
    use crate::store::KeyStore as _;
    let (service, store, keys, id) = keys().await;
    keys.active(id, Ring::Data, NOW).await.expect("made");
    let other_replica = DataKeys::new(Arc::clone(&store) as _, Arc::clone(&service) as _);
    let warm = other_replica.version(id, Ring::Data, FIRST_VERSION).await;
    warm.expect("unwrapped");
    assert_eq!(store.destroy_keys(id, NOW).await.expect("destroyed"), 1);
    for keys in [&keys, &other_replica] {
        let refused = refusal(keys.version(id, Ring::Data, FIRST_VERSION).await);
        assert_eq!(refused, (Code::DataLoss, "KEY_DESTROYED".to_owned(), None));
        let place = KeyPlace {
            ring: Ring::Data,
            version: FIRST_VERSION,
        };
        assert!(keys.cache().is_destroyed(id, place));
    }
    for ring in Ring::ALL {
        let (_, reason, _) = refusal(keys.active(id, ring, NOW).await);
        assert_eq!(reason, "KEY_DESTROYED", "no new key is made: {ring:?}");
    }
}

#[tokio::test]
async fn only_an_outage_is_worth_trying_again() {
    let denied = KeyError::Denied {
        key_id: "k".to_owned(),
        cause: KeyCause::new("no"),
    };
    for lasting in [
        KeyError::Missing,
        KeyError::Unknown("k".to_owned()),
        KeyError::Disabled("k".to_owned()),
        denied,
    ] {
        let error = TenancyError::Key(lasting).to_api();
        assert_eq!(
            (error.reason.as_ref(), error.retry_after),
            ("KEY_UNAVAILABLE", None)
        );
    }
    let away = KeyError::Unavailable(KeyCause::new("away"));
    assert!(TenancyError::Key(away).to_api().retry_after.is_some());
}
