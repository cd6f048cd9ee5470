//! The provider against moto's server: the real SDK, real HTTP, and keys that are not ours (KEY-06, KEY-07).
//!
//! moto wraps and unwraps under a disabled key too, which AWS refuses: see `scripted.rs` for that refusal. It has no
//! quotas: a front before it throttles.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use aws_sdk_kms::{Client, Config, config};
use causeway_crypto::{CryptoError, DataKey, KeyContext, KeyError, KeyProvider, WrappedKey};
use causeway_kms::{AccessKey, KmsOptions, KmsProvider, Patience, is_kms_key};
use causeway_testkit::Moto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
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
        self.provider_by(self.moto.url(), key_id, Patience::default())
            .await
    }

    async fn provider_by(&self, url: &str, key_id: &str, patience: Patience) -> KmsProvider {
        KmsProvider::new(KmsOptions {
            key_id: key_id.to_owned(),
            region: REGION.to_owned(),
            endpoint_url: Some(url.to_owned()),
            access_key: Some(AccessKey {
                id: "causeway".to_owned(),
                secret: "of the tests".into(),
            }),
            patience,
        })
        .await
    }
}

/// A way to moto that answers some requests itself, as AWS does to an account that asked too often.
struct Front {
    url: String,
    throttles: Arc<AtomicUsize>,
    throttled: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Front {
    async fn before(moto: &Moto) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let behind = moto
            .url()
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let (throttles, throttled) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let mut server = JoinSet::new();
        let (left, count) = (Arc::clone(&throttles), Arc::clone(&throttled));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (left, count, behind) = (Arc::clone(&left), Arc::clone(&count), behind.clone());
                connections.spawn(async move {
                    let took =
                        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                    if took.is_ok() {
                        count.fetch_add(1, Ordering::SeqCst);
                        throttle(client).await;
                    } else {
                        pass(client, &behind).await;
                    }
                });
            }
        });
        Self {
            url,
            throttles,
            throttled,
            _server: server,
        }
    }

    /// Throttles so many of the next connections, each of which asks once then.
    fn throttle(&self, connections: usize) {
        self.throttles.store(connections, Ordering::SeqCst);
    }
}

async fn throttle(mut client: TcpStream) {
    const BODY: &str = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
    // The request is short: what it says does not matter, only that it was sent.
    let _ = client.read(&mut vec![0; 16_384]).await;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
}

async fn pass(mut client: TcpStream, behind: &str) {
    if let Ok(mut server) = TcpStream::connect(behind).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
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

/// KEY-07: throttling is waited out, and does not become a storm.
#[tokio::test]
async fn a_throttled_account_is_asked_again_after_a_while_and_not_without_end() {
    let Some(aws) = Aws::start().await else { return };
    let front = Front::before(&aws.moto).await;
    let patience = Patience {
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        ..Patience::default()
    };
    let provider = aws.provider_by(&front.url, &aws.key().await, patience).await;
    front.throttle(2);
    let (key, wrapped) = provider.generate(&context()).await.expect("generated");
    assert_eq!(front.throttled.load(Ordering::SeqCst), 2);
    assert!(same(&provider, &wrapped, &key).await);

    let fresh = aws.provider_by(&front.url, &wrapped.key_id, patience).await;
    front.throttle(1000);
    let refused = fresh.unwrap_key(&wrapped, &context()).await.err();
    assert!(matches!(refused, Some(KeyError::Unavailable(_))), "{refused:?}");
    let attempts = front.throttled.load(Ordering::SeqCst) - 2;
    assert_eq!(u32::try_from(attempts).expect("few"), patience.attempts);

    front.throttle(0);
    assert!(same(&fresh, &wrapped, &key).await);
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
