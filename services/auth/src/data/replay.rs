//! After a restore: what the ledger says was erased is erased again, before anything is served (ERA-03).

use causeway_context::UserId;
use causeway_database::Database;
use causeway_holder::Tombstone;
use chrono::{DateTime, Utc};

use crate::store::{DataStore as _, PgStore, StoreError};

/// A replay that did not go through. It may be begun again.
#[derive(Debug, thiserror::Error)]
#[error("apply a tombstone to the schema auth")]
pub struct ReplayError(#[source] StoreError);

/// The schema `auth`, which may have been restored.
pub struct Restored(PgStore);

impl Restored {
    /// The schema of that database, migrated.
    pub fn new(database: Database) -> Self {
        Self(PgStore::new(database))
    }

    /// The address of a person who is to be erased, for what others keep by address.
    ///
    /// # Errors
    /// No answer from the database.
    pub async fn address_of(&self, user: UserId) -> Result<Option<String>, ReplayError> {
        self.0.address_of(user).await.map_err(ReplayError)
    }

    /// Applies a tombstone here. Nothing happens where it was applied.
    ///
    /// # Errors
    /// No answer from the database.
    pub async fn replay(&self, tombstone: &Tombstone, now: DateTime<Utc>) -> Result<(), ReplayError> {
        self.0
            .apply_tombstone(tombstone, now)
            .await
            .map_err(ReplayError)?;
        Ok(())
    }
}
