use std::collections::HashMap;

use async_trait::async_trait;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_sdk_kms::config::retry::RetryPartition;
use aws_sdk_kms::config::{AppName, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyMetadata, KeySpec, KeyState, KeyUsageType};
use aws_sdk_kms::{Client, Config};
use bytes::Bytes;
use causeway_crypto::{CryptoError, DataKey, KeyCause, KeyContext, KeyError, KeyProvider, WrappedKey};
use secrecy::ExposeSecret as _;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::arn::Home;
use crate::error::{failure, incomplete};
use crate::options::{AccessKey, KmsOptions};

/// Wraps under one key of AWS KMS, and unwraps what any key of the same account and region wrapped: whose account
/// that is, is the operator's word, and a wrapped key that somebody put into the database does not change it.
pub struct KmsProvider {
    client: Client,
    key_id: String,
    home: OnceCell<Home>,
}

impl KmsProvider {
    /// A provider without connections; nothing is asked yet.
    pub async fn new(options: KmsOptions) -> Self {
        let home = Home::of(&options.key_id);
        let region = home.as_ref().map_or(options.region.as_str(), Home::region);
        let mut config = Config::builder()
            .region(Region::new(region.to_owned()))
            .credentials_provider(credentials(options.access_key, region).await)
            .timeout_config(options.patience.timeouts())
            .retry_config(options.patience.retries())
            // Quotas are per region.
            .retry_partition(RetryPartition::new(format!("kms {region}")));
        config.set_endpoint_url(options.endpoint_url);
        config.set_app_name(AppName::new("causeway").ok());
        Self {
            client: Client::from_conf(config.build()),
            key_id: options.key_id,
            home: OnceCell::new_with(home),
        }
    }

    async fn describe(&self) -> Result<KeyMetadata, KeyError> {
        let answer = self.client.describe_key().key_id(&self.key_id).send().await;
        let metadata = answer.map_err(|error| failure(error, &self.key_id))?.key_metadata;
        metadata.ok_or_else(|| incomplete("key metadata"))
    }

    /// Where our key lives. A short name is asked for once.
    async fn home(&self) -> Result<&Home, KeyError> {
        let ask = || async {
            let metadata = self.describe().await?;
            Home::of(metadata.arn().unwrap_or_default()).ok_or_else(|| incomplete("key ARN"))
        };
        self.home.get_or_try_init(ask).await
    }

    fn is_usable(&self, metadata: &KeyMetadata) -> Result<(), KeyError> {
        if metadata.key_state() != Some(&KeyState::Enabled) {
            return Err(KeyError::Disabled(self.key_id.clone()));
        }
        let symmetric = metadata
            .key_usage()
            .is_none_or(|usage| *usage == KeyUsageType::EncryptDecrypt)
            && metadata
                .key_spec()
                .is_none_or(|spec| *spec == KeySpec::SymmetricDefault);
        if symmetric {
            return Ok(());
        }
        Err(KeyError::Denied {
            key_id: self.key_id.clone(),
            cause: KeyCause::new("the key is not a symmetric one for encryption"),
        })
    }
}

async fn credentials(access_key: Option<AccessKey>, region: &str) -> SharedCredentialsProvider {
    let Some(AccessKey { id, secret }) = access_key else {
        let region = Region::new(region.to_owned());
        let chain = DefaultCredentialsChain::builder().region(region).build().await;
        return SharedCredentialsProvider::new(chain);
    };
    let credentials = Credentials::builder()
        .access_key_id(id)
        .secret_access_key(secret.expose_secret())
        .provider_name("settings");
    SharedCredentialsProvider::new(credentials.build())
}

/// What a wrapped key belongs to. KMS authenticates it, and writes it into its own log in clear.
fn encryption_context(context: &KeyContext<'_>) -> Option<HashMap<String, String>> {
    let pairs = [
        ("workspace", context.workspace.to_string()),
        ("version", context.version.to_string()),
        ("purpose", context.purpose.to_owned()),
    ];
    Some(HashMap::from(pairs.map(|(name, value)| (name.to_owned(), value))))
}

fn wrapped(key_id: Option<String>, bytes: Option<Blob>) -> Result<WrappedKey, KeyError> {
    Ok(WrappedKey {
        key_id: key_id
            .filter(|arn| Home::of(arn).is_some())
            .ok_or_else(|| incomplete("key ARN"))?,
        bytes: bytes.ok_or_else(|| incomplete("ciphertext"))?.into_inner(),
    })
}

fn unwrapped(plaintext: Option<Blob>) -> Result<DataKey, KeyError> {
    let plaintext = plaintext.ok_or_else(|| incomplete("plaintext"))?;
    let bytes = Zeroizing::new(plaintext.into_inner());
    DataKey::from_bytes(&bytes).ok_or(KeyError::Refused(CryptoError::Truncated))
}

#[async_trait]
impl KeyProvider for KmsProvider {
    /// The configured name, which may be an alias: see [`KeyProvider::active_key`] for the key behind it.
    fn active_id(&self) -> Option<&str> {
        Some(&self.key_id)
    }

    async fn active_key(&self) -> Result<String, KeyError> {
        let metadata = self.describe().await?;
        self.is_usable(&metadata)?;
        metadata.arn.ok_or_else(|| incomplete("key ARN"))
    }

    async fn generate(&self, context: &KeyContext<'_>) -> Result<(DataKey, WrappedKey), KeyError> {
        let request = self.client.generate_data_key().key_id(&self.key_id);
        let answer = request
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(encryption_context(context))
            .send()
            .await
            .map_err(|error| failure(error, &self.key_id))?;
        let key = unwrapped(answer.plaintext)?;
        Ok((key, wrapped(answer.key_id, answer.ciphertext_blob)?))
    }

    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError> {
        let plaintext = Bytes::from_owner(Zeroizing::new(*key.expose_bytes()));
        let request = self.client.encrypt().key_id(&self.key_id);
        let answer = request
            .plaintext(Blob::from_maybe_shared(plaintext))
            .set_encryption_context(encryption_context(context))
            .send()
            .await
            .map_err(|error| failure(error, &self.key_id))?;
        wrapped(answer.key_id, answer.ciphertext_blob)
    }

    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError> {
        if !self.home().await?.holds(&wrapped.key_id) {
            return Err(KeyError::Unknown(wrapped.key_id.clone()));
        }
        let request = self.client.decrypt().key_id(&wrapped.key_id);
        let answer = request
            .ciphertext_blob(Blob::new(wrapped.bytes.clone()))
            .set_encryption_context(encryption_context(context))
            .send()
            .await
            .map_err(|error| failure(error, &wrapped.key_id))?;
        if answer.key_id.as_deref() != Some(&wrapped.key_id) {
            return Err(KeyError::Refused(CryptoError::WrongKey));
        }
        unwrapped(answer.plaintext)
    }
}
