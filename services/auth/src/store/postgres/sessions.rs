//! Sessions and refresh tokens as rows.

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation, insert_revocations};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::accounts::accounts;
use super::factors::is_confirmed;
use super::persons::may_enter;
use super::{PgStore, failed, keep, refresh_tokens};
use crate::SCHEMA;
use crate::domain::{
    Hash, NewSession, Opened, PasswordHash, Proof, RefreshToken, Session, SessionToken, SignIn, Trace,
};
use crate::store::{SessionStore, StoreError, new_place_fact};

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
pub(super) async fn use_up(tx: &mut SystemTx, proof: &Proof, now: DateTime<Utc>) -> Result<bool, StoreError> {
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

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = Bool)]
    before: bool,
    #[diesel(sql_type = Bool)]
    network: bool,
    #[diesel(sql_type = Bool)]
    agent: bool,
}

const SEEN: &str = "\
SELECT count(*) > 0 AS before, coalesce(bool_or(network = $2), false) AS network,
       coalesce(bool_or(agent = $3), false) AS agent
FROM auth.sign_ins WHERE user_id = $1 AND session_id IS NOT NULL";

/// The fact that a person who signed in before comes from a new place.
async fn new_place(
    tx: &mut SystemTx,
    session: &Session,
    opened: &OutboxEvent,
) -> Result<Option<OutboxEvent>, StoreError> {
    let trace = &session.trace;
    let seen: Seen = sql_query(SEEN)
        .bind::<SqlUuid, _>(session.user.0)
        .bind::<Text, _>(&trace.network)
        .bind::<Text, _>(&trace.agent)
        .get_result(tx)
        .await
        .map_err(failed)?;
    let network = !trace.network.is_empty() && !seen.network;
    let agent = !trace.agent.is_empty() && !seen.agent;
    let new = seen.before && (network || agent);
    Ok(new.then(|| new_place_fact(opened, session, network, agent)))
}

async fn insert(tx: &mut SystemTx, new: &NewSession) -> Result<(), StoreError> {
    diesel::insert_into(sessions::table)
        .values(&SessionRow::from(&new.session))
        .execute(tx)
        .await
        .map_err(failed)?;
    if let Some(token) = &new.token {
        refresh_tokens::insert(tx, token).await?;
    }
    diesel::insert_into(sign_ins::table)
        .values(&SignInRow::from(&SignIn::of(&new.session)))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl SessionStore for PgStore {
    async fn open_session(&self, new: &NewSession, fact: OutboxEvent) -> Result<Opened, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.open_session",
                async |tx: &mut SystemTx| -> Result<Opened, StoreError> {
                    if !may_enter(tx, new.session.user).await? {
                        return Ok(Opened::Disabled);
                    }
                    if let Some(password) = &new.password
                        && !has_password(tx, new.session.user, password).await?
                    {
                        return Ok(Opened::PasswordChanged);
                    }
                    if new.without_factor && is_confirmed(tx, new.session.user).await? {
                        return Ok(Opened::FactorConfirmed);
                    }
                    if let Some(proof) = &new.proof
                        && !use_up(tx, proof, new.session.opened_at).await?
                    {
                        return Ok(Opened::ProofUsed);
                    }
                    let alert = new_place(tx, &new.session, fact).await?;
                    insert(tx, new).await?;
                    keep(tx, fact).await?;
                    if let Some(alert) = alert {
                        keep(tx, &alert).await?;
                    }
                    Ok(Opened::Done)
                },
            )
            .await
    }

    async fn find_refresh_token(&self, hash: &Hash) -> Result<Option<SessionToken>, StoreError> {
        self.refreshes.find(&self.database, hash).await
    }

    async fn rotate(&self, used: &Hash, successor: &RefreshToken) -> Result<bool, StoreError> {
        self.refreshes.rotate(&self.database, used, successor).await
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
