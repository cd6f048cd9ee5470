//! OAuth clients as rows.

use std::collections::BTreeMap;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_crypto::{Scheme, StoredSecret};
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::OutboxEvent;
use causeway_revocation::insert_revocations;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{PgStore, corrupt, failed, hash, keep};
use crate::SCHEMA;
use crate::domain::{Client, ClientId, ClientSecret, Grant, Hash, TokenName};
use crate::page::Page;
use crate::store::{ClientStore, Revoked, RevokedAccess, StoreError};

diesel::table! {
    auth.clients (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        scopes -> Array<Text>,
        grants -> Array<Text>,
        disabled -> Bool,
        granted_by -> Uuid,
        created_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        revision -> BigInt,
    }
}

diesel::table! {
    auth.client_secrets (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        client_id -> Uuid,
        scheme -> Text,
        pepper_id -> Nullable<Text>,
        hash -> Bytea,
        last_four -> Text,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    auth.client_index (client_id) {
        client_id -> Uuid,
        workspace -> Uuid,
    }
}

diesel::table! {
    auth.client_secret_index (hash) {
        hash -> Bytea,
        workspace -> Uuid,
        secret_id -> Uuid,
        client_id -> Uuid,
    }
}

diesel::table! {
    auth.revoked_access_tokens (workspace_id, jti) {
        workspace_id -> Uuid,
        jti -> Text,
        credential -> Text,
        expires_at -> Timestamptz,
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = clients, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
struct Row {
    workspace_id: Uuid,
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    grants: Vec<String>,
    disabled: bool,
    granted_by: Uuid,
    created_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    revision: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = client_secrets, check_for_backend(diesel::pg::Pg))]
struct SecretRow {
    workspace_id: Uuid,
    id: Uuid,
    client_id: Uuid,
    scheme: String,
    pepper_id: Option<String>,
    hash: Vec<u8>,
    last_four: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

impl Row {
    fn of(client: &Client, revision: i64) -> Self {
        Self {
            workspace_id: client.workspace.0,
            id: client.id.0,
            name: client.name.as_str().to_owned(),
            scopes: client.scopes.clone(),
            grants: client
                .grants
                .iter()
                .map(|grant| grant.as_str().to_owned())
                .collect(),
            disabled: client.disabled,
            granted_by: client.granted_by.0,
            created_at: client.created_at,
            deleted_at: client.deleted_at,
            revision,
        }
    }

    fn with(self, secrets: Vec<ClientSecret>) -> Result<Client, StoreError> {
        let grants = self.grants.iter().map(|word| Grant::parse(word));
        Ok(Client {
            id: ClientId(self.id),
            workspace: WorkspaceId(self.workspace_id),
            name: TokenName::stored(self.name),
            scopes: self.scopes,
            grants: grants
                .collect::<Option<_>>()
                .ok_or_else(|| corrupt("a grant that is not known"))?,
            disabled: self.disabled,
            granted_by: UserId(self.granted_by),
            created_at: self.created_at,
            deleted_at: self.deleted_at,
            revision: self.revision,
            secrets,
        })
    }
}

fn secret_rows(client: &Client) -> Vec<SecretRow> {
    let row = |secret: &ClientSecret| SecretRow {
        workspace_id: client.workspace.0,
        id: secret.id,
        client_id: client.id.0,
        scheme: secret.stored.scheme.tag().to_owned(),
        pepper_id: secret.stored.scheme.pepper().map(str::to_owned),
        hash: secret.stored.hash.to_vec(),
        last_four: secret.last_four.clone(),
        created_at: secret.created_at,
        expires_at: secret.expires_at,
    };
    client.secrets.iter().map(row).collect()
}

impl TryFrom<SecretRow> for ClientSecret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            stored: StoredSecret {
                scheme: Scheme::stored(&row.scheme, row.pepper_id).map_err(corrupt)?,
                hash: hash(row.hash)?,
            },
            last_four: row.last_four,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

/// The clients of those rows, in their order, each with its secrets.
async fn complete(
    tx: &mut AsyncPgConnection,
    workspace: WorkspaceId,
    rows: Vec<Row>,
) -> Result<Vec<Client>, StoreError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let secrets: Vec<SecretRow> = client_secrets::table
        .filter(client_secrets::workspace_id.eq(workspace.0))
        .filter(client_secrets::client_id.eq_any(ids))
        // Ids sort by the time they were made.
        .order(client_secrets::id)
        .select(SecretRow::as_select())
        .load(tx)
        .await
        .map_err(failed)?;
    let mut by_client: BTreeMap<Uuid, Vec<ClientSecret>> = BTreeMap::new();
    for row in secrets {
        by_client.entry(row.client_id).or_default().push(row.try_into()?);
    }
    rows.into_iter()
        .map(|row| {
            let secrets = by_client.remove(&row.id).unwrap_or_default();
            row.with(secrets)
        })
        .collect()
}

async fn add_secrets(tx: &mut AsyncPgConnection, client: &Client) -> Result<(), StoreError> {
    diesel::insert_into(client_secrets::table)
        .values(secret_rows(client))
        .execute(tx)
        .await
        .map_err(failed)?;
    let places: Vec<_> = client
        .secrets
        .iter()
        .map(|secret| {
            (
                client_secret_index::hash.eq(secret.stored.hash.as_slice()),
                client_secret_index::workspace.eq(client.workspace.0),
                client_secret_index::secret_id.eq(secret.id),
                client_secret_index::client_id.eq(client.id.0),
            )
        })
        .collect();
    diesel::insert_into(client_secret_index::table)
        .values(places)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl ClientStore for PgStore {
    async fn insert_client(&self, client: &Client, fact: OutboxEvent) -> Result<(), StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "auth.insert_client",
                client.workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    let row = Row::of(client, client.revision);
                    diesel::insert_into(clients::table)
                        .values(&row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    diesel::insert_into(client_index::table)
                        .values((
                            client_index::client_id.eq(client.id.0),
                            client_index::workspace.eq(client.workspace.0),
                        ))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    add_secrets(tx, client).await?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn list_clients(&self, workspace: WorkspaceId, page: Page) -> Result<Vec<Client>, StoreError> {
        let limit = i64::try_from(page.size).unwrap_or(i64::MAX);
        // No id is above this one.
        let before = page.after.map_or(Uuid::max(), |after| after.0);
        self.database
            .workspace(
                "auth.list_clients",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let rows: Vec<Row> = clients::table
                        .filter(clients::workspace_id.eq(workspace.0))
                        .filter(clients::deleted_at.is_null())
                        .filter(clients::id.lt(before))
                        .order(clients::id.desc())
                        .limit(limit)
                        .select(Row::as_select())
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    complete(tx, workspace, rows).await
                },
            )
            .await
    }

    async fn find_client(&self, workspace: WorkspaceId, id: ClientId) -> Result<Option<Client>, StoreError> {
        self.database
            .workspace(
                "auth.find_client",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = clients::table.find((workspace.0, id.0)).select(Row::as_select());
                    let rows: Vec<Row> = query.load(tx).await.map_err(failed)?;
                    Ok(complete(tx, workspace, rows).await?.pop())
                },
            )
            .await
    }

    async fn workspace_of_client(&self, id: ClientId) -> Result<Option<WorkspaceId>, StoreError> {
        self.database
            .system(
                "auth.find_client_place",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let query = client_index::table.find(id.0).select(client_index::workspace);
                    let found: Option<Uuid> = query.first(tx).await.optional().map_err(failed)?;
                    Ok(found.map(WorkspaceId))
                },
            )
            .await
    }

    async fn client_of_secret(&self, hashes: &[Hash]) -> Result<Option<(WorkspaceId, ClientId)>, StoreError> {
        let hashes: Vec<&[u8]> = hashes.iter().map(Hash::as_slice).collect();
        let hashes = &hashes;
        self.database
            .system(
                "auth.find_client_secret_place",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let query = client_secret_index::table
                        .filter(client_secret_index::hash.eq_any(hashes))
                        .select((client_secret_index::workspace, client_secret_index::client_id));
                    let found: Option<(Uuid, Uuid)> = query.first(tx).await.optional().map_err(failed)?;
                    Ok(found.map(|(workspace, client)| (WorkspaceId(workspace), ClientId(client))))
                },
            )
            .await
    }

    async fn change_client(
        &self,
        client: &Client,
        ended: Option<Revoked>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        let ended = &ended.into_iter().collect::<Vec<_>>();
        self.database
            .workspace(
                "auth.change_client",
                client.workspace,
                async |tx: &mut WorkspaceTx| -> Result<bool, StoreError> {
                    let row = Row::of(client, client.revision + 1);
                    let found = clients::table.find((client.workspace.0, client.id.0));
                    let changed = diesel::update(found.filter(clients::revision.eq(client.revision)))
                        .set(&row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 0 {
                        return Ok(false);
                    }
                    let secrets = client_secrets::table
                        .filter(client_secrets::workspace_id.eq(client.workspace.0))
                        .filter(client_secrets::client_id.eq(client.id.0));
                    diesel::delete(secrets).execute(tx).await.map_err(failed)?;
                    add_secrets(tx, client).await?;
                    insert_revocations(tx, SCHEMA.name, ended).await.map_err(failed)?;
                    keep(tx, fact).await?;
                    Ok(true)
                },
            )
            .await
    }

    async fn rehash_client_secret(
        &self,
        workspace: WorkspaceId,
        secret: Uuid,
        new: &StoredSecret,
    ) -> Result<(), StoreError> {
        self.database
            .workspace(
                "auth.rehash_client_secret",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    diesel::update(client_secrets::table.find((workspace.0, secret)))
                        .set((
                            client_secrets::hash.eq(new.hash.as_slice()),
                            client_secrets::scheme.eq(new.scheme.tag()),
                            client_secrets::pepper_id.eq(new.scheme.pepper()),
                        ))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    let place = client_secret_index::table
                        .filter(client_secret_index::workspace.eq(workspace.0))
                        .filter(client_secret_index::secret_id.eq(secret));
                    diesel::update(place)
                        .set(client_secret_index::hash.eq(new.hash.as_slice()))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }

    async fn revoke_access_token(
        &self,
        token: &RevokedAccess,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "auth.revoke_access_token",
                token.workspace,
                async |tx: &mut WorkspaceTx| -> Result<bool, StoreError> {
                    let ended = revoked_access_tokens::table
                        .filter(revoked_access_tokens::workspace_id.eq(token.workspace.0))
                        .filter(revoked_access_tokens::credential.eq(&token.credential))
                        .filter(revoked_access_tokens::expires_at.lt(at));
                    diesel::delete(ended).execute(tx).await.map_err(failed)?;
                    let added = diesel::insert_into(revoked_access_tokens::table)
                        .values((
                            revoked_access_tokens::workspace_id.eq(token.workspace.0),
                            revoked_access_tokens::jti.eq(&token.jti),
                            revoked_access_tokens::credential.eq(&token.credential),
                            revoked_access_tokens::expires_at.eq(token.expires_at),
                        ))
                        .on_conflict_do_nothing()
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if added == 1 {
                        keep(tx, fact).await?;
                    }
                    Ok(added == 1)
                },
            )
            .await
    }

    async fn revoked_access_tokens(
        &self,
        workspace: WorkspaceId,
        credential: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        self.database
            .workspace(
                "auth.revoked_access_tokens",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = revoked_access_tokens::table
                        .filter(revoked_access_tokens::workspace_id.eq(workspace.0))
                        .filter(revoked_access_tokens::credential.eq(credential))
                        .filter(revoked_access_tokens::expires_at.ge(now))
                        .select(revoked_access_tokens::jti);
                    query.load(tx).await.map_err(failed)
                },
            )
            .await
    }
}
