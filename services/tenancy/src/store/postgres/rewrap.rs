//! Every wrapped key of every workspace, on PostgreSQL. The functions of the schema go from workspace to workspace, so
//! that the policy holds for each statement and one round trip serves thousands.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::SystemTx;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::keys::{KeyRow, keyed_workspaces};
use super::rotations::rotation_leases;
use super::rows::stored;
use super::{PgStore, failed, limit};
use crate::domain::{Rewrapped, StoredKey};
use crate::page::Page;
use crate::store::{RewrapStore, StoreError};

#[derive(QueryableByName)]
struct Replaced {
    #[diesel(sql_type = BigInt)]
    replaced: i64,
}

fn count(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|error| StoreError::Corrupt(error.into()))
}

#[async_trait]
impl RewrapStore for PgStore {
    async fn keyed_workspaces(&self, page: &Page<WorkspaceId>) -> Result<Vec<WorkspaceId>, StoreError> {
        let ids = self
            .database
            .system(
                "keystore.keyed_workspaces",
                async |tx: &mut SystemTx| -> Result<Vec<Uuid>, StoreError> {
                    let mut query = keyed_workspaces::table
                        .select(keyed_workspaces::workspace)
                        .order(keyed_workspaces::workspace)
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(after) = page.after {
                        query = query.filter(keyed_workspaces::workspace.gt(after.0));
                    }
                    query.load(tx).await.map_err(failed)
                },
            )
            .await?;
        Ok(ids.into_iter().map(WorkspaceId).collect())
    }

    async fn keys_of(&self, workspaces: &[WorkspaceId]) -> Result<Vec<StoredKey>, StoreError> {
        let ids: &[Uuid] = &workspaces.iter().map(|workspace| workspace.0).collect::<Vec<_>>();
        let rows = self
            .database
            .system(
                "keystore.keys_of",
                async |tx: &mut SystemTx| -> Result<Vec<KeyRow>, StoreError> {
                    sql_query("SELECT * FROM keystore.wrapped_keys_of($1)")
                        .bind::<Array<SqlUuid>, _>(ids)
                        .load(tx)
                        .await
                        .map_err(failed)
                },
            )
            .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn rewrap(&self, keys: &[Rewrapped]) -> Result<u64, StoreError> {
        let ids: Vec<Uuid> = keys.iter().map(|key| key.before.workspace.0).collect();
        let rings: Vec<&str> = keys.iter().map(|key| key.before.ring.as_str()).collect();
        let versions = keys.iter().map(|key| stored(key.before.version));
        let versions: Vec<i32> = versions.collect::<Result<_, _>>()?;
        let before: Vec<&[u8]> = keys.iter().map(|key| &*key.before.wrapped.bytes).collect();
        let key_ids: Vec<&str> = keys.iter().map(|key| &*key.after.key_id).collect();
        let after: Vec<&[u8]> = keys.iter().map(|key| &*key.after.bytes).collect();
        let (ids, rings, versions) = (&ids, &rings, &versions);
        let (before, key_ids, after) = (&before, &key_ids, &after);
        let answer = self
            .database
            .system(
                "keystore.rewrap",
                async |tx: &mut SystemTx| -> Result<Replaced, StoreError> {
                    sql_query("SELECT keystore.rewrap_keys($1, $2, $3, $4, $5, $6) AS replaced")
                        .bind::<Array<SqlUuid>, _>(ids)
                        .bind::<Array<Text>, _>(rings)
                        .bind::<Array<Integer>, _>(versions)
                        .bind::<Array<Binary>, _>(before)
                        .bind::<Array<Text>, _>(key_ids)
                        .bind::<Array<Binary>, _>(after)
                        .get_result(tx)
                        .await
                        .map_err(failed)
                },
            )
            .await?;
        count(answer.replaced)
    }

    async fn count_rotations(&self) -> Result<u64, StoreError> {
        let running = self
            .database
            .system(
                "keystore.count_rotations",
                async |tx: &mut SystemTx| -> Result<i64, StoreError> {
                    rotation_leases::table
                        .count()
                        .get_result(tx)
                        .await
                        .map_err(failed)
                },
            )
            .await?;
        count(running)
    }
}
