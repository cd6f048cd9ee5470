//! Erases, sends and seals anew the rows of the schema `auth`, by its registry.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_holder::{
    Applied, ErasedRows, ExportError, Part, Tombstone, erase_rows, export_rows, find_applied, mark_applied,
};
use causeway_revocation::{Ended, Revocation, insert_revocations};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension as _, QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{PgStore, failed};
use crate::SCHEMA;
use crate::data::HOLDING;
use crate::data::OF_A_PERSON;
use crate::data::store::DataStore;
use crate::domain::SealedSeed;
use crate::store::StoreError;

#[derive(QueryableByName)]
struct SeedRow {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Binary)]
    seed: Vec<u8>,
    #[diesel(sql_type = Integer)]
    key_version: i32,
}

#[derive(QueryableByName)]
struct SeedCount {
    #[diesel(sql_type = BigInt)]
    seeds: i64,
    #[diesel(sql_type = BigInt)]
    below: i64,
}

#[derive(QueryableByName)]
struct Address {
    #[diesel(sql_type = Text)]
    email: String,
}

impl From<ExportError> for StoreError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Database(error) => error.into(),
            error @ (ExportError::Abandoned | ExportError::Snapshot) => Self::Unavailable(error.into()),
        }
    }
}

/// What passed a second factor goes with the sessions and tokens that did.
async fn forget_passed(tx: &mut WorkspaceTx, tombstone: &Tombstone) -> Result<(), StoreError> {
    sql_query(
        "DELETE FROM auth.passed_factors WHERE credential IN ( \
         SELECT id FROM auth.sessions WHERE workspace = $1 AND ($2 IS NULL OR user_id = $2) UNION ALL \
         SELECT id FROM auth.tokens WHERE workspace_id = $1 AND ($2 IS NULL OR user_id = $2))",
    )
    .bind::<SqlUuid, _>(tombstone.workspace.0)
    .bind::<Nullable<SqlUuid>, _>(tombstone.subject.map(|subject| subject.0))
    .execute(tx)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Facts of the workspace that wait for a person, as the log refused them.
async fn forget_parked(tx: &mut WorkspaceTx) -> Result<(), StoreError> {
    sql_query("DELETE FROM auth.outbox WHERE workspace = $1 AND parked_at IS NOT NULL")
        .bind::<SqlUuid, _>(tx.workspace().0)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// What belongs to persons who have no workspace any more.
async fn erase_persons(tx: &mut WorkspaceTx, leavers: &[Uuid]) -> Result<Vec<ErasedRows>, StoreError> {
    let mut erased = Vec::with_capacity(OF_A_PERSON.len());
    for table in OF_A_PERSON {
        let rows = sql_query(format!("DELETE FROM auth.{table} WHERE user_id = ANY ($1)"))
            .bind::<Array<SqlUuid>, _>(leavers)
            .execute(tx)
            .await
            .map_err(failed)?;
        erased.push(ErasedRows {
            table: format!("{}.{table}", SCHEMA.name),
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
        });
    }
    Ok(erased)
}

/// One line for each table, in the order of their first mention.
fn merged(counts: impl IntoIterator<Item = ErasedRows>) -> Vec<ErasedRows> {
    let mut merged: Vec<ErasedRows> = Vec::new();
    for count in counts {
        match merged.iter_mut().find(|known| known.table == count.table) {
            Some(known) => known.rows += count.rows,
            None => merged.push(count),
        }
    }
    merged
}

#[async_trait]
impl DataStore for PgStore {
    async fn seeds_below(
        &self,
        workspace: WorkspaceId,
        version: i32,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, SealedSeed)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .workspace("auth.seeds_below", workspace, async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                let rows: Vec<SeedRow> = sql_query(
                    "SELECT user_id, seed::bytea AS seed, key_version FROM auth.factors WHERE workspace_id = $1 \
                     AND key_version < $2 AND ($3 IS NULL OR user_id > $3) ORDER BY user_id LIMIT $4",
                )
                .bind::<SqlUuid, _>(workspace.0)
                .bind::<Integer, _>(version)
                .bind::<Nullable<SqlUuid>, _>(after.map(|user| user.0))
                .bind::<BigInt, _>(limit)
                .load(tx)
                .await
                .map_err(failed)?;
                let seed = |row: SeedRow| SealedSeed {
                    sealed: row.seed,
                    key_version: row.key_version,
                };
                Ok(rows.into_iter().map(|row| (UserId(row.user_id), seed(row))).collect())
            })
            .await
    }

    async fn reseal_seed(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        before: &SealedSeed,
        after: &SealedSeed,
    ) -> Result<bool, StoreError> {
        self.database
            .workspace(
                "auth.reseal_seed",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let replaced = sql_query(
                        "UPDATE auth.factors SET seed = $4, key_version = $5 \
                     WHERE workspace_id = $1 AND user_id = $2 AND seed::bytea = $3",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<SqlUuid, _>(user.0)
                    .bind::<Binary, _>(&before.sealed)
                    .bind::<Binary, _>(&after.sealed)
                    .bind::<Integer, _>(after.key_version)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    Ok(replaced > 0)
                },
            )
            .await
    }

    async fn count_seeds_below(
        &self,
        workspace: WorkspaceId,
        version: i32,
    ) -> Result<(u64, u64), StoreError> {
        self.database
            .workspace(
                "auth.count_seeds",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let count: SeedCount = sql_query(
                        "SELECT count(*) AS seeds, count(*) FILTER (WHERE key_version < $2) AS below \
                     FROM auth.factors WHERE workspace_id = $1",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<Integer, _>(version)
                    .get_result(tx)
                    .await
                    .map_err(failed)?;
                    let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
                    Ok((unsigned(count.seeds), unsigned(count.below)))
                },
            )
            .await
    }

    async fn address_of(&self, user: UserId) -> Result<Option<String>, StoreError> {
        self.database
            .system(
                "auth.address_of",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let row: Option<Address> =
                        sql_query("SELECT email FROM auth.accounts WHERE user_id = $1")
                            .bind::<SqlUuid, _>(user.0)
                            .get_result(tx)
                            .await
                            .optional()
                            .map_err(failed)?;
                    Ok(row.map(|row| row.email))
                },
            )
            .await
    }

    async fn apply_tombstone(&self, tombstone: &Tombstone, at: DateTime<Utc>) -> Result<Applied, StoreError> {
        let leavers: &Vec<Uuid> = &tombstone.leavers.iter().map(|user| user.0).collect();
        self.database
            .workspace(
                "auth.erase",
                tombstone.workspace,
                async |tx: &mut WorkspaceTx| -> Result<Applied, StoreError> {
                    if let Some(applied) = find_applied(tx, &HOLDING, tombstone).await.map_err(failed)? {
                        return Ok(applied);
                    }
                    forget_passed(tx, tombstone).await?;
                    let mut erased = erase_rows(tx, &HOLDING, tombstone).await.map_err(failed)?;
                    erased.extend(erase_persons(tx, leavers).await?);
                    let ended = match tombstone.subject {
                        Some(subject) => {
                            let member = Ended::Member(tombstone.workspace, subject);
                            Revocation::before(member, at, self.life.0)
                        }
                        None => {
                            forget_parked(tx).await?;
                            Revocation::of(Ended::Workspace(tombstone.workspace), at, self.life.0)
                        }
                    };
                    insert_revocations(tx, SCHEMA.name, &[ended])
                        .await
                        .map_err(failed)?;
                    let applied = Applied {
                        erased: merged(erased),
                        leavers: leavers.clone(),
                    };
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
        let (database, snapshot) = (&self.database, snapshot.as_deref());
        match export_rows(database, &HOLDING, workspace, snapshot, &parts).await {
            Err(ExportError::Snapshot) => Ok(export_rows(database, &HOLDING, workspace, None, &parts).await?),
            answer => Ok(answer?),
        }
    }

    async fn workspaces_with_history(
        &self,
        after: Option<WorkspaceId>,
        limit: usize,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = SqlUuid)]
            workspace: Uuid,
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .system(
                "auth.workspaces_with_history",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let rows: Vec<Row> = sql_query(
                        "SELECT DISTINCT workspace FROM auth.sign_ins WHERE $1 IS NULL OR workspace > $1 \
                         ORDER BY workspace LIMIT $2",
                    )
                    .bind::<Nullable<SqlUuid>, _>(after.map(|after| after.0))
                    .bind::<BigInt, _>(limit)
                    .load(tx)
                    .await
                    .map_err(failed)?;
                    Ok(rows.into_iter().map(|row| WorkspaceId(row.workspace)).collect())
                },
            )
            .await
    }

    async fn forget_sign_ins(&self, workspace: WorkspaceId, before: DateTime<Utc>) -> Result<(), StoreError> {
        self.database
            .workspace(
                "auth.forget_sign_ins",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    sql_query("DELETE FROM auth.sign_ins WHERE workspace = $1 AND at < $2")
                        .bind::<SqlUuid, _>(workspace.0)
                        .bind::<Timestamptz, _>(before)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}
