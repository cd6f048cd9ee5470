//! The schema `ledger`. Its facts go into the outbox of this service, in the same transaction.

mod rows;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_holder::{Buried, Tombstone};
use causeway_outbox::{OutboxEvent, insert_outbox_row};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension as _, sql_query};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use uuid::Uuid;

use self::rows::{ERASURE, ErasureRow, RECEIPT, ReceiptRow, TOMBSTONE, TombstoneRow, corrupt, signed};
use super::membership::member;
use super::{PgStore, failed, hold, limit};
use crate::SCHEMA;
use crate::domain::{Done, Erasure, ErasureState, NO_HASH, Receipt};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::StoreError;
use crate::store::lifecycle::{LedgerStore, WorkLease};

/// Any constant that nobody else locks: receipts are written one after the other.
const CHAIN: i64 = 7_206_914_004;

async fn keep(tx: &mut SystemTx, fact: &OutboxEvent) -> Result<(), StoreError> {
    insert_outbox_row(tx, SCHEMA.name, fact).await.map_err(failed)
}

async fn receipt_of(tx: &mut SystemTx, erasure: Uuid) -> Result<Option<Receipt>, StoreError> {
    let row: Option<ReceiptRow> = sql_query(format!("{RECEIPT} WHERE erasure = $1"))
        .bind::<SqlUuid, _>(erasure)
        .get_result(tx)
        .await
        .optional()
        .map_err(failed)?;
    row.map(TryInto::try_into).transpose()
}

async fn with_receipts(tx: &mut SystemTx, rows: Vec<ErasureRow>) -> Result<Vec<Erasure>, StoreError> {
    let mut erasures = Vec::with_capacity(rows.len());
    for row in rows {
        let mut erasure = Erasure::try_from(row)?;
        if erasure.state == ErasureState::Succeeded {
            erasure.receipt = receipt_of(tx, erasure.id).await?;
        }
        erasures.push(erasure);
    }
    Ok(erasures)
}

#[async_trait]
impl LedgerStore for PgStore {
    async fn order_erasure(&self, erasure: &Erasure, fact: OutboxEvent) -> Result<Erasure, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "ledger.order",
                async |tx: &mut SystemTx| -> Result<Erasure, StoreError> {
                    let added = sql_query(
                        "INSERT INTO ledger.erasures \
                     (id, workspace, subject, state, requested_by, requested_at, scheduled_for) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace, subject) \
                     WHERE state IN ('scheduled', 'running') DO NOTHING",
                    )
                    .bind::<SqlUuid, _>(erasure.id)
                    .bind::<SqlUuid, _>(erasure.workspace.0)
                    .bind::<Nullable<SqlUuid>, _>(erasure.subject.map(|subject| subject.0))
                    .bind::<Text, _>(erasure.state.as_str())
                    .bind::<SqlUuid, _>(erasure.requested_by.0)
                    .bind::<Timestamptz, _>(erasure.requested_at)
                    .bind::<Timestamptz, _>(erasure.scheduled_for)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    if added > 0 {
                        keep(tx, fact).await?;
                        return Ok(erasure.clone());
                    }
                    let open: Option<ErasureRow> = sql_query(format!(
                        "SELECT {ERASURE} FROM ledger.erasures WHERE workspace = $1 \
                     AND subject IS NOT DISTINCT FROM $2 AND state IN ('scheduled', 'running')"
                    ))
                    .bind::<SqlUuid, _>(erasure.workspace.0)
                    .bind::<Nullable<SqlUuid>, _>(erasure.subject.map(|subject| subject.0))
                    .get_result(tx)
                    .await
                    .optional()
                    .map_err(failed)?;
                    // It ended in this very moment.
                    open.ok_or(StoreError::Conflict)?.try_into()
                },
            )
            .await
    }

    async fn find_erasure(&self, id: Uuid) -> Result<Option<Erasure>, StoreError> {
        self.database
            .system(
                "ledger.find",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let rows = sql_query(format!("SELECT {ERASURE} FROM ledger.erasures WHERE id = $1"))
                        .bind::<SqlUuid, _>(id)
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    Ok(with_receipts(tx, rows).await?.pop())
                },
            )
            .await
    }

    async fn list_erasures(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Erasure>, StoreError> {
        self.database
            .system(
                "ledger.list",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let rows = sql_query(format!(
                        "SELECT {ERASURE} FROM ledger.erasures WHERE workspace = $1 \
                     AND ($2::timestamptz IS NULL OR (requested_at, id) < ($2, $3)) \
                     ORDER BY requested_at DESC, id DESC LIMIT $4"
                    ))
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<Nullable<Timestamptz>, _>(page.after.map(|after| after.at))
                    .bind::<Nullable<SqlUuid>, _>(page.after.map(|after| after.id))
                    .bind::<BigInt, _>(limit(page))
                    .load(tx)
                    .await
                    .map_err(failed)?;
                    with_receipts(tx, rows).await
                },
            )
            .await
    }

    async fn cancel_erasure(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        fact: OutboxEvent,
    ) -> Result<Option<Erasure>, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "ledger.cancel",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let row: Option<ErasureRow> = sql_query(format!(
                        "SELECT {ERASURE} FROM ledger.erasures WHERE id = $1 AND workspace = $2 FOR UPDATE"
                    ))
                    .bind::<SqlUuid, _>(id)
                    .bind::<SqlUuid, _>(workspace.0)
                    .get_result(tx)
                    .await
                    .optional()
                    .map_err(failed)?;
                    let Some(mut erasure) = row.map(Erasure::try_from).transpose()? else {
                        return Ok(None);
                    };
                    match erasure.state {
                        ErasureState::Running | ErasureState::Succeeded => Err(Refusal::ErasureBegun.into()),
                        ErasureState::Cancelled => Ok(Some(erasure)),
                        ErasureState::Scheduled => {
                            sql_query("UPDATE ledger.erasures SET state = 'cancelled' WHERE id = $1")
                                .bind::<SqlUuid, _>(id)
                                .execute(tx)
                                .await
                                .map_err(failed)?;
                            keep(tx, fact).await?;
                            erasure.state = ErasureState::Cancelled;
                            Ok(Some(erasure))
                        }
                    }
                },
            )
            .await
    }

    async fn claim_erasure(
        &self,
        now: DateTime<Utc>,
        lease: WorkLease,
    ) -> Result<Option<Erasure>, StoreError> {
        self.database
            .system("ledger.claim", async |tx: &mut SystemTx| -> Result<_, StoreError> {
                let row: Option<ErasureRow> = sql_query(format!(
                    "UPDATE ledger.erasures SET state = 'running', lease = $2, leased_until = $3 WHERE id = ( \
                     SELECT id FROM ledger.erasures WHERE (state = 'scheduled' AND scheduled_for <= $1) \
                     OR (state = 'running' AND coalesce(leased_until <= $1, true)) \
                     ORDER BY scheduled_for, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING {ERASURE}"
                ))
                .bind::<Timestamptz, _>(now)
                .bind::<SqlUuid, _>(lease.token)
                .bind::<Timestamptz, _>(lease.until)
                .get_result(tx)
                .await
                .optional()
                .map_err(failed)?;
                row.map(TryInto::try_into).transpose()
            })
            .await
    }

    async fn renew_erasure(&self, id: Uuid, lease: WorkLease) -> Result<bool, StoreError> {
        self.database
            .system("ledger.renew", async |tx: &mut SystemTx| -> Result<_, StoreError> {
                let renewed = sql_query(
                    "UPDATE ledger.erasures SET leased_until = $3 WHERE id = $1 AND lease = $2 AND state = 'running'",
                )
                .bind::<SqlUuid, _>(id)
                .bind::<SqlUuid, _>(lease.token)
                .bind::<Timestamptz, _>(lease.until)
                .execute(tx)
                .await
                .map_err(failed)?;
                Ok(renewed > 0)
            })
            .await
    }

    async fn abandon_erasure(&self, id: Uuid, token: Uuid, fact: OutboxEvent) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "ledger.abandon",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let given_up = sql_query(
                        "UPDATE ledger.erasures SET state = 'cancelled' WHERE id = $1 AND lease = $2 \
                     AND state = 'running' AND NOT EXISTS (SELECT FROM ledger.tombstones WHERE erasure = $1)",
                    )
                    .bind::<SqlUuid, _>(id)
                    .bind::<SqlUuid, _>(token)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    if given_up > 0 {
                        keep(tx, fact).await?;
                    }
                    Ok(given_up > 0)
                },
            )
            .await
    }

    async fn bury(&self, erasure: &Erasure, at: DateTime<Utc>) -> Result<Tombstone, StoreError> {
        self.database
            .workspace(
                "ledger.bury",
                erasure.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    if let Some(buried) = buried(tx, erasure.id).await? {
                        return Ok(buried.tombstone);
                    }
                    if let Some(subject) = erasure.subject {
                        step_down(tx, subject).await?;
                    }
                    sql_query(
                        "INSERT INTO ledger.tombstones (erasure, workspace, subject, buried_at) \
                     VALUES ($1, $2, $3, $4) ON CONFLICT (erasure) DO NOTHING",
                    )
                    .bind::<SqlUuid, _>(erasure.id)
                    .bind::<SqlUuid, _>(erasure.workspace.0)
                    .bind::<Nullable<SqlUuid>, _>(erasure.subject.map(|subject| subject.0))
                    .bind::<Timestamptz, _>(at)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    let buried = buried(tx, erasure.id).await?;
                    Ok(buried.ok_or(corrupt("a tombstone that was not kept"))?.tombstone)
                },
            )
            .await
    }

    async fn finish_erasure(
        &self,
        erasure: &Erasure,
        done: &Done,
        fact: OutboxEvent,
    ) -> Result<Receipt, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "ledger.finish",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    tx.batch_execute(&format!("SELECT pg_advisory_xact_lock({CHAIN})"))
                        .await
                        .map_err(failed)?;
                    if let Some(receipt) = receipt_of(tx, erasure.id).await? {
                        return Ok(receipt);
                    }
                    let last: Option<ReceiptRow> =
                        sql_query(format!("{RECEIPT} ORDER BY sequence DESC LIMIT 1"))
                            .get_result(tx)
                            .await
                            .optional()
                            .map_err(failed)?;
                    let last = last.map(Receipt::try_from).transpose()?;
                    let (sequence, hash) = last
                        .as_ref()
                        .map_or((0, NO_HASH), |last| (last.sequence, last.hash.as_str()));
                    let receipt = Receipt::after(sequence, hash, erasure, done.clone());
                    insert_receipt(tx, &receipt).await?;
                    sql_query("UPDATE ledger.erasures SET state = 'succeeded', lease = NULL WHERE id = $1")
                        .bind::<SqlUuid, _>(erasure.id)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    keep(tx, fact).await?;
                    Ok(receipt)
                },
            )
            .await
    }

    async fn receipts(&self) -> Result<Vec<Receipt>, StoreError> {
        self.database
            .system(
                "ledger.receipts",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let rows: Vec<ReceiptRow> = sql_query(format!("{RECEIPT} ORDER BY sequence"))
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn tombstones(&self) -> Result<Vec<Buried>, StoreError> {
        self.database
            .system(
                "ledger.tombstones",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let rows: Vec<TombstoneRow> = sql_query(format!("{TOMBSTONE} ORDER BY number"))
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    Ok(rows.into_iter().map(Into::into).collect())
                },
            )
            .await
    }
}

async fn buried(tx: &mut WorkspaceTx, erasure: Uuid) -> Result<Option<Buried>, StoreError> {
    let row: Option<TombstoneRow> = sql_query(format!("{TOMBSTONE} WHERE erasure = $1"))
        .bind::<SqlUuid, _>(erasure)
        .get_result(tx)
        .await
        .optional()
        .map_err(failed)?;
    Ok(row.map(Into::into))
}

/// Whoever is to be erased is no owner any more from the tombstone on: with the workspace held there is another owner,
/// and that one cannot leave because of an owner who is as good as gone.
async fn step_down(tx: &mut WorkspaceTx, subject: UserId) -> Result<(), StoreError> {
    match hold(tx).await {
        Err(StoreError::NoParent) => return Err(Refusal::MemberNotFound.into()),
        answer => answer?,
    };
    let workspace = tx.workspace().0;
    if member(tx, subject).await?.is_none() {
        return Err(Refusal::MemberNotFound.into());
    }
    let lowered = sql_query(
        "UPDATE tenancy.members SET role = CASE WHEN custom_role IS NULL THEN 'viewer' ELSE role END WHERE workspace_id = $1 AND user_id = $2 \
         AND (role <> 'owner' OR EXISTS (SELECT FROM tenancy.members AS other \
         WHERE other.workspace_id = $1 AND other.role = 'owner' AND other.user_id <> $2))",
    )
    .bind::<SqlUuid, _>(workspace)
    .bind::<SqlUuid, _>(subject.0)
    .execute(tx)
    .await
    .map_err(failed)?;
    match lowered {
        0 => Err(Refusal::LastOwner.into()),
        _ => Ok(()),
    }
}

async fn insert_receipt(tx: &mut SystemTx, receipt: &Receipt) -> Result<(), StoreError> {
    let json = |value: serde_json::Result<serde_json::Value>| {
        value.map_err(|error| StoreError::Corrupt(error.into()))
    };
    let (done, counts) = (&receipt.done, serde_json::to_value(&receipt.done.counts));
    sql_query(
        "INSERT INTO ledger.receipts (sequence, erasure, completed_at, effective_at, destroyed_keys, counts, \
         retained, previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind::<BigInt, _>(signed(receipt.sequence))
    .bind::<SqlUuid, _>(receipt.erasure)
    .bind::<Timestamptz, _>(done.completed_at)
    .bind::<Timestamptz, _>(done.effective_at)
    .bind::<BigInt, _>(signed(done.destroyed_keys))
    .bind::<Json, _>(json(counts)?)
    .bind::<Json, _>(json(serde_json::to_value(&done.retained))?)
    .bind::<Text, _>(&receipt.previous_hash)
    .bind::<Text, _>(&receipt.hash)
    .execute(tx)
    .await
    .map_err(failed)?;
    Ok(())
}
