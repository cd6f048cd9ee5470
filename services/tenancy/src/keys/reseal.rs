//! The secrets of this service, as a rotation sees them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_contracts::common::v1::{
    CountBelowRequest, CountBelowResponse, RaiseFenceRequest, ReencryptRequest, ReencryptResponse,
    SealedTable, Unreadable,
};
use causeway_crypto::{KeyError, open, seal};

use super::{DataKeys, UsableKey};
use crate::domain::{Ring, Secret, SecretName};
use crate::error::TenancyError;
use crate::holders::{HolderError, SealedData};
use crate::page::Page;
use crate::service::with_place;
use crate::store::{Resealed, TenancyStore};

const TABLE: &str = "tenancy.secrets";
const LARGEST_PART: usize = 5000;

/// The sealed half of what this service holds.
pub(crate) struct SealedSecrets {
    store: Arc<dyn TenancyStore>,
    keys: Arc<DataKeys>,
}

/// A message that says what cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0} of a call between services is not what it must be")]
struct Malformed(&'static str);

fn workspace(text: &str) -> Result<WorkspaceId, HolderError> {
    text.parse()
        .map_err(|_| HolderError::local(Malformed("the workspace")))
}

fn version(number: i32) -> Result<u32, HolderError> {
    u32::try_from(number).map_err(|_| HolderError::local(Malformed("the version")))
}

fn wire(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl SealedSecrets {
    /// The secrets of that store under those keys.
    pub(crate) fn new(store: Arc<dyn TenancyStore>, keys: Arc<DataKeys>) -> Self {
        Self { store, keys }
    }

    async fn reseal(
        &self,
        workspace: WorkspaceId,
        to: u32,
        page: &Page<SecretName>,
    ) -> Result<ReencryptResponse, TenancyError> {
        let newest = self.keys.version(workspace, Ring::Data, to).await?;
        let secrets = self.store.list_secrets_below(workspace, to, page).await?;
        let next_cursor = match secrets.last() {
            Some(last) if secrets.len() == page.size => last.name.to_string(),
            _ => String::new(),
        };
        let mut older = BTreeMap::new();
        let (mut resealed, mut unreadable) = (Vec::with_capacity(secrets.len()), Vec::new());
        for secret in &secrets {
            let key = match older.entry(secret.key_version) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.readable(workspace, secret.key_version).await?),
            };
            let anew = match key {
                Ok(key) => anew(secret, key, &newest)?,
                Err(reason) => Err(*reason),
            };
            match anew {
                Ok(anew) => resealed.push(anew),
                Err(reason) => unreadable.push(Unreadable {
                    table: TABLE.to_owned(),
                    row: secret.name.to_string(),
                    reason: reason.to_owned(),
                }),
            }
        }
        let replaced = self.store.reseal_secrets(workspace, &resealed).await?;
        Ok(ReencryptResponse {
            resealed: wire(replaced as u64),
            skipped: wire(resealed.len().saturating_sub(replaced) as u64),
            unreadable,
            next_cursor,
        })
    }

    /// The key of an older version, or why there is none: then its rows are unreadable. What may pass is an error: the
    /// part is done again later.
    async fn readable(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<Result<UsableKey, &'static str>, TenancyError> {
        match self.keys.version(workspace, Ring::Data, version).await {
            Ok(key) => Ok(Ok(key)),
            Err(TenancyError::NoSuchKey(_)) => Ok(Err("KEY_UNKNOWN")),
            Err(TenancyError::KeyDestroyed(_)) => Ok(Err("KEY_DESTROYED")),
            Err(TenancyError::Key(KeyError::Refused(_))) => Ok(Err("KEY_UNREADABLE")),
            Err(TenancyError::Key(
                KeyError::Missing
                | KeyError::Unknown(_)
                | KeyError::Malformed { .. }
                | KeyError::Disabled(_)
                | KeyError::Denied { .. },
            )) => Ok(Err("KEY_UNAVAILABLE")),
            Err(error) => Err(error),
        }
    }
}

/// The secret under the newest key, for the same place; or why it cannot be opened.
fn anew(
    secret: &Secret,
    key: &UsableKey,
    newest: &UsableKey,
) -> Result<Result<Resealed, &'static str>, TenancyError> {
    let Ok(value) = with_place(secret, |place| open(&key.key, &secret.sealed, place)) else {
        return Ok(Err("DECRYPTION_FAILED"));
    };
    let sealed = with_place(secret, |place| seal(&newest.key, newest.version, &value, place))?;
    Ok(Ok(Resealed {
        name: secret.name.clone(),
        before: secret.sealed.clone(),
        sealed,
        key_version: newest.version,
    }))
}

#[async_trait]
impl SealedData for SealedSecrets {
    async fn reencrypt(&self, request: ReencryptRequest) -> Result<ReencryptResponse, HolderError> {
        let (workspace, to) = (workspace(&request.workspace_id)?, version(request.to_version)?);
        let after = match request.cursor.as_str() {
            "" => None,
            name => Some(SecretName::parse(name).map_err(|_| HolderError::local(Malformed("the cursor")))?),
        };
        let size = usize::try_from(request.limit)
            .unwrap_or_default()
            .clamp(1, LARGEST_PART);
        self.reseal(workspace, to, &Page { size, after })
            .await
            .map_err(HolderError::local)
    }

    async fn raise_fence(&self, request: RaiseFenceRequest) -> Result<(), HolderError> {
        let (workspace, lowest) = (
            workspace(&request.workspace_id)?,
            version(request.min_write_version)?,
        );
        self.store
            .raise_fence(workspace, lowest)
            .await
            .map_err(HolderError::local)
    }

    async fn count_below(&self, request: CountBelowRequest) -> Result<CountBelowResponse, HolderError> {
        let (workspace, below) = (workspace(&request.workspace_id)?, version(request.version)?);
        let (rows, below) = self
            .store
            .count_secrets_below(workspace, below)
            .await
            .map_err(HolderError::local)?;
        Ok(CountBelowResponse {
            tables: vec![SealedTable {
                table: TABLE.to_owned(),
                rows: wire(rows),
                below: wire(below),
            }],
        })
    }
}
