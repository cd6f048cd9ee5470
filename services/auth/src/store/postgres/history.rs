//! Open sessions and the history of sign-ins as rows.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::{OutboxEvent, insert_outbox_rows};
use causeway_revocation::{Ended, PgRevocations, Revocation, Revocations, insert_revocations};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Nullable, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::guesses::known_places;
use super::sessions::{SessionRow, SignInRow, sessions, sign_ins};
use super::{PgStore, failed};
use crate::SCHEMA;
use crate::domain::{Session, SignIn, Which};
use crate::store::history::{HistoryStore, Slice};
use crate::store::{AccessLife, StoreError, closed_fact};

const CLOSE: &str = "\
UPDATE auth.sessions SET closed_at = $1
WHERE user_id = $2 AND closed_at IS NULL AND least(idle_until, expires_at) > $5
  AND ($3::uuid IS NULL OR workspace = $3) AND ($4::uuid IS NULL OR id <> $4)
RETURNING id, workspace";

/// What has ended goes in small transactions, so that nobody waits for long. The tokens of a session go with it; what it
/// passed of second factors has no foreign key.
const SWEEP: [&str; 3] = [
    "DELETE FROM auth.refresh_tokens WHERE hash IN (
        SELECT hash FROM auth.refresh_tokens WHERE expires_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)",
    "WITH gone AS (
        DELETE FROM auth.sessions WHERE id IN (
            SELECT id FROM auth.sessions WHERE expires_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)
        RETURNING id
    ), marks AS (DELETE FROM auth.passed_factors USING gone WHERE credential = gone.id)
    SELECT id FROM gone",
    "WITH gone AS (
        DELETE FROM auth.sessions WHERE id IN (
            SELECT id FROM auth.sessions WHERE closed_at < $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)
        RETURNING id
    ), marks AS (DELETE FROM auth.passed_factors USING gone WHERE credential = gone.id)
    SELECT id FROM gone",
];
const BATCH: usize = 1000;
/// How many batches of a kind go at most before others have their turn.
const MOST_SWEEPS: usize = 100;

#[derive(QueryableByName)]
struct Closed {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    workspace: Uuid,
}

/// Ends sessions of a person, with what tells of it: as many statements for one as for thousands.
pub(super) async fn end_sessions(
    tx: &mut AsyncPgConnection,
    user: UserId,
    which: Which,
    at: DateTime<Utc>,
    life: AccessLife,
    fact: &OutboxEvent,
) -> Result<Vec<SessionId>, StoreError> {
    let closed: Vec<Closed> = sql_query(CLOSE)
        .bind::<Timestamptz, _>(at)
        .bind::<SqlUuid, _>(user.0)
        .bind::<Nullable<SqlUuid>, _>(which.workspace.map(|workspace| workspace.0))
        .bind::<Nullable<SqlUuid>, _>(which.except.map(|session| session.0))
        // The last access token of one that ended by age may still be in force.
        .bind::<Timestamptz, _>(at - life.0)
        .load(tx)
        .await
        .map_err(failed)?;
    let sessions = || closed.iter().map(|closed| SessionId(closed.id));
    let ended: Vec<Revocation> = sessions()
        .map(|session| Revocation::of(Ended::Session(session), at, life.0))
        .collect();
    insert_revocations(tx, SCHEMA.name, &ended)
        .await
        .map_err(failed)?;
    let facts = closed
        .iter()
        .map(|closed| closed_fact(fact, SessionId(closed.id), WorkspaceId(closed.workspace)));
    insert_outbox_rows(tx, SCHEMA.name, &facts.collect::<Vec<_>>())
        .await
        .map_err(failed)?;
    Ok(sessions().collect())
}

fn limit(slice: Slice) -> i64 {
    i64::try_from(slice.size).unwrap_or(i64::MAX)
}

#[async_trait]
impl HistoryStore for PgStore {
    fn revocations(&self) -> Arc<dyn Revocations> {
        Arc::new(PgRevocations::new(self.database.clone(), SCHEMA.name))
    }

    async fn list_sessions(
        &self,
        user: UserId,
        which: Which,
        now: DateTime<Utc>,
        slice: Slice,
    ) -> Result<Vec<Session>, StoreError> {
        self.database
            .system(
                "auth.list_sessions",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let mut query = sessions::table
                        .filter(sessions::user_id.eq(user.0))
                        .filter(sessions::closed_at.is_null())
                        .filter(sessions::idle_until.gt(now))
                        .filter(sessions::expires_at.gt(now))
                        .order(sessions::id.desc())
                        .limit(limit(slice))
                        .select(SessionRow::as_select())
                        .into_boxed();
                    if let Some(workspace) = which.workspace {
                        query = query.filter(sessions::workspace.eq(workspace.0));
                    }
                    if let Some(except) = which.except {
                        query = query.filter(sessions::id.ne(except.0));
                    }
                    if let Some(before) = slice.before {
                        query = query.filter(sessions::id.lt(before));
                    }
                    let rows: Vec<SessionRow> = query.load(tx).await.map_err(failed)?;
                    Ok(rows.into_iter().map(Into::into).collect())
                },
            )
            .await
    }

    async fn close_sessions(
        &self,
        user: UserId,
        which: Which,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Vec<SessionId>, StoreError> {
        let (fact, life) = (&fact, self.life);
        self.database
            .system(
                "auth.close_sessions",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    end_sessions(tx, user, which, at, life, fact).await
                },
            )
            .await
    }

    async fn list_sign_ins(&self, user: UserId, slice: Slice) -> Result<Vec<SignIn>, StoreError> {
        self.database
            .system(
                "auth.list_sign_ins",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let mut query = sign_ins::table
                        .filter(sign_ins::user_id.eq(user.0))
                        .order(sign_ins::id.desc())
                        .limit(limit(slice))
                        .select(SignInRow::as_select())
                        .into_boxed();
                    if let Some(before) = slice.before {
                        query = query.filter(sign_ins::id.lt(before));
                    }
                    let rows: Vec<SignInRow> = query.load(tx).await.map_err(failed)?;
                    Ok(rows.into_iter().map(Into::into).collect())
                },
            )
            .await
    }

    async fn forget_history(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        self.database
            .system(
                "auth.forget_history",
                async |tx: &mut SystemTx| -> Result<(), StoreError> {
                    diesel::delete(sign_ins::table.filter(sign_ins::at.lt(before)))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    diesel::delete(known_places::table.filter(known_places::seen_at.lt(before)))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }

    async fn sweep_sessions(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        for statement in SWEEP {
            for _ in 0..MOST_SWEEPS {
                if self.sweep(statement, before).await? < BATCH {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl PgStore {
    /// How many rows one round of `statement` deleted.
    async fn sweep(&self, statement: &'static str, before: DateTime<Utc>) -> Result<usize, StoreError> {
        self.database
            .system(
                "auth.sweep_sessions",
                async |tx: &mut SystemTx| -> Result<usize, StoreError> {
                    sql_query(statement)
                        .bind::<Timestamptz, _>(before)
                        .execute(tx)
                        .await
                        .map_err(failed)
                },
            )
            .await
    }
}
