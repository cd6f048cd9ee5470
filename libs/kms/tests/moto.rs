//! The provider against moto's server: the real SDK, real HTTP, and keys that are not ours.
//!
//! moto wraps and unwraps under a disabled key too, which AWS refuses: see `scripted.rs` for that refusal.

use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use aws_sdk_kms::{Client, Config, config};
use causeway_crypto::{CryptoError, DataKey, KeyContext, KeyError, KeyProvider, WrappedKey};
use causeway_kms::{AccessKey, KmsOptions, KmsProvider, Patience, is_kms_key};
use causeway_testkit::Moto;
use uuid::Uuid;

const REGION: &str = "eu-west-1";
const ALIAS: &str = "alias/causeway";

struct Aws {
    moto: Moto,
    client: Client,
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
        Some(Self {
            client: Client::from_conf(config.build()),
            moto,
        })
    }

    /// The ARN of a new key.
    async fn key(&self) -> String {
        let request = self.client.create_key().key_usage(KeyUsageType::EncryptDecrypt);
        let answer = request.send().await.expect("created");
        answer.key_metadata.expect("described").arn.expect("named")
    }

    async fn name(&self, key: &str) {
        let request = self.client.create_alias().alias_name(ALIAS).target_key_id(key);
        request.send().await.expect("named");
    }

    async fn provider(&self, key_id: &str) -> KmsProvider {
        KmsProvider::new(KmsOptions {
            key_id: key_id.to_owned(),
            region: REGION.to_owned(),
            endpoint_url: Some(self.moto.url().to_owned()),
            access_key: Some(AccessKey {
                id: "causeway".to_owned(),
                secret: "of the tests".into(),
            }),
            patience: Patience::default(),
        })
        .await
    }
}

fn context() -> KeyContext<'static> {
    KeyContext {
        workspace: Uuid::from_u128(1),
        version: 1,
        purpose: "workspace data",
    }
}

async fn same(provider: &KmsProvider, wrapped: &WrappedKey, key: &DataKey) -> bool {
    let unwrapped = provider.unwrap_key(wrapped, &context()).await.expect("unwrapped");
    unwrapped.expose_bytes() == key.expose_bytes()
}

#[tokio::test]
async fn a_generated_key_and_a_wrapped_one_come_back() {
    let Some(aws) = Aws::start().await else { return };
    let arn = aws.key().await;
    let provider = aws.provider(&arn).await;

    let (generated, wrapped) = provider.generate(&context()).await.expect("generated");
    assert_eq!(wrapped.key_id, arn);
    assert!(is_kms_key(&wrapped.key_id));
    assert!(same(&provider, &wrapped, &generated).await);

    let ours = DataKey::generate().expect("random bytes");
    let wrapped = provider.wrap(&ours, &context()).await.expect("wrapped");
    assert_eq!(wrapped.key_id, arn);
    assert!(same(&provider, &wrapped, &ours).await);
    let hidden = ours.expose_bytes();
    assert!(!wrapped.bytes.windows(hidden.len()).any(|bytes| bytes == hidden));
}

#[tokio::test]
async fn a_wrapped_key_belongs_to_one_workspace_version_and_purpose() {
    let Some(aws) = Aws::start().await else { return };
    let provider = aws.provider(&aws.key().await).await;
    let (_, wrapped) = provider.generate(&context()).await.expect("generated");
    let others = [
        KeyContext {
            workspace: Uuid::from_u128(2),
            ..context()
        },
        KeyContext {
            version: 2,
            ..context()
        },
        KeyContext {
            purpose: "other",
            ..context()
        },
    ];
    for other in others {
        let refused = provider.unwrap_key(&wrapped, &other).await.err();
        assert_eq!(
            refused,
            Some(KeyError::Refused(CryptoError::Altered)),
            "{other:?}"
        );
    }
    let mut altered = wrapped.clone();
    *altered.bytes.last_mut().expect("not empty") ^= 1;
    let refused = provider.unwrap_key(&altered, &context()).await.err();
    assert_eq!(refused, Some(KeyError::Refused(CryptoError::Altered)));
}

#[tokio::test]
async fn a_wrapped_key_that_names_another_key_does_not_open() {
    let Some(aws) = Aws::start().await else { return };
    let (arn, other) = (aws.key().await, aws.key().await);
    let provider = aws.provider(&arn).await;
    let (_, wrapped) = provider.generate(&context()).await.expect("generated");
    let claimed = WrappedKey {
        key_id: other,
        ..wrapped.clone()
    };
    assert!(provider.unwrap_key(&claimed, &context()).await.is_err());

    // Of an account that nobody configured: not even asked for.
    let foreign = WrappedKey {
        key_id: arn.replace("123456789012", "999999999999"),
        ..wrapped
    };
    let refused = provider.unwrap_key(&foreign, &context()).await.err();
    assert_eq!(refused, Some(KeyError::Unknown(foreign.key_id)));
}

#[tokio::test]
async fn an_alias_wraps_under_the_key_behind_it_and_may_move_on() {
    let Some(aws) = Aws::start().await else { return };
    let (first, second) = (aws.key().await, aws.key().await);
    aws.name(&first).await;
    let provider = aws.provider(ALIAS).await;
    assert_eq!(provider.active_id(), Some(ALIAS));
    assert_eq!(provider.active_key().await, Ok(first.clone()));
    let (key, wrapped) = provider.generate(&context()).await.expect("generated");
    assert_eq!(wrapped.key_id, first);

    let request = aws.client.update_alias().alias_name(ALIAS).target_key_id(&second);
    request.send().await.expect("moved");
    assert_eq!(provider.active_key().await, Ok(second.clone()));
    let under_second = provider.wrap(&key, &context()).await.expect("wrapped");
    assert_eq!(under_second.key_id, second);
    // Also for a process that has seen nothing but the new one.
    let fresh = aws.provider(ALIAS).await;
    assert!(same(&fresh, &wrapped, &key).await);
    assert!(same(&fresh, &under_second, &key).await);
}

#[tokio::test]
async fn a_key_that_cannot_wrap_says_so_before_it_is_used() {
    let Some(aws) = Aws::start().await else { return };
    let arn = aws.key().await;
    let provider = aws.provider(&arn).await;
    assert_eq!(provider.active_key().await, Ok(arn.clone()));

    // moto wants the id here.
    let (_, id) = arn.split_once('/').expect("an id");
    aws.client
        .disable_key()
        .key_id(id)
        .send()
        .await
        .expect("disabled");
    let disabled = Err(KeyError::Disabled(arn.clone()));
    assert_eq!(provider.active_key().await, disabled);
    aws.client.enable_key().key_id(id).send().await.expect("enabled");
    assert_eq!(provider.active_key().await, Ok(arn.clone()));
    let request = aws.client.schedule_key_deletion().key_id(id);
    request.send().await.expect("scheduled");
    assert_eq!(provider.active_key().await, disabled);

    let signing = aws
        .client
        .create_key()
        .key_usage(KeyUsageType::SignVerify)
        .key_spec(KeySpec::EccNistP256);
    let signing = signing
        .send()
        .await
        .expect("created")
        .key_metadata
        .expect("described");
    let provider = aws.provider(signing.key_id()).await;
    assert!(matches!(
        provider.active_key().await,
        Err(KeyError::Denied { .. })
    ));
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_unknown() {
    let Some(aws) = Aws::start().await else { return };
    let missing = format!("arn:aws:kms:{REGION}:123456789012:key/00000000-0000-4000-8000-000000000000");
    let provider = aws.provider(&missing).await;
    let unknown = KeyError::Unknown(missing);
    assert_eq!(provider.generate(&context()).await.err(), Some(unknown.clone()));
    assert_eq!(provider.active_key().await, Err(unknown));
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_outage() {
    let Some(aws) = Aws::start().await else { return };
    let provider = aws.provider(&aws.key().await).await;
    let (_, wrapped) = provider.generate(&context()).await.expect("generated");
    aws.moto.stop().await;
    let refused = provider.unwrap_key(&wrapped, &context()).await.err();
    assert!(matches!(refused, Some(KeyError::Unavailable(_))), "{refused:?}");
}
