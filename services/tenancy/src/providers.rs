//! Who holds key-encryption keys: the ring of this process, and AWS KMS where one is named. One of them wraps; each
//! opens what it wrapped, so that moving from one to the other is a matter of wrapping anew.

use async_trait::async_trait;
use causeway_crypto::{DataKey, KeyContext, KeyError, KeyProvider, LocalRing, WrappedKey};
use causeway_kms::{KmsOptions, KmsProvider, is_kms_key};

/// The keys in AWS KMS.
#[derive(Default)]
pub struct KmsKeys {
    /// Wraps, in place of the ring.
    pub active: Option<KmsOptions>,
    /// Only unwraps.
    pub previous: Option<KmsOptions>,
}

/// All of them behind one.
pub(crate) struct Providers {
    ring: LocalRing,
    kms: Option<KmsProvider>,
    kms_previous: Option<KmsProvider>,
}

impl Providers {
    pub(crate) async fn new(ring: LocalRing, kms: KmsKeys) -> Self {
        Self {
            ring,
            kms: provider(kms.active).await,
            kms_previous: provider(kms.previous).await,
        }
    }

    /// Whether a key in KMS wraps.
    pub(crate) fn uses_kms(&self) -> bool {
        self.kms.is_some()
    }

    fn active(&self) -> &dyn KeyProvider {
        match &self.kms {
            Some(kms) => kms,
            None => &self.ring,
        }
    }

    async fn unwrap_in_kms(
        &self,
        wrapped: &WrappedKey,
        context: &KeyContext<'_>,
    ) -> Result<DataKey, KeyError> {
        for kms in [&self.kms, &self.kms_previous].into_iter().flatten() {
            match kms.unwrap_key(wrapped, context).await {
                Err(KeyError::Unknown(_)) => {}
                answer => return answer,
            }
        }
        Err(KeyError::Unknown(wrapped.key_id.clone()))
    }
}

async fn provider(options: Option<KmsOptions>) -> Option<KmsProvider> {
    match options {
        Some(options) => Some(KmsProvider::new(options).await),
        None => None,
    }
}

#[async_trait]
impl KeyProvider for Providers {
    fn active_id(&self) -> Option<&str> {
        self.active().active_id()
    }

    async fn active_key(&self) -> Result<String, KeyError> {
        self.active().active_key().await
    }

    async fn generate(&self, context: &KeyContext<'_>) -> Result<(DataKey, WrappedKey), KeyError> {
        self.active().generate(context).await
    }

    async fn wrap(&self, key: &DataKey, context: &KeyContext<'_>) -> Result<WrappedKey, KeyError> {
        self.active().wrap(key, context).await
    }

    async fn unwrap_key(&self, wrapped: &WrappedKey, context: &KeyContext<'_>) -> Result<DataKey, KeyError> {
        if is_kms_key(&wrapped.key_id) {
            return self.unwrap_in_kms(wrapped, context).await;
        }
        match self.ring.unwrap_key(wrapped, context).await {
            // There is a key, but not the one that is asked for.
            Err(KeyError::Missing) if self.uses_kms() => Err(KeyError::Unknown(wrapped.key_id.clone())),
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests;
