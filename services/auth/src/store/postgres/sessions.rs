//! Sessions and refresh tokens as rows.

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation, insert_revocations};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bytea, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::accounts::accounts;
use super::{PgStore, failed, hash, keep};
use crate::SCHEMA;
use crate::domain::{
    Hash, NewSession, Opened, PasswordHash, Proof, RefreshToken, Session, SessionToken, SignIn, Trace,
};
use crate::store::{SessionStore, StoreError};

diesel::table! {
    auth.sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        workspace -> Uuid,
        method -> Text,
        network -> Text,
        agent -> Text,
        opened_at -> Timestamptz,
        last_used_at -> Timestamptz,
        idle_until -> Timestamptz,
        expires_at -> Timestamptz,
        closed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    auth.refresh_tokens (hash) {
        hash -> Bytea,
        session_id -> Uuid,
        generation -> Integer,
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

diesel::table! {
    auth.sign_ins (id) {
        id -> Uuid,
        user_id -> Uuid,
        workspace -> Uuid,
        at -> Timestamptz,
        method -> Text,
        network -> Text,
        agent -> Text,
        session_id -> Nullable<Uuid>,
    }
}

diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(refresh_tokens, sessions);

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
pub(super) struct SessionRow {
    id: Uuid,
    user_id: Uuid,
    workspace: Uuid,
    method: String,
    network: String,
    agent: String,
    opened_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    idle_until: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens, check_for_backend(diesel::pg::Pg))]
struct TokenRow {
    hash: Vec<u8>,
    session_id: Uuid,
    generation: i32,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = sign_ins, check_for_backend(diesel::pg::Pg))]
pub(super) struct SignInRow {
    id: Uuid,
    user_id: Uuid,
    workspace: Uuid,
    at: DateTime<Utc>,
    method: String,
    network: String,
    agent: String,
    session_id: Option<Uuid>,
}

impl From<&Session> for SessionRow {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.0,
            user_id: session.user.0,
            workspace: session.workspace.0,
            method: session.trace.method.clone(),
            network: session.trace.network.clone(),
            agent: session.trace.agent.clone(),
            opened_at: session.opened_at,
            last_used_at: session.last_used_at,
            idle_until: session.idle_until,
            expires_at: session.expires_at,
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
            trace: Trace {
                method: row.method,
                network: row.network,
                agent: row.agent,
            },
            opened_at: row.opened_at,
            last_used_at: row.last_used_at,
            idle_until: row.idle_until,
            expires_at: row.expires_at,
            closed_at: row.closed_at,
        }
    }
}

impl From<&RefreshToken> for TokenRow {
    fn from(token: &RefreshToken) -> Self {
        Self {
            hash: token.hash.to_vec(),
            session_id: token.session.0,
            generation: token.generation,
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
            generation: row.generation,
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            used_at: row.used_at,
        })
    }
}

impl From<&SignIn> for SignInRow {
    fn from(sign_in: &SignIn) -> Self {
        Self {
            id: sign_in.id,
            user_id: sign_in.user.0,
            workspace: sign_in.workspace.0,
            at: sign_in.at,
            method: sign_in.trace.method.clone(),
            network: sign_in.trace.network.clone(),
            agent: sign_in.trace.agent.clone(),
            session_id: sign_in.session.map(|session| session.0),
        }
    }
}

impl From<SignInRow> for SignIn {
    fn from(row: SignInRow) -> Self {
        Self {
            id: row.id,
            user: UserId(row.user_id),
            workspace: WorkspaceId(row.workspace),
            at: row.at,
            trace: Trace {
                method: row.method,
                network: row.network,
                agent: row.agent,
            },
            session: row.session_id.map(SessionId),
        }
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

/// Whether the account still has that password; it then has it until the transaction ends, so no session is opened by a
/// password while the end of all that it opened is under way.
async fn has_password(tx: &mut SystemTx, user: UserId, password: &PasswordHash) -> Result<bool, StoreError> {
    let account = accounts::table
        .find(user.0)
        .filter(accounts::password_hash.eq(password.as_str()))
        .select(accounts::user_id)
        .for_share();
    let found: Option<Uuid> = account.first(tx).await.optional().map_err(failed)?;
    Ok(found.is_some())
}

async fn insert(tx: &mut SystemTx, new: &NewSession) -> Result<(), StoreError> {
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
    diesel::insert_into(sign_ins::table)
        .values(&SignInRow::from(&SignIn::of(&new.session)))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// The whole rotation (REF-02). Of many at once, the first has the token's row; the others wait for it and then find the
/// token used. A session that ends at the same time takes the rotation with it: its row is written by both.
const ROTATE: &str = "\
WITH used AS (
    UPDATE auth.refresh_tokens SET used_at = $2
    WHERE hash = $1 AND session_id = $3 AND used_at IS NULL AND expires_at > $2
    RETURNING session_id, generation
), live AS (
    UPDATE auth.sessions SET last_used_at = $2, idle_until = $5
    FROM used
    WHERE id = used.session_id AND closed_at IS NULL AND sessions.expires_at > $2
    RETURNING id, used.generation
)
INSERT INTO auth.refresh_tokens (hash, session_id, generation, issued_at, expires_at)
SELECT $4, id, generation + 1, $2, $5 FROM live";

#[async_trait]
impl SessionStore for PgStore {
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<Opened, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.open_session",
                async |tx: &mut SystemTx| -> Result<Opened, StoreError> {
                    if let Some(password) = &new.password
                        && !has_password(tx, new.session.user, password).await?
                    {
                        return Ok(Opened::PasswordChanged);
                    }
                    if let Some(proof) = &new.proof
                        && !use_up(tx, proof, new.session.opened_at).await?
                    {
                        return Ok(Opened::ProofUsed);
                    }
                    insert(tx, new).await?;
                    keep(tx, fact).await?;
                    Ok(Opened::Done)
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
                    let added = sql_query(ROTATE)
                        .bind::<Bytea, _>(used.as_slice())
                        .bind::<Timestamptz, _>(successor.issued_at)
                        .bind::<SqlUuid, _>(successor.session.0)
                        .bind::<Bytea, _>(successor.hash.as_slice())
                        .bind::<Timestamptz, _>(successor.expires_at)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(added == 1)
                },
            )
            .await
    }

    async fn find_session(&self, session: SessionId) -> Result<Option<Session>, StoreError> {
        self.database
            .system(
                "auth.find_session",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let query = sessions::table.find(session.0).select(SessionRow::as_select());
                    let row: Option<SessionRow> = query.first(tx).await.optional().map_err(failed)?;
                    Ok(row.map(Into::into))
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
        let ended = [Revocation::of(Ended::Session(session), at, self.life.0)];
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
                        insert_revocations(tx, SCHEMA.name, &ended)
                            .await
                            .map_err(failed)?;
                        keep(tx, fact).await?;
                    }
                    Ok(changed == 1)
                },
            )
            .await
    }
}
