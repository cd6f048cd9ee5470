//! Wrapped data keys on PostgreSQL.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::WorkspaceTx;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::rows::{KeyRow, stored, workspace_keys};
use super::{PgStore, failed};
use crate::domain::WrappedDataKey;
use crate::store::{KeyStore, StoreError};

#[async_trait]
impl KeyStore for PgStore {
    async fn find_active_key(&self, workspace: WorkspaceId) -> Result<Option<WrappedDataKey>, StoreError> {
        self.database
            .workspace(
                "tenancy.find_active_key",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = workspace_keys::table
                        .filter(workspace_keys::workspace_id.eq(workspace.0))
                        .select(KeyRow::as_select())
                        .order(workspace_keys::version.desc());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn find_key(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<Option<WrappedDataKey>, StoreError> {
        // Anybody can write a version into what is said to be an envelope.
        let Ok(version) = stored(version) else {
            return Ok(None);
        };
        self.database
            .workspace(
                "tenancy.find_key",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = workspace_keys::table
                        .find((workspace.0, version))
                        .select(KeyRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn insert_key(&self, key: &WrappedDataKey) -> Result<(), StoreError> {
        let row = &KeyRow::try_from(key)?;
        self.database
            .workspace(
                "tenancy.insert_key",
                key.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    diesel::insert_into(workspace_keys::table)
                        .values(row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}
