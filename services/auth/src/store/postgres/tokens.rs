//! Personal access tokens and API keys as rows.

use async_trait::async_trait;
use causeway_context::{TokenId, UserId, WorkspaceId};
use causeway_crypto::{Scheme, StoredSecret};
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, insert_revocations};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{PgStore, corrupt, failed, hash, keep};
use crate::SCHEMA;
use crate::domain::{Hash, PersonalToken, Revocation, TokenKind, TokenName, Whose};
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
        kind -> Text,
    }
}

diesel::table! {
    auth.token_index (hash) {
        hash -> Bytea,
        workspace -> Uuid,
        token_id -> Uuid,
        scheme -> Text,
        pepper_id -> Nullable<Text>,
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
    kind: String,
}

/// A row of the index: the stored form, and where the token lies.
type Place = (Vec<u8>, String, Option<String>, Uuid, Uuid);

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
            kind: token.kind.as_str().to_owned(),
        }
    }
}

impl TryFrom<Row> for PersonalToken {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            kind: TokenKind::parse(&row.kind).ok_or_else(|| corrupt("a kind of token that is not known"))?,
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
        })
    }
}

/// The tokens that are meant.
fn belonging(workspace: WorkspaceId, whose: Whose) -> tokens::BoxedQuery<'static, diesel::pg::Pg> {
    let all = tokens::table.filter(tokens::workspace_id.eq(workspace.0));
    match whose {
        Whose::Person(user) => all
            .filter(tokens::kind.eq(TokenKind::Personal.as_str()))
            .filter(tokens::user_id.eq(user.0))
            .into_boxed(),
        Whose::Workspace => all.filter(tokens::kind.eq(TokenKind::Key.as_str())).into_boxed(),
    }
}

#[async_trait]
impl TokenStore for PgStore {
    async fn insert_token(
        &self,
        token: &PersonalToken,
        stored: &StoredSecret,
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
                            token_index::hash.eq(stored.hash.as_slice()),
                            token_index::workspace.eq(token.workspace.0),
                            token_index::token_id.eq(token.id.0),
                            token_index::scheme.eq(stored.scheme.tag()),
                            token_index::pepper_id.eq(stored.scheme.pepper()),
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
        whose: Whose,
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
                    let rows: Vec<Row> = belonging(workspace, whose)
                        .filter(tokens::revoked_at.is_null())
                        .filter(tokens::id.lt(before))
                        .order(tokens::id.desc())
                        .limit(limit)
                        .select(Row::as_select())
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    rows.into_iter().map(PersonalToken::try_from).collect()
                },
            )
            .await
    }

    async fn revoke_token(
        &self,
        workspace: WorkspaceId,
        whose: Whose,
        token: TokenId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Revocation, StoreError> {
        let fact = &fact;
        let ended = [causeway_revocation::Revocation::of(
            Ended::Token(token),
            at,
            self.life.0,
        )];
        self.database
            .workspace(
                "auth.revoke_token",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = tokens::table
                        .find((workspace.0, token.0))
                        .select(Row::as_select())
                        .for_update();
                    let row: Option<Row> = query.first(tx).await.optional().map_err(failed)?;
                    let found = row.map(PersonalToken::try_from).transpose()?;
                    match found.filter(|token| whose.includes(token)) {
                        None => return Ok(Revocation::Missing),
                        Some(token) if token.revoked_at.is_some() => return Ok(Revocation::Before),
                        Some(_) => {}
                    }
                    diesel::update(tokens::table.find((workspace.0, token.0)))
                        .set(tokens::revoked_at.eq(at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    insert_revocations(tx, SCHEMA.name, &ended)
                        .await
                        .map_err(failed)?;
                    keep(tx, fact).await?;
                    Ok(Revocation::Done)
                },
            )
            .await
    }

    async fn find_token(&self, hashes: &[Hash]) -> Result<Option<(PersonalToken, StoredSecret)>, StoreError> {
        let hashes: Vec<&[u8]> = hashes.iter().map(Hash::as_slice).collect();
        let hashes = &hashes;
        let place: Option<Place> = self
            .database
            .system(
                "auth.find_token_place",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let query = token_index::table
                        .filter(token_index::hash.eq_any(hashes))
                        .select((
                            token_index::hash,
                            token_index::scheme,
                            token_index::pepper_id,
                            token_index::workspace,
                            token_index::token_id,
                        ));
                    query.first(tx).await.optional().map_err(failed)
                },
            )
            .await?;
        let Some((found, scheme, pepper, workspace, token)) = place else {
            return Ok(None);
        };
        let stored = StoredSecret {
            scheme: Scheme::stored(&scheme, pepper).map_err(corrupt)?,
            hash: hash(found)?,
        };
        let token = self.token_by_id(WorkspaceId(workspace), TokenId(token)).await?;
        Ok(token.map(|token| (token, stored)))
    }

    async fn token_by_id(
        &self,
        workspace: WorkspaceId,
        token: TokenId,
    ) -> Result<Option<PersonalToken>, StoreError> {
        self.database
            .workspace(
                "auth.find_token",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = tokens::table
                        .find((workspace.0, token.0))
                        .select(Row::as_select());
                    let row: Option<Row> = query.first(tx).await.optional().map_err(failed)?;
                    row.map(PersonalToken::try_from).transpose()
                },
            )
            .await
    }

    async fn rehash_token(&self, old: &Hash, new: &StoredSecret) -> Result<(), StoreError> {
        self.database
            .system(
                "auth.rehash_token",
                async |tx: &mut SystemTx| -> Result<(), StoreError> {
                    diesel::update(token_index::table.find(old.as_slice()))
                        .set((
                            token_index::hash.eq(new.hash.as_slice()),
                            token_index::scheme.eq(new.scheme.tag()),
                            token_index::pepper_id.eq(new.scheme.pepper()),
                        ))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
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
