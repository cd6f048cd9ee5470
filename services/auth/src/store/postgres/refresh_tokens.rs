//! Refresh tokens as rows: the way of a refresh, which is the most frequent change that the service makes. It takes one
//! look and one statement, each sent with what begins its transaction, and each shared with those who come at the same
//! time.

use std::collections::{BTreeMap, HashMap, HashSet};

use causeway_context::{SessionId, WorkspaceId};
use causeway_database::{Database, SystemTx, WorkspaceTx};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Bytea, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::factors::{passed_factors, second_factors};
use super::sessions::{SessionRow, sessions};
use super::{corrupt, failed, hash};
use crate::domain::{FactorStanding, Hash, PassedBy, RefreshToken, SessionToken};
use crate::store::StoreError;
use crate::together::Together;

/// No workspace. These tables belong to none; but a transaction with a scope is begun without a round trip of its own,
/// and is not committed if it never began.
const NOWHERE: WorkspaceId = WorkspaceId(Uuid::nil());

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

diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(refresh_tokens, sessions, second_factors);
diesel::allow_tables_to_appear_in_same_query!(refresh_tokens, passed_factors);
diesel::allow_tables_to_appear_in_same_query!(sessions, passed_factors);

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

pub(super) async fn insert(tx: &mut SystemTx, token: &RefreshToken) -> Result<(), StoreError> {
    diesel::insert_into(refresh_tokens::table)
        .values(&TokenRow::from(token))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// A token, its session, whether its person has a second factor, and by what the session passed one.
type Found = (TokenRow, SessionRow, Option<i64>, Option<String>);

/// What is asked of refresh tokens, by many at once.
pub(super) struct Refreshes {
    finding: Together<Hash, Option<SessionToken>>,
    rotating: Together<Rotation, Option<bool>>,
}

/// A token that is used, and what it becomes.
#[derive(Clone)]
struct Rotation {
    used: Hash,
    successor: RefreshToken,
}

impl Refreshes {
    pub(super) fn new() -> Self {
        Self {
            finding: Together::new(1),
            // While one is written to disk, the next one goes on.
            rotating: Together::new(2),
        }
    }

    pub(super) async fn find(
        &self,
        database: &Database,
        hash: &Hash,
    ) -> Result<Option<SessionToken>, StoreError> {
        let together = |hashes: Vec<Hash>| async move { find(database, &hashes).await };
        if let Some(found) = self.finding.ask(*hash, together).await? {
            return Ok(found);
        }
        Ok(find(database, &[*hash]).await?.pop().flatten())
    }

    pub(super) async fn rotate(
        &self,
        database: &Database,
        used: &Hash,
        successor: &RefreshToken,
    ) -> Result<bool, StoreError> {
        let rotation = Rotation {
            used: *used,
            successor: successor.clone(),
        };
        let together = |rotations: Vec<Rotation>| async move { rotate_all(database, &rotations).await };
        match self.rotating.ask(rotation, together).await?.flatten() {
            Some(won) => Ok(won),
            None => rotate(database, used, successor).await,
        }
    }
}

/// What there is of each hash, in their order.
async fn find(database: &Database, hashes: &[Hash]) -> Result<Vec<Option<SessionToken>>, StoreError> {
    let found = database.workspace(
        "auth.find_refresh_tokens",
        NOWHERE,
        async |tx: &mut WorkspaceTx| -> Result<Vec<Found>, StoreError> {
            let enrolled = second_factors::table
                .filter(second_factors::user_id.eq(sessions::user_id))
                .filter(second_factors::confirmed_at.is_not_null())
                .count()
                .single_value();
            let passed = passed_factors::table
                .filter(passed_factors::credential.eq(sessions::id))
                .filter(passed_factors::user_id.eq(sessions::user_id))
                .select(passed_factors::passed_by)
                .single_value();
            let hashes: Vec<&[u8]> = hashes.iter().map(Hash::as_slice).collect();
            refresh_tokens::table
                .inner_join(sessions::table)
                .filter(refresh_tokens::hash.eq_any(hashes))
                .select((TokenRow::as_select(), SessionRow::as_select(), enrolled, passed))
                .load(tx)
                .await
                .map_err(failed)
        },
    );
    let mut by_hash = HashMap::new();
    for row in found.await? {
        let found = session_token(row)?;
        by_hash.insert(found.token.hash, found);
    }
    Ok(hashes.iter().map(|hash| by_hash.get(hash).cloned()).collect())
}

fn session_token((token, session, enrolled, passed): Found) -> Result<SessionToken, StoreError> {
    let passed = passed.map(|word| PassedBy::parse(&word).ok_or_else(|| corrupt("an unknown factor")));
    Ok(SessionToken {
        token: token.try_into()?,
        session: session.into(),
        factor: FactorStanding {
            enrolled: enrolled.is_some_and(|count| count > 0),
            passed: passed.transpose()?,
        },
    })
}

/// The whole rotation (REF-02), of one token or of several. Of many at once, the first has the token's row; the others
/// wait for it and then find the token used. A session that ends at the same time takes the rotation with it: its row is
/// written by both.
const ROTATE: &str = "used AS (
    UPDATE auth.refresh_tokens t SET used_at = given.at FROM given
    WHERE t.hash = given.used AND t.session_id = given.session AND t.used_at IS NULL AND t.expires_at > given.at
    RETURNING given.*, t.generation
), live AS (
    UPDATE auth.sessions s SET last_used_at = used.at, idle_until = used.ends FROM used
    WHERE s.id = used.session AND s.closed_at IS NULL AND s.expires_at > used.at
    RETURNING used.*
)
INSERT INTO auth.refresh_tokens (hash, session_id, generation, issued_at, expires_at)
SELECT successor, session, generation + 1, at, ends FROM live";

/// One rotation, as a statement that connections keep prepared.
#[derive(Clone, Copy)]
struct Rotate<'a> {
    used: &'a Hash,
    successor: &'a RefreshToken,
}

impl QueryId for Rotate<'_> {
    type QueryId = Rotate<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for Rotate<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let to = self.successor;
        out.push_sql("WITH given (used, at, session, successor, ends) AS (VALUES (");
        out.push_bind_param::<Bytea, [u8]>(self.used)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&to.issued_at)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&to.session.0)?;
        out.push_sql(", ");
        out.push_bind_param::<Bytea, [u8]>(&to.hash)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&to.expires_at)?;
        out.push_sql(")), ");
        out.push_sql(ROTATE);
        Ok(())
    }
}

async fn rotate(database: &Database, used: &Hash, successor: &RefreshToken) -> Result<bool, StoreError> {
    let rotate = Rotate { used, successor };
    database
        .workspace(
            "auth.rotate",
            NOWHERE,
            async |tx: &mut WorkspaceTx| -> Result<bool, StoreError> {
                Ok(tx.last(rotate).await.map_err(failed)? == 1)
            },
        )
        .await
}

/// Several rotations, as a statement that connections keep prepared. It passes over rows that somebody else holds: nobody
/// waits for the sessions of another. Answers the hashes of the successors that there are now.
#[derive(Clone)]
struct RotateAll {
    used: Vec<Vec<u8>>,
    at: Vec<DateTime<Utc>>,
    sessions: Vec<Uuid>,
    successors: Vec<Vec<u8>>,
    ends: Vec<DateTime<Utc>>,
}

impl RotateAll {
    /// Each token once: of those who show the same one, the first.
    fn of(rotations: &[Rotation]) -> Self {
        let by_hash: BTreeMap<&Hash, &RefreshToken> = rotations
            .iter()
            .rev()
            .map(|one| (&one.used, &one.successor))
            .collect();
        Self {
            used: by_hash.keys().map(|hash| hash.to_vec()).collect(),
            at: by_hash.values().map(|to| to.issued_at).collect(),
            sessions: by_hash.values().map(|to| to.session.0).collect(),
            successors: by_hash.values().map(|to| to.hash.to_vec()).collect(),
            ends: by_hash.values().map(|to| to.expires_at).collect(),
        }
    }
}

impl QueryId for RotateAll {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for RotateAll {
    type SqlType = Bytea;
}

impl QueryFragment<Pg> for RotateAll {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH asked (used, at, session, successor, ends) AS (SELECT * FROM unnest(");
        out.push_bind_param::<Array<Bytea>, _>(&self.used)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.sessions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Bytea>, _>(&self.successors)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.ends)?;
        out.push_sql(
            ")), given AS (
    SELECT asked.* FROM asked
    JOIN auth.refresh_tokens t ON t.hash = asked.used AND t.session_id = asked.session
    JOIN auth.sessions s ON s.id = asked.session
    WHERE t.used_at IS NULL
    FOR NO KEY UPDATE OF t, s SKIP LOCKED
), ",
        );
        out.push_sql(ROTATE);
        out.push_sql(" RETURNING hash");
        Ok(())
    }
}

/// Which of the rotations were made: yes, or no because another one of the same token was, or nothing is known: it has to be
/// tried alone.
async fn rotate_all(database: &Database, rotations: &[Rotation]) -> Result<Vec<Option<bool>>, StoreError> {
    let statement = RotateAll::of(rotations);
    if rotations.len() == 1 {
        let made = database.workspace(
            "auth.rotate_one",
            NOWHERE,
            async |tx: &mut WorkspaceTx| -> Result<usize, StoreError> {
                tx.last(statement.clone()).await.map_err(failed)
            },
        );
        return Ok(vec![(made.await? == 1).then_some(true)]);
    }
    let made = database.workspace(
        "auth.rotate_all",
        NOWHERE,
        async |tx: &mut WorkspaceTx| -> Result<Vec<Vec<u8>>, StoreError> {
            statement.clone().load(tx).await.map_err(failed)
        },
    );
    let made: HashSet<Vec<u8>> = made.await?.into_iter().collect();
    let mut used = HashSet::new();
    let answers = rotations.iter().map(|one| {
        let is_made = made.contains(one.successor.hash.as_slice());
        match is_made && used.insert(one.used) {
            true => Some(true),
            false => used.contains(&one.used).then_some(false),
        }
    });
    Ok(answers.collect())
}
