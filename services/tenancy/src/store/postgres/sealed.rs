//! Sealed secrets on PostgreSQL, as a rotation sees them.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_database::WorkspaceTx;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use super::rows::{SecretRow, secrets, stored};
use super::{PgStore, failed, limit};
use crate::domain::{Secret, SecretName};
use crate::page::Page;
use crate::store::{Resealed, SealedStore, StoreError};

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = BigInt)]
    below: i64,
}

#[async_trait]
impl SealedStore for PgStore {
    async fn list_secrets_below(
        &self,
        workspace: WorkspaceId,
        version: u32,
        page: &Page<SecretName>,
    ) -> Result<Vec<Secret>, StoreError> {
        let version = stored(version)?;
        self.database
            .workspace(
                "tenancy.list_secrets_below",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mut query = secrets::table
                        .filter(secrets::workspace_id.eq(workspace.0))
                        .filter(secrets::key_version.lt(version))
                        .select(SecretRow::as_select())
                        .order(secrets::name)
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(after) = &page.after {
                        query = query.filter(secrets::name.gt(after.as_str()));
                    }
                    let rows: Vec<SecretRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn reseal_secrets(
        &self,
        workspace: WorkspaceId,
        secrets: &[Resealed],
    ) -> Result<usize, StoreError> {
        if secrets.is_empty() {
            return Ok(0);
        }
        let names: &[&str] = &secrets
            .iter()
            .map(|secret| secret.name.as_str())
            .collect::<Vec<_>>();
        let before: &[&[u8]] = &secrets.iter().map(|secret| &*secret.before).collect::<Vec<_>>();
        let sealed: &[&[u8]] = &secrets.iter().map(|secret| &*secret.sealed).collect::<Vec<_>>();
        let versions = secrets.iter().map(|secret| stored(secret.key_version));
        let versions: &[i32] = &versions.collect::<Result<Vec<_>, _>>()?;
        self.database
            .workspace(
                "tenancy.reseal_secrets",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<usize, StoreError> {
                    // The old value is compared and not the version of the row: a user who writes meanwhile wins.
                    sql_query(
                        "UPDATE tenancy.secrets s SET sealed = n.sealed, key_version = n.key_version \
                         FROM unnest($2::text[], $3::bytea[], $4::bytea[], $5::integer[]) \
                             AS n (name, before, sealed, key_version) \
                         WHERE s.workspace_id = $1 AND s.name = n.name COLLATE \"C\" AND s.sealed = n.before",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<Array<Text>, _>(names)
                    .bind::<Array<Binary>, _>(before)
                    .bind::<Array<Binary>, _>(sealed)
                    .bind::<Array<Integer>, _>(versions)
                    .execute(tx)
                    .await
                    .map_err(failed)
                },
            )
            .await
    }

    async fn raise_fence(&self, workspace: WorkspaceId, version: u32) -> Result<(), StoreError> {
        let version = stored(version)?;
        self.database
            .workspace(
                "tenancy.raise_fence",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    // Waits for every write in flight: each holds the row until it ends.
                    sql_query(
                        "INSERT INTO tenancy.key_fences AS f (workspace_id, min_write_version) VALUES ($1, $2) \
                         ON CONFLICT (workspace_id) DO UPDATE \
                         SET min_write_version = greatest(f.min_write_version, excluded.min_write_version)",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<Integer, _>(version)
                    .execute(tx)
                    .await
                    .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }

    async fn count_secrets_below(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<(u64, u64), StoreError> {
        let version = stored(version)?;
        let counted = self
            .database
            .workspace(
                "tenancy.count_secrets_below",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<Counted, StoreError> {
                    sql_query(
                        "SELECT count(*) AS rows, count(*) FILTER (WHERE key_version < $2) AS below \
                         FROM tenancy.secrets WHERE workspace_id = $1",
                    )
                    .bind::<SqlUuid, _>(workspace.0)
                    .bind::<Integer, _>(version)
                    .get_result(tx)
                    .await
                    .map_err(failed)
                },
            )
            .await?;
        let number = |number| u64::try_from(number).map_err(|error| StoreError::Corrupt(Box::new(error)));
        Ok((number(counted.rows)?, number(counted.below)?))
    }
}
