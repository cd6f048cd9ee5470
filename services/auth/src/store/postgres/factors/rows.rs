//! Rows of second factors.

use causeway_context::{UserId, WorkspaceId};
use causeway_database::{SystemTx, WorkspaceTx, constraint};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::super::failed;
use crate::domain::{Factor, Hash, NewFactor, PassedBy, Tries};
use crate::store::StoreError;

/// What `causeway.fence_sealed` says that it refused a write.
const FENCE: &str = "key_fence";

diesel::table! {
    auth.factors (workspace_id, user_id) {
        workspace_id -> Uuid,
        user_id -> Uuid,
        seed -> Bytea,
        key_version -> Integer,
    }
}

diesel::table! {
    auth.key_fences (workspace_id) {
        workspace_id -> Uuid,
        min_write_version -> Integer,
    }
}

diesel::table! {
    auth.second_factors (user_id) {
        user_id -> Uuid,
        enrolment -> Uuid,
        seed_workspace -> Uuid,
        enrolled_at -> Timestamptz,
        confirmed_at -> Nullable<Timestamptz>,
        last_step -> BigInt,
    }
}

diesel::table! {
    auth.recovery_codes (user_id, hash) {
        user_id -> Uuid,
        hash -> Bytea,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    auth.factor_tries (user_id) {
        user_id -> Uuid,
        recent -> Array<Timestamptz>,
        locks -> Integer,
        locked_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    auth.passed_factors (credential) {
        credential -> Uuid,
        user_id -> Uuid,
        passed_by -> Text,
        passed_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(second_factors, passed_factors);

/// Whether the person has a confirmed factor. One that is being confirmed is waited for, and one that is there does not
/// get confirmed before the transaction ends: what is opened beside it is then seen by whoever ends sessions.
pub(in crate::store::postgres) async fn is_confirmed(
    tx: &mut SystemTx,
    user: UserId,
) -> Result<bool, StoreError> {
    let factor = second_factors::table
        .find(user.0)
        .select(second_factors::confirmed_at)
        .for_share();
    let found: Option<Option<DateTime<Utc>>> = factor.first(tx).await.optional().map_err(failed)?;
    Ok(found.flatten().is_some())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = second_factors, check_for_backend(diesel::pg::Pg))]
pub(super) struct FactorRow {
    user_id: Uuid,
    enrolment: Uuid,
    seed_workspace: Uuid,
    enrolled_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
}

impl From<FactorRow> for Factor {
    fn from(row: FactorRow) -> Self {
        Self {
            user: UserId(row.user_id),
            enrolment: row.enrolment,
            workspace: WorkspaceId(row.seed_workspace),
            enrolled_at: row.enrolled_at,
            confirmed_at: row.confirmed_at,
        }
    }
}

#[derive(Queryable, Selectable, AsChangeset)]
#[diesel(table_name = factor_tries, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
pub(super) struct TriesRow {
    recent: Vec<DateTime<Utc>>,
    locks: i32,
    locked_until: Option<DateTime<Utc>>,
}

impl From<TriesRow> for Tries {
    fn from(row: TriesRow) -> Self {
        Self {
            recent: row.recent,
            locks: row.locks.unsigned_abs(),
            locked_until: row.locked_until,
        }
    }
}

impl From<Tries> for TriesRow {
    fn from(tries: Tries) -> Self {
        Self {
            recent: tries.recent,
            locks: i32::try_from(tries.locks).unwrap_or(i32::MAX),
            locked_until: tries.locked_until,
        }
    }
}

pub(super) async fn forgive(tx: &mut AsyncPgConnection, user: UserId) -> Result<(), StoreError> {
    let done = diesel::delete(factor_tries::table.find(user.0)).execute(tx).await;
    done.map(|_| ()).map_err(failed)
}

pub(super) async fn add_codes(
    tx: &mut AsyncPgConnection,
    user: UserId,
    hashes: &[Hash],
) -> Result<(), StoreError> {
    let rows: Vec<_> = hashes
        .iter()
        .map(|hash| {
            (
                recovery_codes::user_id.eq(user.0),
                recovery_codes::hash.eq(hash.as_slice()),
            )
        })
        .collect();
    let added = diesel::insert_into(recovery_codes::table)
        .values(rows)
        .execute(tx);
    added.await.map(|_| ()).map_err(failed)
}

pub(super) async fn pass(
    tx: &mut AsyncPgConnection,
    user: UserId,
    credential: Uuid,
    by: PassedBy,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::insert_into(passed_factors::table)
        .values((
            passed_factors::credential.eq(credential),
            passed_factors::user_id.eq(user.0),
            passed_factors::passed_by.eq(by.as_str()),
            passed_factors::passed_at.eq(at),
        ))
        .on_conflict(passed_factors::credential)
        .do_update()
        .set((
            passed_factors::passed_by.eq(excluded(passed_factors::passed_by)),
            passed_factors::passed_at.eq(excluded(passed_factors::passed_at)),
        ))
        .execute(tx)
        .await
        .map(|_| ())
        .map_err(failed)
}

/// How often an enrolment looks again when another one of the same person comes in between.
const ROUNDS: usize = 3;

/// Adds a factor in the place of one that was not confirmed. The row's lock makes two enrolments one after the other.
pub(super) async fn enrol(tx: &mut WorkspaceTx, new: &NewFactor) -> Result<bool, StoreError> {
    for _ in 0..ROUNDS {
        if !make_room(tx, new.factor.user).await? {
            return Ok(false);
        }
        if add_factor(tx, &new.factor).await? {
            add_codes(tx, new.factor.user, &new.recovery_codes).await?;
            write_seed(tx, new).await?;
            return Ok(true);
        }
    }
    Err(StoreError::Unavailable("other enrolments came in between".into()))
}

/// Takes an enrolment away that was not confirmed. False if one was.
async fn make_room(tx: &mut AsyncPgConnection, user: UserId) -> Result<bool, StoreError> {
    let mine = second_factors::table.find(user.0);
    let before: Option<FactorRow> = mine
        .select(FactorRow::as_select())
        .for_update()
        .first(tx)
        .await
        .optional()
        .map_err(failed)?;
    match before {
        Some(before) if before.confirmed_at.is_some() => Ok(false),
        Some(_) => {
            diesel::delete(mine).execute(tx).await.map_err(failed)?;
            Ok(true)
        }
        None => Ok(true),
    }
}

/// False if another enrolment was faster: it is visible to the next statement.
async fn add_factor(tx: &mut AsyncPgConnection, factor: &Factor) -> Result<bool, StoreError> {
    let added = diesel::insert_into(second_factors::table)
        .values((
            second_factors::user_id.eq(factor.user.0),
            second_factors::enrolment.eq(factor.enrolment),
            second_factors::seed_workspace.eq(factor.workspace.0),
            second_factors::enrolled_at.eq(factor.enrolled_at),
            second_factors::last_step.eq(0),
        ))
        .on_conflict_do_nothing()
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(added == 1)
}

async fn write_seed(tx: &mut AsyncPgConnection, new: &NewFactor) -> Result<(), StoreError> {
    diesel::insert_into(factors::table)
        .values((
            factors::workspace_id.eq(new.factor.workspace.0),
            factors::user_id.eq(new.factor.user.0),
            factors::seed.eq(&new.seed.sealed),
            factors::key_version.eq(new.seed.key_version),
        ))
        .on_conflict((factors::workspace_id, factors::user_id))
        .do_update()
        .set((
            factors::seed.eq(excluded(factors::seed)),
            factors::key_version.eq(excluded(factors::key_version)),
        ))
        .execute(tx)
        .await
        .map(|_| ())
        .map_err(fenced)
}

fn fenced(error: DieselError) -> StoreError {
    match constraint(&error) {
        Some(FENCE) => StoreError::Fenced,
        Some(_) | None => failed(error),
    }
}
