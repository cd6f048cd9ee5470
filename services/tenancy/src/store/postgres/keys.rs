//! Data keys on PostgreSQL: the schema `keystore`.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_crypto::WrappedKey;
use causeway_database::WorkspaceTx;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::upsert::on_constraint;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::rows::{corrupt, loaded, stored, workspaces};
use super::{PgStore, failed, limit};
use crate::domain::{KeyPlace, KeyState, Ring, StoredKey};
use crate::page::Page;
use crate::store::{KeyStore, StoreError, shredded_ring};

diesel::table! {
    keystore.workspace_keys (workspace_id, ring, version) {
        workspace_id -> Uuid,
        ring -> Text,
        version -> Integer,
        state -> Text,
        key_id -> Nullable<Text>,
        wrapped -> Nullable<Binary>,
        created_at -> Timestamptz,
        destroyed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    keystore.keyed_workspaces (workspace) {
        workspace -> Uuid,
    }
}

#[derive(Queryable, Selectable, Insertable, QueryableByName)]
#[diesel(table_name = workspace_keys, check_for_backend(diesel::pg::Pg))]
pub(super) struct KeyRow {
    workspace_id: Uuid,
    ring: String,
    version: i32,
    state: String,
    key_id: Option<String>,
    wrapped: Option<Vec<u8>>,
    created_at: DateTime<Utc>,
    destroyed_at: Option<DateTime<Utc>>,
}

impl TryFrom<&StoredKey> for KeyRow {
    type Error = StoreError;

    fn try_from(key: &StoredKey) -> Result<Self, StoreError> {
        let (key_id, wrapped) = key.wrapped.clone().map(|key| (key.key_id, key.bytes)).unzip();
        Ok(Self {
            workspace_id: key.workspace.0,
            ring: key.ring.as_str().to_owned(),
            version: stored(key.version)?,
            state: key.state.as_str().to_owned(),
            key_id,
            wrapped,
            created_at: key.created_at,
            destroyed_at: key.destroyed_at,
        })
    }
}

impl TryFrom<KeyRow> for StoredKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let wrapped = row.key_id.zip(row.wrapped);
        Ok(Self {
            workspace: WorkspaceId(row.workspace_id),
            ring: Ring::parse(&row.ring).map_err(corrupt)?,
            version: loaded(row.version)?,
            state: KeyState::read(&row.state).ok_or_else(|| corrupt("no such state of a key"))?,
            wrapped: wrapped.map(|(key_id, bytes)| WrappedKey { key_id, bytes }),
            created_at: row.created_at,
            destroyed_at: row.destroyed_at,
        })
    }
}

/// Holds the workspace's keys until the end of the transaction: what adds one and what destroys all come one after the
/// other, and each statement from here on sees what was done before.
pub(super) async fn hold(tx: &mut WorkspaceTx) -> Result<(), StoreError> {
    let workspace = tx.workspace().0;
    diesel::insert_into(keyed_workspaces::table)
        .values(keyed_workspaces::workspace.eq(workspace))
        .on_conflict_do_nothing()
        .execute(tx)
        .await
        .map_err(failed)?;
    let held = keyed_workspaces::table.find(workspace).for_update();
    held.select(keyed_workspaces::workspace)
        .first::<Uuid>(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Adds a key of a workspace that is there.
pub(super) async fn insert(tx: &mut WorkspaceTx, key: &KeyRow) -> Result<(), StoreError> {
    // The other schema is asked and not referred to. A workspace that goes right now loses this key too, or has lost
    // its rings: what destroys the keys leaves a row that is in the way of this one.
    let parent = workspaces::table
        .find(tx.workspace().0)
        .select(workspaces::workspace_id);
    let parent: Option<Uuid> = parent.first(tx).await.optional().map_err(failed)?;
    parent.ok_or(StoreError::NoParent)?;
    diesel::insert_into(workspace_keys::table)
        .values(key)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl KeyStore for PgStore {
    async fn find_active_key(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
    ) -> Result<Option<StoredKey>, StoreError> {
        self.database
            .workspace(
                "keystore.find_active_key",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = workspace_keys::table
                        .filter(workspace_keys::workspace_id.eq(workspace.0))
                        .filter(workspace_keys::ring.eq(ring.as_str()))
                        .filter(workspace_keys::state.eq(KeyState::Active.as_str()))
                        .select(KeyRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn find_key(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
        version: u32,
    ) -> Result<Option<StoredKey>, StoreError> {
        // Anybody can write a version into what is said to be an envelope.
        let Ok(version) = stored(version) else {
            return Ok(None);
        };
        self.database
            .workspace(
                "keystore.find_key",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = workspace_keys::table
                        .find((workspace.0, ring.as_str(), version))
                        .select(KeyRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn list_keys(
        &self,
        workspace: WorkspaceId,
        page: &Page<KeyPlace>,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let after = match page.after {
            Some(place) => Some((place.ring, stored(place.version)?)),
            None => None,
        };
        self.database
            .workspace(
                "keystore.list_keys",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mut query = workspace_keys::table
                        .filter(workspace_keys::workspace_id.eq(workspace.0))
                        .select(KeyRow::as_select())
                        .order((workspace_keys::ring, workspace_keys::version))
                        .limit(limit(page))
                        .into_boxed();
                    if let Some((ring, version)) = after {
                        let same = workspace_keys::ring
                            .eq(ring.as_str())
                            .and(workspace_keys::version.gt(version));
                        query = query.filter(workspace_keys::ring.gt(ring.as_str()).or(same));
                    }
                    let rows: Vec<KeyRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn insert_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let row = &KeyRow::try_from(key)?;
        self.database
            .workspace(
                "keystore.insert_key",
                key.workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    hold(tx).await?;
                    insert(tx, row).await
                },
            )
            .await
    }

    async fn destroy_keys(&self, workspace: WorkspaceId, at: DateTime<Utc>) -> Result<u64, StoreError> {
        self.database
            .workspace(
                "keystore.destroy_keys",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<u64, StoreError> {
                    hold(tx).await?;
                    for ring in Ring::ALL {
                        let mark = KeyRow::try_from(&shredded_ring(workspace, ring, at))?;
                        diesel::insert_into(workspace_keys::table)
                            .values(&mark)
                            .on_conflict(on_constraint("workspace_keys_pkey"))
                            .do_nothing()
                            .execute(tx)
                            .await
                            .map_err(failed)?;
                    }
                    let living = workspace_keys::table
                        .filter(workspace_keys::workspace_id.eq(workspace.0))
                        .filter(workspace_keys::state.ne(KeyState::Destroyed.as_str()));
                    let destroyed = diesel::update(living)
                        .set(gone(at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    u64::try_from(destroyed).map_err(|error| StoreError::Corrupt(error.into()))
                },
            )
            .await
    }
}

/// What destroying a key writes.
#[derive(AsChangeset)]
#[diesel(table_name = workspace_keys, treat_none_as_null = true)]
pub(super) struct Gone {
    state: &'static str,
    key_id: Option<String>,
    wrapped: Option<Vec<u8>>,
    destroyed_at: Option<DateTime<Utc>>,
}

/// Nothing is left of the key but that it was.
pub(super) fn gone(at: DateTime<Utc>) -> Gone {
    Gone {
        state: KeyState::Destroyed.as_str(),
        key_id: None,
        wrapped: None,
        destroyed_at: Some(at),
    }
}
