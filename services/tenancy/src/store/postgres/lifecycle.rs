//! Erases and sends the rows of the schema `tenancy`, by its registry.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::WorkspaceTx;
use causeway_holder::{
    Applied, ExportError, Part, Snapshot, Tombstone, erase_rows, export_rows, find_applied, hold_snapshot,
    mark_applied,
};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{PgStore, failed};
use crate::HOLDING;
use crate::holding::KEYSTORE_HOLDING;
use crate::store::StoreError;
use crate::store::lifecycle::TenantRows;

#[derive(QueryableByName)]
struct Person {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
}

impl From<ExportError> for StoreError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Database(error) => error.into(),
            error @ (ExportError::Abandoned | ExportError::Snapshot) => Self::Unavailable(error.into()),
        }
    }
}

async fn users(tx: &mut WorkspaceTx, query: &str) -> Result<Vec<Uuid>, StoreError> {
    let workspace = tx.workspace().0;
    let rows: Vec<Person> = sql_query(query)
        .bind::<SqlUuid, _>(workspace)
        .load(tx)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().map(|row| row.user_id).collect())
}

/// Those of the persons who belong to no workspace.
async fn without_workspace(tx: &mut WorkspaceTx, users: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let rows: Vec<Person> = sql_query(
        "SELECT user_id FROM unnest($1) AS person (user_id) WHERE NOT EXISTS \
         (SELECT FROM tenancy.membership_index AS other WHERE other.user_id = person.user_id)",
    )
    .bind::<Array<SqlUuid>, _>(users)
    .load(tx)
    .await
    .map_err(failed)?;
    Ok(rows.into_iter().map(|row| row.user_id).collect())
}

/// What the registry does not tell: invitations by address, the list of objects, and facts that wait for a person.
async fn erase_the_rest(tx: &mut WorkspaceTx, tombstone: &Tombstone) -> Result<u64, StoreError> {
    let workspace = tombstone.workspace.0;
    if tombstone.subject.is_some() {
        let rows = sql_query("DELETE FROM tenancy.invitations WHERE workspace_id = $1 AND email = ANY ($2)")
            .bind::<SqlUuid, _>(workspace)
            .bind::<Array<Text>, _>(&tombstone.addresses)
            .execute(tx)
            .await
            .map_err(failed)?;
        return Ok(u64::try_from(rows).unwrap_or(u64::MAX));
    }
    for statement in [
        // Exports, and not the bytes that are seen now: whoever is writing the first of them has not committed yet.
        "INSERT INTO tenancy.doomed_objects (workspace, object) \
         SELECT workspace_id, id FROM tenancy.exports WHERE workspace_id = $1 AND state <> 'expired' UNION \
         SELECT workspace_id, export FROM tenancy.export_chunks WHERE workspace_id = $1 ON CONFLICT DO NOTHING",
        "DELETE FROM tenancy.outbox WHERE workspace = $1 AND parked_at IS NOT NULL",
    ] {
        sql_query(statement)
            .bind::<SqlUuid, _>(workspace)
            .execute(tx)
            .await
            .map_err(failed)?;
    }
    Ok(0)
}

#[async_trait]
impl TenantRows for PgStore {
    async fn apply_tombstone(&self, tombstone: &Tombstone, at: DateTime<Utc>) -> Result<Applied, StoreError> {
        self.database
            .workspace(
                "tenancy.erase",
                tombstone.workspace,
                async |tx: &mut WorkspaceTx| -> Result<Applied, StoreError> {
                    if let Some(applied) = find_applied(tx, &HOLDING, tombstone).await.map_err(failed)? {
                        return Ok(applied);
                    }
                    // Nobody joins meanwhile: to add a member holds the row of the workspace.
                    let concerned = match tombstone.subject {
                        Some(user) => vec![user.0],
                        None => {
                            users(
                                tx,
                                "SELECT workspace_id AS user_id FROM tenancy.workspaces \
                                 WHERE workspace_id = $1 FOR UPDATE",
                            )
                            .await?;
                            users(tx, "SELECT user_id FROM tenancy.members WHERE workspace_id = $1").await?
                        }
                    };
                    let addressed = erase_the_rest(tx, tombstone).await?;
                    let mut erased = erase_rows(tx, &HOLDING, tombstone).await.map_err(failed)?;
                    erased.extend(
                        erase_rows(tx, &KEYSTORE_HOLDING, tombstone)
                            .await
                            .map_err(failed)?,
                    );
                    if let Some(count) = erased
                        .iter_mut()
                        .find(|count| count.table == "tenancy.invitations")
                    {
                        count.rows += addressed;
                    }
                    let leavers = without_workspace(tx, &concerned).await?;
                    let applied = Applied { erased, leavers };
                    mark_applied(tx, &HOLDING, tombstone, &applied, at)
                        .await
                        .map_err(failed)?;
                    Ok(applied)
                },
            )
            .await
    }

    async fn send_rows(
        &self,
        workspace: WorkspaceId,
        snapshot: Option<String>,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), StoreError> {
        // One database for both, so a snapshot that is no good is over: without it the two would be of two moments.
        let taken = match snapshot {
            Some(_) => None,
            None => Some(hold_snapshot(&self.database).await.ok_or(ExportError::Snapshot)?),
        };
        let name = taken.as_ref().map(Snapshot::name).or(snapshot.as_deref());
        for holding in [&HOLDING, &KEYSTORE_HOLDING] {
            export_rows(&self.database, holding, workspace, name, &parts).await?;
        }
        Ok(())
    }

    async fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        let taken = hold_snapshot(&self.database).await;
        Ok(Some(taken.ok_or(ExportError::Snapshot)?))
    }

    async fn owners(&self, workspace: WorkspaceId) -> Result<Vec<UserId>, StoreError> {
        self.database
            .workspace(
                "tenancy.owners",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let owners = users(
                        tx,
                        "SELECT user_id FROM tenancy.members WHERE workspace_id = $1 AND role = 'owner'",
                    )
                    .await?;
                    Ok(owners.into_iter().map(UserId).collect())
                },
            )
            .await
    }
}

impl PgStore {
    /// Erases what the keystore tells of rotations in an erased workspace, which an old backup of it brings back.
    pub(crate) async fn forget_rotations(&self, tombstone: &Tombstone) -> Result<(), StoreError> {
        self.database
            .workspace(
                "keystore.forget_rotations",
                tombstone.workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    erase_rows(tx, &KEYSTORE_HOLDING, tombstone)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}

#[cfg(test)]
mod tests;
