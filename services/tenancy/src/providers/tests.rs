//! Against moto's server, with the real SDK.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kms::types::KeyUsageType;
use aws_sdk_kms::{Client, Config, config};
use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, Role, method};
use causeway_crypto::LocalKeys;
use causeway_kms::{AccessKey, Patience};
use causeway_outbox::RelayHandle;
use causeway_testkit::Moto;
use chrono::DateTime;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::StartError;
use crate::domain::Ring;
use crate::domain::{SecretKind, SecretName, WorkspaceName};
use crate::error::TenancyError;
use crate::keys::KeyOperations;
use crate::service::{Defaults, Modes, Tenancy};
use crate::store::{KeyStore as _, MemoryStore};

const MASTER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const REGION: &str = "eu-west-1";

struct Aws {
    moto: Moto,
    client: Client,
    key: String,
}

impl Aws {
    async fn start() -> Option<Self> {
        let moto = Moto::start().await?;
        let credentials = config::Credentials::builder()
            .access_key_id("operator")
            .secret_access_key("of the tests")
            .provider_name("test");
        let config = Config::builder()
            .region(config::Region::new(REGION))
            .credentials_provider(credentials.build())
            .endpoint_url(moto.url());
        let client = Client::from_conf(config.build());
        let request = client.create_key().key_usage(KeyUsageType::EncryptDecrypt);
        let key = request.send().await.expect("created").key_metadata;
        let key = key.expect("described").arn.expect("named");
        Some(Self { moto, client, key })
    }

    fn options(&self) -> Option<KmsOptions> {
        Some(KmsOptions {
            key_id: self.key.clone(),
            region: REGION.to_owned(),
            endpoint_url: Some(self.moto.url().to_owned()),
            access_key: Some(AccessKey {
                id: "causeway".to_owned(),
                secret: "of the tests".into(),
            }),
            patience: Patience::default(),
        })
    }

    fn active(&self) -> KmsKeys {
        KmsKeys {
            active: self.options(),
            previous: None,
        }
    }

    fn previous(&self) -> KmsKeys {
        KmsKeys {
            active: None,
            previous: self.options(),
        }
    }
}

fn ring() -> LocalRing {
    let keys = LocalKeys {
        master: Some(SecretString::from(MASTER)),
        ..LocalKeys::default()
    };
    LocalRing::new(&keys, false).expect("a ring")
}

/// A process over `store`.
async fn process(store: &Arc<MemoryStore>, ring: LocalRing, kms: KmsKeys) -> Tenancy {
    let defaults = Defaults {
        region: "eu-central-1".to_owned(),
        rate_tier: None,
        demo: false,
        modes: Modes::default(),
    };
    let providers = Arc::new(Providers::new(ring, kms).await);
    Tenancy::new(
        Arc::clone(store) as _,
        providers,
        RelayHandle::detached(),
        defaults,
    )
}

fn context(rpc: &str, caller: Caller) -> CallContext {
    let rpc = method(&format!("/causeway.tenancy.v1.TenancyService/{rpc}")).expect("an RPC");
    CallContext::new(caller, rpc, RequestId::generate(), DateTime::UNIX_EPOCH)
}

async fn owner(tenancy: &Tenancy) -> Caller {
    let (user, id) = (UserId::generate(), WorkspaceId::generate());
    let ctx = context("ProvisionWorkspace", Caller::service("auth"));
    let name = WorkspaceName::parse("Acme").expect("a name");
    tenancy
        .provision_workspace(&ctx, id, name, user)
        .await
        .expect("made");
    Caller::person(CallerKind::User, user, id, &[Role::Owner], &[], "s".to_owned())
}

async fn put(tenancy: &Tenancy, owner: &Caller, value: &str) -> Result<(), TenancyError> {
    let ctx = context("PutSecret", owner.clone());
    let name = SecretName::parse("openai").expect("a name");
    let value = SecretString::from(value);
    tenancy
        .put_secret(&ctx, &name, SecretKind::LlmProvider, &value)
        .await
        .map(drop)
}

async fn reveal(tenancy: &Tenancy, owner: &Caller) -> Result<String, TenancyError> {
    let ctx = context("RevealSecret", owner.clone());
    let name = SecretName::parse("openai").expect("a name");
    let (value, _) = tenancy.reveal_secret(&ctx, &name).await?;
    Ok(value.expose_secret().to_owned())
}

async fn wrapped_by(store: &MemoryStore, owner: &Caller) -> String {
    let workspace = owner.workspace.expect("has one");
    let key = store.find_active_key(workspace, Ring::Data).await.expect("read");
    key.expect("made").wrapped.expect("alive").key_id
}

#[tokio::test]
async fn what_the_ring_wrapped_stays_readable_when_kms_takes_over_and_the_other_way_round() {
    let Some(aws) = Aws::start().await else { return };
    let store = Arc::new(MemoryStore::default());
    let before = process(&store, ring(), KmsKeys::default()).await;
    let early = owner(&before).await;
    put(&before, &early, "sk-early").await.expect("stored");
    assert!(wrapped_by(&store, &early).await.starts_with("master-"));

    let with_kms = process(&store, ring(), aws.active()).await;
    assert_eq!(reveal(&with_kms, &early).await.expect("shown"), "sk-early");
    let late = owner(&with_kms).await;
    put(&with_kms, &late, "sk-late").await.expect("stored");
    assert_eq!(wrapped_by(&store, &late).await, aws.key);

    let after = process(&store, ring(), aws.previous()).await;
    assert_eq!(reveal(&after, &early).await.expect("shown"), "sk-early");
    assert_eq!(reveal(&after, &late).await.expect("shown"), "sk-late");
    let last = owner(&after).await;
    put(&after, &last, "sk-last").await.expect("stored");
    assert!(wrapped_by(&store, &last).await.starts_with("master-"));

    let without = process(&store, ring(), KmsKeys::default()).await;
    let refused = reveal(&without, &late).await.err();
    assert!(
        matches!(&refused, Some(TenancyError::Key(KeyError::Unknown(key))) if *key == aws.key),
        "{refused:?}"
    );
}

#[tokio::test]
async fn kms_alone_needs_no_key_of_the_process_and_names_the_one_that_is_gone() {
    let Some(aws) = Aws::start().await else { return };
    let store = Arc::new(MemoryStore::default());
    let none = || LocalRing::new(&LocalKeys::default(), false).expect("a ring");
    let local = process(&store, ring(), KmsKeys::default()).await;
    let early = owner(&local).await;
    put(&local, &early, "sk-early").await.expect("stored");

    let kms = process(&store, none(), aws.active()).await;
    let late = owner(&kms).await;
    put(&kms, &late, "sk-late").await.expect("stored");
    assert_eq!(reveal(&kms, &late).await.expect("shown"), "sk-late");
    let refused = reveal(&kms, &early).await.err();
    assert!(
        matches!(refused, Some(TenancyError::Key(KeyError::Unknown(_)))),
        "{refused:?}"
    );
}

/// KEY-07.
#[tokio::test]
async fn in_an_outage_of_kms_a_warm_process_reads_on_and_a_cold_one_asks_for_patience() {
    let Some(aws) = Aws::start().await else { return };
    let store = Arc::new(MemoryStore::default());
    let warm = process(&store, ring(), aws.active()).await;
    let owner = owner(&warm).await;
    put(&warm, &owner, "sk-1").await.expect("stored");
    let cold = process(&store, ring(), aws.active()).await;
    aws.moto.stop().await;

    assert_eq!(reveal(&warm, &owner).await.expect("shown"), "sk-1");
    put(&warm, &owner, "sk-2").await.expect("also written");
    assert_eq!(reveal(&warm, &owner).await.expect("shown"), "sk-2");
    let refused = reveal(&cold, &owner).await.expect_err("refused").to_api();
    assert_eq!(refused.reason, "KEY_UNAVAILABLE");
    assert!(refused.retry_after.is_some());

    // The clock of the cache goes on; the network's does not stand still for it.
    let after = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        reveal(&warm, &owner).await
    };
    assert_eq!(after(240).await.expect("still shown"), "sk-2");
    let refused = after(60).await.expect_err("its time is over").to_api();
    assert_eq!(refused.reason, "KEY_UNAVAILABLE");
}

#[tokio::test]
async fn a_key_that_cannot_be_used_stops_a_start_that_needs_it_and_an_outage_does_not() {
    let Some(aws) = Aws::start().await else { return };
    let providers = Providers::new(ring(), aws.active()).await;
    crate::try_kms(&providers, true).await.expect("usable");
    let (_, id) = aws.key.split_once('/').expect("an id");
    aws.client
        .disable_key()
        .key_id(id)
        .send()
        .await
        .expect("disabled");
    let refused = crate::try_kms(&providers, true).await;
    assert!(
        matches!(refused, Err(StartError::Kms(KeyError::Disabled(_)))),
        "{refused:?}"
    );
    crate::try_kms(&providers, false).await.expect("only told");
    aws.moto.stop().await;
    crate::try_kms(&providers, true).await.expect("only told");
}

/// ROT-06.
#[tokio::test]
async fn data_keys_move_into_kms_and_back_and_the_former_wrapper_can_go() {
    let Some(aws) = Aws::start().await else { return };
    let store = Arc::new(MemoryStore::default());
    let none = || LocalRing::new(&LocalKeys::default(), false).expect("a ring");
    let local = process(&store, ring(), KmsKeys::default()).await;
    let owner = owner(&local).await;
    put(&local, &owner, "sk-1").await.expect("stored");
    let rewrap = async |ring: LocalRing, kms: KmsKeys| {
        let providers = Providers::new(ring, kms).await;
        let operations = KeyOperations::new(Arc::clone(&store) as _, Arc::new(providers));
        operations.rewrap(|_| {}).await.expect("wrapped")
    };

    assert_eq!(rewrap(ring(), aws.active()).await.rewrapped, 1);
    assert_eq!(wrapped_by(&store, &owner).await, aws.key);
    let kms_alone = process(&store, none(), aws.active()).await;
    assert_eq!(reveal(&kms_alone, &owner).await.expect("shown"), "sk-1");

    assert_eq!(rewrap(ring(), aws.previous()).await.rewrapped, 1);
    assert!(wrapped_by(&store, &owner).await.starts_with("master-"));
    let ring_alone = process(&store, ring(), KmsKeys::default()).await;
    assert_eq!(reveal(&ring_alone, &owner).await.expect("shown"), "sk-1");
}
