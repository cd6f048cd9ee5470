//! Settings on PostgreSQL.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::WorkspaceTx;
use causeway_outbox::{OutboxEvent, insert_outbox_row};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::rows::{SettingsRow, WorkspaceRow, settings, workspaces};
use super::{PgStore, failed, hold, keep};
use crate::SCHEMA;
use crate::domain::{SettingChange, Settings, Workspace};
use crate::store::{SettingsStore, StoreError};

async fn settings_of(tx: &mut WorkspaceTx, workspace: &Workspace) -> Result<Settings, StoreError> {
    let query = settings::table
        .find(workspace.id.0)
        .select(SettingsRow::as_select());
    match query.first(tx).await.optional().map_err(failed)? {
        Some(row) => row.settings(workspace.region.clone()),
        None => Ok(Settings::untouched(workspace)),
    }
}

async fn write(tx: &mut WorkspaceTx, settings: &Settings, at: DateTime<Utc>) -> Result<(), StoreError> {
    let row = SettingsRow::of(settings, at);
    diesel::insert_into(settings::table)
        .values(&row)
        .on_conflict(settings::workspace_id)
        .do_update()
        .set(&row)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl SettingsStore for PgStore {
    async fn find_settings(&self, workspace: WorkspaceId) -> Result<Option<Settings>, StoreError> {
        self.database
            .workspace(
                "tenancy.find_settings",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = workspaces::table
                        .find(workspace.0)
                        .select(WorkspaceRow::as_select());
                    let Some(row) = query.first(tx).await.optional().map_err(failed)? else {
                        return Ok(None);
                    };
                    settings_of(tx, &row.try_into()?).await.map(Some)
                },
            )
            .await
    }

    async fn change_settings_for(
        &self,
        workspace: WorkspaceId,
        changes: &[SettingChange],
        at: DateTime<Utc>,
        facts: Vec<OutboxEvent>,
    ) -> Result<Settings, StoreError> {
        let facts = &facts;
        self.database
            .workspace(
                "tenancy.change_settings",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let home = hold(tx).await?;
                    let after = settings_of(tx, &home).await?.with(changes, at)?;
                    if home.region != after.region {
                        diesel::update(workspaces::table.find(workspace.0))
                            .set((
                                workspaces::region.eq(&after.region),
                                workspaces::updated_at.eq(at),
                            ))
                            .execute(tx)
                            .await
                            .map_err(failed)?;
                    }
                    write(tx, &after, at).await?;
                    if let Some((last, before)) = facts.split_last() {
                        for fact in before {
                            insert_outbox_row(tx, SCHEMA.name, fact).await.map_err(failed)?;
                        }
                        keep(tx, last).await?;
                    }
                    Ok(after)
                },
            )
            .await
    }
}
