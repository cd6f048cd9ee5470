//! Sessions and refresh tokens as rows.

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{PgStore, failed, hash, keep};
use crate::domain::{Hash, NewSession, Proof, RefreshToken, Session, SessionToken};
use crate::store::{SessionStore, StoreError};

diesel::table! {
    auth.sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        workspace -> Uuid,
        opened_at -> Timestamptz,
        closed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    auth.refresh_tokens (hash) {
        hash -> Bytea,
        session_id -> Uuid,
        issued_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    auth.used_proofs (hash) {
        hash -> Bytea,
        expires_at -> Timestamptz,
    }
}

diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(refresh_tokens, sessions);

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
struct SessionRow {
    id: Uuid,
    user_id: Uuid,
    workspace: Uuid,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens, check_for_backend(diesel::pg::Pg))]
struct TokenRow {
    hash: Vec<u8>,
    session_id: Uuid,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

impl From<&Session> for SessionRow {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.0,
            user_id: session.user.0,
            workspace: session.workspace.0,
            opened_at: session.opened_at,
            closed_at: session.closed_at,
        }
    }
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: SessionId(row.id),
            user: UserId(row.user_id),
            workspace: WorkspaceId(row.workspace),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
        }
    }
}

impl From<&RefreshToken> for TokenRow {
    fn from(token: &RefreshToken) -> Self {
        Self {
            hash: token.hash.to_vec(),
            session_id: token.session.0,
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            used_at: token.used_at,
        }
    }
}

impl TryFrom<TokenRow> for RefreshToken {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        Ok(Self {
            hash: hash(row.hash)?,
            session: SessionId(row.session_id),
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        })
    }
}

/// How many old proofs go with each new one: more than come, so that they never pile up.
const SWEPT: i64 = 16;

/// Notes that a proof was used. False if it was before. A transaction that uses the same one waits here for the other.
async fn use_up(tx: &mut SystemTx, proof: &Proof, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let ended: Vec<Vec<u8>> = used_proofs::table
        .filter(used_proofs::expires_at.lt(now))
        .order(used_proofs::expires_at)
        .limit(SWEPT)
        .select(used_proofs::hash)
        .for_update()
        .skip_locked()
        .load(tx)
        .await
        .map_err(failed)?;
    if !ended.is_empty() {
        diesel::delete(used_proofs::table.filter(used_proofs::hash.eq_any(ended)))
            .execute(tx)
            .await
            .map_err(failed)?;
    }
    let row = (
        used_proofs::hash.eq(proof.hash.as_slice()),
        used_proofs::expires_at.eq(proof.expires_at),
    );
    let added = diesel::insert_into(used_proofs::table)
        .values(row)
        .on_conflict_do_nothing()
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(added == 1)
}

#[async_trait]
impl SessionStore for PgStore {
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.open_session",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    if let Some(proof) = &new.proof
                        && !use_up(tx, proof, new.session.opened_at).await?
                    {
                        return Ok(false);
                    }
                    diesel::insert_into(sessions::table)
                        .values(&SessionRow::from(&new.session))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if let Some(token) = &new.token {
                        diesel::insert_into(refresh_tokens::table)
                            .values(&TokenRow::from(token))
                            .execute(tx)
                            .await
                            .map_err(failed)?;
                    }
                    keep(tx, fact).await?;
                    Ok(true)
                },
            )
            .await
    }

    async fn find_refresh_token(&self, hash: &Hash) -> Result<Option<SessionToken>, StoreError> {
        self.database
            .system(
                "auth.find_refresh_token",
                async |tx: &mut SystemTx| -> Result<Option<SessionToken>, StoreError> {
                    let found: Option<(TokenRow, SessionRow)> = refresh_tokens::table
                        .inner_join(sessions::table)
                        .filter(refresh_tokens::hash.eq(hash.as_slice()))
                        .select((TokenRow::as_select(), SessionRow::as_select()))
                        .first(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    let Some((token, session)) = found else {
                        return Ok(None);
                    };
                    Ok(Some(SessionToken {
                        token: token.try_into()?,
                        session: session.into(),
                    }))
                },
            )
            .await
    }

    async fn rotate(&self, used: &Hash, successor: &RefreshToken) -> Result<bool, StoreError> {
        self.database
            .system(
                "auth.rotate",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    // The session's row is locked first: a rotation and the end of the session cannot pass each other.
                    let open: Option<Uuid> = sessions::table
                        .find(successor.session.0)
                        .filter(sessions::closed_at.is_null())
                        .select(sessions::id)
                        .for_share()
                        .first(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    if open.is_none() {
                        return Ok(false);
                    }
                    let newest = refresh_tokens::table
                        .find(used.as_slice())
                        .filter(refresh_tokens::session_id.eq(successor.session.0))
                        .filter(refresh_tokens::used_at.is_null())
                        .filter(refresh_tokens::expires_at.gt(successor.issued_at));
                    let changed = diesel::update(newest)
                        .set(refresh_tokens::used_at.eq(successor.issued_at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 1 {
                        let row = TokenRow::from(successor);
                        diesel::insert_into(refresh_tokens::table)
                            .values(&row)
                            .execute(tx)
                            .await
                            .map_err(failed)?;
                    }
                    Ok(changed == 1)
                },
            )
            .await
    }

    async fn close_session(
        &self,
        session: SessionId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.close_session",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let open = sessions::table
                        .find(session.0)
                        .filter(sessions::closed_at.is_null());
                    let changed = diesel::update(open)
                        .set(sessions::closed_at.eq(at))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if changed == 1 {
                        keep(tx, fact).await?;
                    }
                    Ok(changed == 1)
                },
            )
            .await
    }
}
