//! What workspaces decide for themselves: their own provider, model, address and key win over the settings of the
//! process (B-TEN-17, C-11). Tenancy is asked for it, and what it says is remembered for a moment only, so that a change
//! holds soon. While tenancy cannot say it nobody answers: the conversation of a workspace goes to no other provider than
//! its own.

mod tenancy;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use causeway_context::{CallContext, RequestId, WorkspaceId};
use causeway_egress::{Egress, EgressOptions, Reach};
use causeway_errors::ApiError;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use crate::config::{Group, TenantRules};
use crate::selection::Selection;

pub(crate) use tenancy::MeshTenantAi;

/// For so long a change may go unseen.
const FRESH: Duration = Duration::from_secs(30);
/// How long it takes until tenancy is asked again that could not say.
const PAUSE: Duration = Duration::from_secs(1);
/// Workspaces that are remembered at once.
const MOST: usize = 10_000;

/// What a workspace decided. Has no `Debug`: it holds a key.
#[derive(Clone)]
pub(crate) struct Override {
    /// The provider's word.
    pub provider: String,
    /// The provider's name of the model; the class models of the process without one.
    pub model: Option<String>,
    /// The address in place of the provider's own.
    pub base_url: Option<String>,
    /// The key.
    pub key: Option<SecretString>,
    /// The secret that holds the key is gone.
    pub key_missing: bool,
}

impl Override {
    fn is_same(&self, other: &Self) -> bool {
        let keys = [&self.key, &other.key].map(|key| key.as_ref().map(|key| key.expose_secret()));
        keys[0] == keys[1]
            && self.provider == other.provider
            && self.model == other.model
            && self.base_url == other.base_url
            && self.key_missing == other.key_missing
    }
}

/// Who knows what workspaces decided.
#[async_trait]
pub(crate) trait TenantAi: Send + Sync + 'static {
    /// What the workspace decided, if anything. The use of its key is in the audit log when this returns.
    ///
    /// # Errors
    /// What a caller may see.
    async fn find(&self, request: &RequestId, workspace: WorkspaceId) -> Result<Option<Override>, ApiError>;
}

/// The providers that a workspace chose, or nothing where the process decides.
type Chosen = Result<Option<Arc<Selection>>, ApiError>;

/// The providers of workspaces that chose their own.
pub(crate) struct Overrides {
    source: Arc<dyn TenantAi>,
    rules: TenantRules,
    egress: Egress,
    most: usize,
    entries: Mutex<HashMap<WorkspaceId, Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    known: Mutex<Option<Known>>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
}

struct Known {
    decided: Option<Override>,
    chosen: Chosen,
    fresh_until: Instant,
}

impl Overrides {
    /// What `source` says, used by those rules.
    pub(crate) fn new(source: Arc<dyn TenantAi>, rules: TenantRules) -> Self {
        // Whoever names a host must not reach this machine or its networks by it.
        let reach = if rules.any_base_url {
            Reach::Anywhere
        } else {
            Reach::Public
        };
        let options = EgressOptions {
            reach,
            ..EgressOptions::default()
        };
        Self {
            source,
            rules,
            egress: Egress::new(options),
            most: MOST,
            entries: Mutex::default(),
        }
    }

    /// The providers of the workspace of the call, if it chose its own.
    ///
    /// # Errors
    /// Why that cannot be said now.
    pub(crate) async fn find(&self, ctx: &CallContext) -> Chosen {
        let workspace = ctx.workspace()?;
        let entry = self.entry(workspace);
        if let Some(chosen) = entry.fresh() {
            return chosen;
        }
        // Who waits here gets what the one before was told.
        let _one = entry.asking.lock().await;
        if let Some(chosen) = entry.fresh() {
            return chosen;
        }
        match self.source.find(&ctx.request_id, workspace).await {
            Ok(decided) => entry.learn(decided, |decided| self.selection(decided)),
            Err(error) => entry.fail(error),
        }
    }

    fn selection(&self, decided: &Override) -> Selection {
        let (candidate, refused) = self.rules.candidate(decided);
        Selection::of_tenant(Group::Tenant, &candidate, refused, &self.egress)
    }

    fn entry(&self, workspace: WorkspaceId) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !entries.contains_key(&workspace) && entries.len() >= self.most {
            let any = entries.keys().next().copied();
            any.map(|any| entries.remove(&any));
        }
        Arc::clone(entries.entry(workspace).or_default())
    }
}

impl Entry {
    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> Option<Chosen> {
        let known = self.known();
        let fresh = known.as_ref().filter(|known| Instant::now() < known.fresh_until);
        fresh.map(|known| known.chosen.clone())
    }

    /// The same decision keeps its providers, and what is known of their last errors.
    fn learn(&self, decided: Option<Override>, make: impl FnOnce(&Override) -> Selection) -> Chosen {
        let mut known = self.known();
        let before = known.take().filter(|before| is_same(&before.decided, &decided));
        let kept = before.and_then(|before| before.chosen.ok());
        let chosen = kept.unwrap_or_else(|| decided.as_ref().map(make).map(Arc::new));
        *known = Some(Known {
            decided,
            chosen: Ok(chosen.clone()),
            fresh_until: Instant::now() + FRESH,
        });
        Ok(chosen)
    }

    fn fail(&self, error: ApiError) -> Chosen {
        *self.known() = Some(Known {
            decided: None,
            chosen: Err(error.clone()),
            fresh_until: Instant::now() + PAUSE,
        });
        Err(error)
    }
}

fn is_same(one: &Option<Override>, other: &Option<Override>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
