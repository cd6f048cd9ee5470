//! What this service keeps of a tenant, as one holder among others.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_contracts::common::v1::{EraseRequest, EraseResponse, ExportRequest};
use causeway_errors::ApiError;
use causeway_holder::{Tombstone, workspace};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::holders::{HolderError, Lines, TenantData};
use crate::store::TenancyStore;

/// Parts that wait for whoever takes them.
const AHEAD: usize = 4;

/// The rows of this service.
pub(crate) struct OwnData {
    store: Arc<dyn TenancyStore>,
    clock: fn() -> DateTime<Utc>,
}

impl OwnData {
    /// What is in that store.
    pub(crate) fn new(store: Arc<dyn TenancyStore>, clock: fn() -> DateTime<Utc>) -> Self {
        Self { store, clock }
    }
}

fn malformed(error: ApiError) -> HolderError {
    HolderError::local(error)
}

#[async_trait]
impl TenantData for OwnData {
    async fn erase(&self, request: EraseRequest) -> Result<EraseResponse, HolderError> {
        let tombstone = Tombstone::try_from(request).map_err(malformed)?;
        let applied = self.store.apply_tombstone(&tombstone, (self.clock)()).await;
        let applied = applied.map_err(HolderError::local)?;
        Ok(EraseResponse {
            tables: applied.erased.into_iter().map(Into::into).collect(),
            leaver_user_ids: applied.leavers.iter().map(ToString::to_string).collect(),
        })
    }

    async fn export(&self, request: ExportRequest) -> Result<Lines, HolderError> {
        let workspace = workspace(&request.workspace_id).map_err(malformed)?;
        let snapshot = Some(request.snapshot).filter(|name| !name.is_empty());
        let (parts, taken) = mpsc::channel(AHEAD);
        let store = Arc::clone(&self.store);
        let sending = async move { store.send_rows(workspace, snapshot, parts).await };
        Ok(causeway_holder::parts(sending, taken)
            .map(|part| part.map(Into::into).map_err(HolderError::local))
            .boxed())
    }
}
