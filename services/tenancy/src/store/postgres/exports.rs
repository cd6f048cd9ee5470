//! Exports in the schema `tenancy`.

mod rows;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Binary, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension as _, QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use uuid::Uuid;

use self::rows::{ExportRow, JobRow, PlaceRow, numbered, stored};
use super::{PgStore, failed, keep, limit};
use crate::domain::{Content, Export, ExportState};
use crate::page::{Page, TimePlace};
use crate::store::StoreError;
use crate::store::lifecycle::{ExportStore, WorkLease};

async fn find(tx: &mut WorkspaceTx, id: Uuid) -> Result<Option<Export>, StoreError> {
    let workspace = tx.workspace().0;
    let row: Option<ExportRow> =
        sql_query("SELECT * FROM tenancy.exports WHERE workspace_id = $1 AND id = $2")
            .bind::<SqlUuid, _>(workspace)
            .bind::<SqlUuid, _>(id)
            .get_result(tx)
            .await
            .optional()
            .map_err(failed)?;
    row.map(TryInto::try_into).transpose()
}

async fn drop_chunks(tx: &mut WorkspaceTx, export: Uuid) -> Result<(), StoreError> {
    let workspace = tx.workspace().0;
    sql_query("DELETE FROM tenancy.export_chunks WHERE workspace_id = $1 AND export = $2")
        .bind::<SqlUuid, _>(workspace)
        .bind::<SqlUuid, _>(export)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl ExportStore for PgStore {
    async fn insert_export(&self, export: &Export, fact: OutboxEvent) -> Result<(), StoreError> {
        let (fact, (size, tables)) = (&fact, &stored(&export.content)?);
        self.database
            .workspace(
                "tenancy.insert_export",
                export.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    sql_query(
                        "INSERT INTO tenancy.exports (workspace_id, id, requested_by, state, age_recipient, \
                         created_at, expires_at, size_bytes, sha256, tables) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    )
                    .bind::<SqlUuid, _>(export.workspace.0)
                    .bind::<SqlUuid, _>(export.id)
                    .bind::<Nullable<SqlUuid>, _>(export.requested_by.map(|user| user.0))
                    .bind::<Text, _>(export.state.as_str())
                    .bind::<Nullable<Text>, _>(export.age_recipient.as_deref())
                    .bind::<Timestamptz, _>(export.created_at)
                    .bind::<Timestamptz, _>(export.expires_at)
                    .bind::<BigInt, _>(size)
                    .bind::<Text, _>(&export.content.sha256)
                    .bind::<Json, _>(tables)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    sql_query(
                        "INSERT INTO tenancy.export_jobs (workspace, export, due_at) VALUES ($1, $2, $3)",
                    )
                    .bind::<SqlUuid, _>(export.workspace.0)
                    .bind::<SqlUuid, _>(export.id)
                    .bind::<Timestamptz, _>(export.created_at)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn find_export(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Export>, StoreError> {
        self.database
            .workspace("tenancy.find_export", workspace, async |tx: &mut WorkspaceTx| {
                find(tx, id).await
            })
            .await
    }

    async fn list_exports(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Export>, StoreError> {
        self.database
            .workspace(
                "tenancy.list_exports",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let rows: Vec<ExportRow> = sql_query(
                        "SELECT * FROM tenancy.exports WHERE workspace_id = $1 \
                         AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3)) \
                         ORDER BY created_at DESC, id DESC LIMIT $4",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<Nullable<Timestamptz>, _>(page.after.map(|after| after.at))
                    .bind::<Nullable<SqlUuid>, _>(page.after.map(|after| after.id))
                    .bind::<BigInt, _>(limit(page))
                    .load(tx)
                    .await
                    .map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn claim_export(
        &self,
        now: DateTime<Utc>,
        lease: WorkLease,
    ) -> Result<Option<(Export, u32)>, StoreError> {
        let job = self
            .database
            .system("tenancy.claim_export", async |tx: &mut SystemTx| -> Result<_, StoreError> {
                sql_query(
                    "UPDATE tenancy.export_jobs SET lease = $2, leased_until = $3, attempts = attempts + 1 \
                     WHERE (workspace, export) = (SELECT workspace, export FROM tenancy.export_jobs \
                     WHERE due_at <= $1 AND coalesce(leased_until <= $1, true) \
                     ORDER BY due_at, export LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING workspace, export, attempts",
                )
                .bind::<Timestamptz, _>(now)
                .bind::<SqlUuid, _>(lease.token)
                .bind::<Timestamptz, _>(lease.until)
                .get_result::<JobRow>(tx)
                .await
                .optional()
                .map_err(failed)
            })
            .await?;
        let Some(JobRow {
            workspace,
            export,
            attempts,
        }) = job
        else {
            return Ok(None);
        };
        let export = self
            .database
            .workspace(
                "tenancy.begin_export",
                WorkspaceId(workspace),
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    drop_chunks(tx, export).await?;
                    find(tx, export).await
                },
            )
            .await?;
        Ok(export.map(|export| (export, u32::try_from(attempts).unwrap_or(u32::MAX))))
    }

    async fn append_chunk(
        &self,
        export: &Export,
        lease: WorkLease,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let number = numbered(number)?;
        self.database
            .workspace(
                "tenancy.append_chunk",
                export.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let renewed = sql_query(
                        "UPDATE tenancy.export_jobs SET leased_until = $4 \
                         WHERE workspace = $1 AND export = $2 AND lease = $3",
                    )
                    .bind::<SqlUuid, _>(export.workspace.0)
                    .bind::<SqlUuid, _>(export.id)
                    .bind::<SqlUuid, _>(lease.token)
                    .bind::<Timestamptz, _>(lease.until)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    if renewed == 0 {
                        return Err(StoreError::Conflict);
                    }
                    sql_query(
                        "INSERT INTO tenancy.export_chunks (workspace_id, export, number, bytes) \
                         VALUES ($1, $2, $3, $4)",
                    )
                    .bind::<SqlUuid, _>(export.workspace.0)
                    .bind::<SqlUuid, _>(export.id)
                    .bind::<Integer, _>(number)
                    .bind::<Binary, _>(bytes)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }

    async fn finish_export(
        &self,
        export: &Export,
        token: Uuid,
        content: Option<&Content>,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let nothing = Content::default();
        let (size, tables) = &stored(content.unwrap_or(&nothing))?;
        let (fact, sha256) = (&fact, &content.unwrap_or(&nothing).sha256);
        let state = content.map_or(ExportState::Failed, |_| ExportState::Ready);
        self.database
            .workspace(
                "tenancy.finish_export",
                export.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    // The job stays until the bytes are to be thrown away.
                    let held = sql_query(
                        "UPDATE tenancy.export_jobs SET lease = NULL, leased_until = 'infinity' \
                         WHERE workspace = $1 AND export = $2 AND lease = $3",
                    )
                    .bind::<SqlUuid, _>(export.workspace.0)
                    .bind::<SqlUuid, _>(export.id)
                    .bind::<SqlUuid, _>(token)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    if held == 0 {
                        return Err(StoreError::Conflict);
                    }
                    sql_query(
                        "UPDATE tenancy.exports SET state = $3, size_bytes = $4, sha256 = $5, tables = $6 \
                         WHERE workspace_id = $1 AND id = $2",
                    )
                    .bind::<SqlUuid, _>(export.workspace.0)
                    .bind::<SqlUuid, _>(export.id)
                    .bind::<Text, _>(state.as_str())
                    .bind::<BigInt, _>(size)
                    .bind::<Text, _>(sha256)
                    .bind::<Json, _>(tables)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    if state == ExportState::Failed {
                        drop_chunks(tx, export.id).await?;
                    }
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn read_chunk(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        number: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        #[derive(QueryableByName)]
        struct Chunk {
            #[diesel(sql_type = Binary)]
            bytes: Vec<u8>,
        }
        let number = numbered(number)?;
        self.database
            .workspace(
                "tenancy.read_chunk",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let chunk: Option<Chunk> = sql_query(
                        "SELECT bytes FROM tenancy.export_chunks \
                         WHERE workspace_id = $1 AND export = $2 AND number = $3",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<SqlUuid, _>(id)
                    .bind::<Integer, _>(number)
                    .get_result(tx)
                    .await
                    .optional()
                    .map_err(failed)?;
                    Ok(chunk.map(|chunk| chunk.bytes))
                },
            )
            .await
    }

    /// Two that purge do the same twice, which changes nothing.
    async fn purge_exports(&self, now: DateTime<Utc>, limit: usize) -> Result<bool, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let over = now - crate::domain::EXPORT_LIFE;
        let (expired, doomed): (Vec<PlaceRow>, Vec<PlaceRow>) = self
            .database
            .system(
                "tenancy.find_purgeable",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let expired = sql_query(
                        "SELECT workspace, export AS object FROM tenancy.export_jobs \
                     WHERE due_at <= $1 AND leased_until = 'infinity' ORDER BY due_at LIMIT $2",
                    )
                    .bind::<Timestamptz, _>(over)
                    .bind::<BigInt, _>(limit)
                    .load(tx)
                    .await
                    .map_err(failed)?;
                    let doomed = sql_query("SELECT workspace, object FROM tenancy.doomed_objects LIMIT $1")
                        .bind::<BigInt, _>(limit)
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    Ok((expired, doomed))
                },
            )
            .await?;
        let more = i64::try_from(expired.len().max(doomed.len())).unwrap_or(i64::MAX) >= limit;
        for place in expired {
            self.expire(&place).await?;
        }
        for place in doomed {
            self.throw_away(&place).await?;
        }
        Ok(more)
    }

    async fn doomed_objects(&self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        self.database
            .system(
                "tenancy.doomed_objects",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let count: Count = sql_query(
                        "SELECT count(*) AS number FROM tenancy.doomed_objects WHERE workspace = $1",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .get_result(tx)
                    .await
                    .map_err(failed)?;
                    Ok(u64::try_from(count.number).unwrap_or_default())
                },
            )
            .await
    }
}

impl PgStore {
    async fn expire(&self, place: &PlaceRow) -> Result<(), StoreError> {
        self.database
            .workspace(
                "tenancy.expire_export",
                WorkspaceId(place.workspace),
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    drop_chunks(tx, place.object).await?;
                    sql_query(
                        "UPDATE tenancy.exports SET state = 'expired' WHERE workspace_id = $1 AND id = $2",
                    )
                    .bind::<SqlUuid, _>(place.workspace)
                    .bind::<SqlUuid, _>(place.object)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    sql_query("DELETE FROM tenancy.export_jobs WHERE workspace = $1 AND export = $2")
                        .bind::<SqlUuid, _>(place.workspace)
                        .bind::<SqlUuid, _>(place.object)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }

    async fn throw_away(&self, place: &PlaceRow) -> Result<(), StoreError> {
        self.database
            .workspace(
                "tenancy.throw_away",
                WorkspaceId(place.workspace),
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    drop_chunks(tx, place.object).await?;
                    sql_query("DELETE FROM tenancy.doomed_objects WHERE workspace = $1 AND object = $2")
                        .bind::<SqlUuid, _>(place.workspace)
                        .bind::<SqlUuid, _>(place.object)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}
