//! After a restore: what the ledger says was erased is erased again, before anything is served (ERA-03).

use causeway_context::{UserId, WorkspaceId};
use causeway_database::{Database, DatabaseError, Finding, SystemTx};
use causeway_holder::{Buried, Tombstone};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use uuid::Uuid;

use crate::domain::NO_HASH;
use crate::page::Page;
use crate::store::{
    ExportStore as _, KeyStore as _, LedgerStore as _, PgStore, TenantRows as _, WorkspaceStore as _,
};

const PURGE: usize = 100;

/// A replay that did not go through. It may be begun again.
#[derive(Debug, thiserror::Error)]
#[error("apply a tombstone to the schemas of tenancy")]
pub struct ReplayError(#[from] crate::store::StoreError);

/// The ledger beside schemas that may have been restored.
pub struct Restored {
    database: Database,
    store: PgStore,
}

impl Restored {
    /// The schemas of that database, all of them migrated.
    pub fn new(database: Database) -> Self {
        Self {
            store: PgStore::new(database.clone()),
            database,
        }
    }

    /// All tombstones, in the order of their numbers. An erasure that is still at work goes on by itself.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn ledger(&self) -> Result<Vec<Buried>, ReplayError> {
        Ok(self.store.tombstones().await?)
    }

    /// Data keys that an old backup of the keystore has brought back.
    ///
    /// # Errors
    /// No answer from the database.
    pub async fn revived_keys(&self, ledger: &[Buried]) -> Result<Vec<Finding>, DatabaseError> {
        #[derive(QueryableByName)]
        struct Revived {
            #[diesel(sql_type = SqlUuid)]
            workspace_id: Uuid,
        }
        let finished = ledger.iter().filter(|buried| buried.finished);
        let gone: &Vec<Uuid> = &finished
            .map(|buried| &buried.tombstone)
            .filter(|tombstone| tombstone.subject.is_none())
            .map(|tombstone| tombstone.workspace.0)
            .collect();
        let query =
            "SELECT DISTINCT workspace_id FROM keystore.wrapped_keys_of($1) WHERE state <> 'destroyed'";
        let rows: Vec<Revived> = self
            .database
            .system(
                "keystore.revived",
                async |tx: &mut SystemTx| -> Result<_, DatabaseError> {
                    Ok(sql_query(query).bind::<Array<SqlUuid>, _>(gone).load(tx).await?)
                },
            )
            .await?;
        Ok(rows
            .iter()
            .map(|row| Finding {
                rule: "ERA-03".to_owned(),
                subject: "keystore".to_owned(),
                message: format!(
                    "the data keys of the erased workspace {} were restored; run `causeway db replay`",
                    WorkspaceId(row.workspace_id)
                ),
            })
            .collect())
    }

    /// Receipts that are not what was written, or do not follow the one before (ERA-06).
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn broken_receipts(&self) -> Result<Vec<Finding>, ReplayError> {
        let (mut findings, mut sequence, mut hash) = (Vec::new(), 0, NO_HASH.to_owned());
        for receipt in self.store.receipts().await? {
            let follows = receipt.sequence == sequence + 1 && receipt.previous_hash == hash;
            if !follows || receipt.hash != receipt.computed_hash() {
                findings.push(Finding {
                    rule: "ERA-06".to_owned(),
                    subject: "ledger.receipts".to_owned(),
                    message: format!(
                        "receipt {} was changed, or one before it is missing",
                        receipt.sequence
                    ),
                });
            }
            (sequence, hash) = (receipt.sequence, receipt.hash);
        }
        Ok(findings)
    }

    /// Applies a tombstone here; answers the persons who have no workspace by it. Nothing happens where it was applied.
    ///
    /// # Errors
    /// No answer from the database.
    pub async fn replay(
        &self,
        tombstone: &Tombstone,
        now: DateTime<Utc>,
    ) -> Result<Vec<UserId>, ReplayError> {
        if tombstone.subject.is_none() {
            self.store.destroy_keys(tombstone.workspace, now).await?;
            self.store.forget_rotations(tombstone).await?;
        }
        let applied = self.store.apply_tombstone(tombstone, now).await?;
        while self.store.doomed_objects(tombstone.workspace).await? > 0 {
            self.store.purge_exports(now, PURGE).await?;
        }
        let (mut leavers, first) = (Vec::new(), Page { size: 1, after: None });
        for user in applied.leavers.into_iter().map(UserId) {
            if self.store.list_memberships(user, &first).await?.is_empty() {
                leavers.push(user);
            }
        }
        Ok(leavers)
    }
}
