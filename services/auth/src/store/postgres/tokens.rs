//! Personal access tokens as rows.

use async_trait::async_trait;
use causeway_context::{TokenId, UserId, WorkspaceId};
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{PgStore, failed, keep};
use crate::domain::{Hash, PersonalToken, Revocation, TokenName};
use crate::page::Page;
use crate::store::{StoreError, TokenStore};

diesel::table! {
    auth.tokens (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        user_id -> Uuid,
        name -> Text,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_four -> Text,
    }
}

diesel::table! {
    auth.token_index (hash) {
        hash -> Bytea,
        workspace -> Uuid,
        token_id -> Uuid,
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = tokens, check_for_backend(diesel::pg::Pg))]
struct Row {
    workspace_id: Uuid,
    id: Uuid,
    user_id: Uuid,
    name: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_four: String,
}

impl From<&PersonalToken> for Row {
    fn from(token: &PersonalToken) -> Self {
        Self {
            workspace_id: token.workspace.0,
            id: token.id.0,
            user_id: token.user.0,
            name: token.name.as_str().to_owned(),
            scopes: token.scopes.clone(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
            last_four: token.last_four.clone(),
        }
    }
}

impl From<Row> for PersonalToken {
    fn from(row: Row) -> Self {
        Self {
            id: TokenId(row.id),
            workspace: WorkspaceId(row.workspace_id),
            user: UserId(row.user_id),
            name: TokenName::stored(row.name),
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            last_four: row.last_four,
        }
    }
}

#[async_trait]
impl TokenStore for PgStore {
    async fn insert_token(
        &self,
        token: &PersonalToken,
        hash: &Hash,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "auth.insert_token",
                token.workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    let row = Row::from(token);
                    diesel::insert_into(tokens::table)
                        .values(&row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    diesel::insert_into(token_index::table)
                        .values((
                            token_index::hash.eq(hash.as_slice()),
                            token_index::workspace.eq(token.workspace.0),
                            token_index::token_id.eq(token.id.0),
                        ))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn list_tokens(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        page: Page,
    ) -> Result<Vec<PersonalToken>, StoreError> {
        let limit = i64::try_from(page.size).unwrap_or(i64::MAX);
        // No id is above this one.
        let before = page.after.map_or(Uuid::max(), |after| after.0);
        self.database
            .workspace(
                "auth.list_tokens",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let rows: Vec<Row> = tokens::table
                        .filter(tokens::workspace_id.eq(workspace.0))
                        .filter(tokens::user_id.eq(user.0))
                        .filter(tokens::revoked_at.is_null())
                        .filter(tokens::id.lt(before))
                        .order(tokens::id.desc())
                        .limit(limit)
                        .select(Row::as_select())
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    Ok(rows.into_iter().map(Into::into).collect())
                },
            )
            .await
    }

    async fn revoke_token(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        token: TokenId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Revocation, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "auth.revoke_token",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mine = tokens::table
                        .find((workspace.0, token.0))
                        .filter(tokens::user_id.eq(user.0));
                    let changed = diesel::update(mine.filter(tokens::revoked_at.is_null()))
                        .set(tokens::revoked_at.eq(at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 1 {
                        keep(tx, fact).await?;
                        return Ok(Revocation::Done);
                    }
                    let found: i64 = mine.count().get_result(tx).await.map_err(failed)?;
                    Ok(if found == 1 {
                        Revocation::Before
                    } else {
                        Revocation::Missing
                    })
                },
            )
            .await
    }

    async fn find_token(&self, hash: &Hash) -> Result<Option<PersonalToken>, StoreError> {
        let place: Option<(Uuid, Uuid)> = self
            .database
            .system(
                "auth.find_token_place",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let query = token_index::table
                        .find(hash.as_slice())
                        .select((token_index::workspace, token_index::token_id));
                    query.first(tx).await.optional().map_err(failed)
                },
            )
            .await?;
        let Some((workspace, token)) = place else {
            return Ok(None);
        };
        self.database
            .workspace(
                "auth.find_token",
                WorkspaceId(workspace),
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = tokens::table.find((workspace, token)).select(Row::as_select());
                    let row: Option<Row> = query.first(tx).await.optional().map_err(failed)?;
                    Ok(row.map(Into::into))
                },
            )
            .await
    }

    async fn touch_token(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.database
            .workspace(
                "auth.touch_token",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<(), StoreError> {
                    let older = tokens::last_used_at.is_null().or(tokens::last_used_at.lt(at));
                    diesel::update(tokens::table.find((workspace.0, token.0)))
                        .filter(older)
                        .set(tokens::last_used_at.eq(at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}
