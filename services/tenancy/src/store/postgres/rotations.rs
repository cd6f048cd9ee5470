//! Rotations on PostgreSQL. Leases go by the clock of the database: several processes share it.

mod rows;

use std::time::Duration;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::{OutboxEvent, commit_with_outbox_row};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use self::rows::{FailureRow, RotationRow, rotation_failures, rotations};
use super::keys::{self, KeyRow, gone, workspace_keys};
use super::rows::stored;
use super::{PgStore, failed, limit};
use crate::KEYSTORE;
use crate::domain::{KeyChange, KeyState, Lease, Rotation, StoredKey, UnreadableRow};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::{Advance, RotationStore, StoreError};

diesel::table! {
    keystore.rotation_leases (workspace) {
        workspace -> Uuid,
        rotation -> Uuid,
        token -> Uuid,
        expires_at -> Timestamptz,
    }
}

#[derive(QueryableByName)]
struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    workspace: Uuid,
    #[diesel(sql_type = SqlUuid)]
    rotation: Uuid,
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Takes the lease from now on; it is still who has the token that may.
async fn extend(tx: &mut WorkspaceTx, lease: &Lease, time: Duration) -> Result<(), StoreError> {
    let held = sql_query(
        "UPDATE keystore.rotation_leases SET expires_at = now() + $3 * interval '1 millisecond' \
         WHERE workspace = $1 AND token = $2",
    )
    .bind::<SqlUuid, _>(lease.workspace.0)
    .bind::<SqlUuid, _>(lease.token)
    .bind::<BigInt, _>(millis(time))
    .execute(tx)
    .await
    .map_err(failed)?;
    if held == 0 {
        return Err(StoreError::LeaseLost);
    }
    Ok(())
}

async fn give_back(tx: &mut WorkspaceTx) -> Result<(), StoreError> {
    let workspace = tx.workspace().0;
    diesel::delete(rotation_leases::table.find(workspace))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// The last thing in a transaction: it commits it.
async fn keep(tx: &mut WorkspaceTx, fact: &OutboxEvent) -> Result<(), StoreError> {
    commit_with_outbox_row(tx, KEYSTORE.name, fact)
        .await
        .map_err(failed)
}

/// Moves the versions that the step is about, and no others: doing it again changes nothing.
async fn change_keys(
    tx: &mut WorkspaceTx,
    rotation: &Rotation,
    change: KeyChange,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ring = workspace_keys::table
        .filter(workspace_keys::workspace_id.eq(rotation.workspace.0))
        .filter(workspace_keys::ring.eq(rotation.ring.as_str()));
    let newest = stored(rotation.to_version)?;
    let older = workspace_keys::version.lt(newest);
    let is = |state: KeyState| workspace_keys::state.eq(state.as_str());
    let becomes = is;
    match change {
        KeyChange::Keep => {}
        KeyChange::Activate => {
            // In this order: there is never a second active one.
            diesel::update(ring.filter(older).filter(is(KeyState::Active)))
                .set(becomes(KeyState::DecryptOnly))
                .execute(tx)
                .await
                .map_err(failed)?;
            let pending = workspace_keys::version.eq(newest).and(is(KeyState::Pending));
            diesel::update(ring.filter(pending))
                .set(becomes(KeyState::Active))
                .execute(tx)
                .await
                .map_err(failed)?;
        }
        KeyChange::Retire => {
            diesel::update(ring.filter(older).filter(is(KeyState::DecryptOnly)))
                .set(becomes(KeyState::Retiring))
                .execute(tx)
                .await
                .map_err(failed)?;
        }
        KeyChange::Destroy => {
            diesel::update(ring.filter(older).filter(is(KeyState::Retiring)))
                .set(gone(at))
                .execute(tx)
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

async fn keep_failures(tx: &mut WorkspaceTx, advance: &Advance<'_>) -> Result<(), StoreError> {
    let rotation = advance.rotation;
    if advance.afresh {
        let known = rotation_failures::table
            .filter(rotation_failures::workspace_id.eq(rotation.workspace.0))
            .filter(rotation_failures::rotation.eq(rotation.id));
        diesel::delete(known).execute(tx).await.map_err(failed)?;
    }
    let found: Vec<FailureRow> = advance
        .unreadable
        .iter()
        .map(|row| FailureRow::of(rotation, row))
        .collect();
    if !found.is_empty() {
        diesel::insert_into(rotation_failures::table)
            .values(&found)
            .on_conflict_do_nothing()
            .execute(tx)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

#[async_trait]
impl RotationStore for PgStore {
    async fn begin_rotation(
        &self,
        rotation: &Rotation,
        key: &StoredKey,
        lease: &Lease,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let (row, key, fact) = (&RotationRow::try_from(rotation)?, &KeyRow::try_from(key)?, &fact);
        let from = stored(rotation.from_version)?;
        self.database
            .workspace(
                "keystore.begin_rotation",
                rotation.workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    keys::hold(tx).await?;
                    let running = rotation_leases::table.find(rotation.workspace.0);
                    let running = running.select(rotation_leases::rotation).first::<Uuid>(tx).await;
                    if running.optional().map_err(failed)?.is_some() {
                        return Err(Refusal::RotationRunning.into());
                    }
                    let active = workspace_keys::table
                        .filter(workspace_keys::workspace_id.eq(rotation.workspace.0))
                        .filter(workspace_keys::ring.eq(rotation.ring.as_str()))
                        .filter(workspace_keys::state.eq(KeyState::Active.as_str()))
                        .select(workspace_keys::version);
                    let active: Option<i32> = active.first(tx).await.optional().map_err(failed)?;
                    if active.unwrap_or_default() != from {
                        return Err(StoreError::Conflict);
                    }
                    keys::insert(tx, key).await?;
                    diesel::insert_into(rotations::table)
                        .values(row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    sql_query(
                        "INSERT INTO keystore.rotation_leases (workspace, rotation, token, expires_at) \
                         VALUES ($1, $2, $3, now() + $4 * interval '1 millisecond')",
                    )
                    .bind::<SqlUuid, _>(rotation.workspace.0)
                    .bind::<SqlUuid, _>(rotation.id)
                    .bind::<SqlUuid, _>(lease.token)
                    .bind::<BigInt, _>(millis(lease.time))
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn claim_rotation(&self, token: Uuid, time: Duration) -> Result<Option<Rotation>, StoreError> {
        let claimed = self
            .database
            .system(
                "keystore.claim_rotation",
                async |tx: &mut SystemTx| -> Result<Option<Claimed>, StoreError> {
                    sql_query(
                        "UPDATE keystore.rotation_leases \
                         SET token = $1, expires_at = now() + $2 * interval '1 millisecond' \
                         WHERE workspace = (SELECT workspace FROM keystore.rotation_leases \
                             WHERE expires_at <= now() ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED) \
                         RETURNING workspace, rotation",
                    )
                    .bind::<SqlUuid, _>(token)
                    .bind::<BigInt, _>(millis(time))
                    .get_result(tx)
                    .await
                    .optional()
                    .map_err(failed)
                },
            )
            .await?;
        let Some(claimed) = claimed else { return Ok(None) };
        let workspace = WorkspaceId(claimed.workspace);
        let rotation = self.find_rotation(workspace, claimed.rotation).await?;
        if rotation.is_none() {
            // It was erased with its workspace.
            self.database
                .workspace(
                    "keystore.forget_rotation",
                    workspace,
                    async |tx: &mut WorkspaceTx| give_back(tx).await,
                )
                .await?;
        }
        Ok(rotation)
    }

    async fn advance_rotation(&self, lease: &Lease, advance: Advance<'_>) -> Result<(), StoreError> {
        let (advance, rotation) = (&advance, advance.rotation);
        let row = &RotationRow::try_from(rotation)?;
        self.database
            .workspace(
                "keystore.advance_rotation",
                rotation.workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    extend(tx, lease, lease.time).await?;
                    change_keys(tx, rotation, advance.keys, rotation.updated_at).await?;
                    keep_failures(tx, advance).await?;
                    diesel::update(rotations::table.find((rotation.workspace.0, rotation.id)))
                        .set(row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if rotation.finished_at.is_some() {
                        give_back(tx).await?;
                    }
                    match &advance.fact {
                        Some(fact) => keep(tx, fact).await,
                        None => Ok(()),
                    }
                },
            )
            .await
    }

    async fn release_rotation(&self, lease: &Lease, pause: Duration) -> Result<(), StoreError> {
        let released = self
            .database
            .workspace(
                "keystore.release_rotation",
                lease.workspace,
                async |tx: &mut WorkspaceTx| extend(tx, lease, pause).await,
            )
            .await;
        match released {
            Err(StoreError::LeaseLost) => Ok(()),
            answer => answer,
        }
    }

    async fn find_rotation(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Rotation>, StoreError> {
        self.database
            .workspace(
                "keystore.find_rotation",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = rotations::table
                        .find((workspace.0, id))
                        .select(RotationRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn list_rotations(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Rotation>, StoreError> {
        self.database
            .workspace(
                "keystore.list_rotations",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mut query = rotations::table
                        .filter(rotations::workspace_id.eq(workspace.0))
                        .select(RotationRow::as_select())
                        .order((rotations::started_at.desc(), rotations::id.desc()))
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(TimePlace { at, id }) = page.after {
                        let same = rotations::started_at.eq(at).and(rotations::id.lt(id));
                        query = query.filter(rotations::started_at.lt(at).or(same));
                    }
                    let rows: Vec<RotationRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn list_unreadable(
        &self,
        workspace: WorkspaceId,
        rotation: Uuid,
        most: usize,
    ) -> Result<Vec<UnreadableRow>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.database
            .workspace(
                "keystore.list_unreadable",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let rows: Vec<FailureRow> = rotation_failures::table
                        .filter(rotation_failures::workspace_id.eq(workspace.0))
                        .filter(rotation_failures::rotation.eq(rotation))
                        .select(FailureRow::as_select())
                        .order((rotation_failures::table_name, rotation_failures::row_key))
                        .limit(most)
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    Ok(rows.into_iter().map(Into::into).collect())
                },
            )
            .await
    }
}
