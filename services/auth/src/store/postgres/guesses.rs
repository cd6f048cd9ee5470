//! Wrong guesses as rows.

use async_trait::async_trait;
use causeway_context::UserId;
use causeway_database::SystemTx;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bytea, Timestamptz};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::sessions::{SignInRow, sign_ins};
use super::{PgStore, failed, keep, keep_nothing};
use crate::domain::{Counter, Guesses, Hash};
use crate::store::StoreError;
use crate::store::guesses::{Failure, GuessStore, Standing};

diesel::table! {
    auth.guesses (key) {
        key -> Bytea,
        failures -> Integer,
        last_at -> Timestamptz,
        forget_at -> Timestamptz,
    }
}

diesel::table! {
    auth.known_places (place) {
        place -> Bytea,
        user_id -> Uuid,
        seen_at -> Timestamptz,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = guesses, check_for_backend(diesel::pg::Pg))]
struct Row {
    key: Vec<u8>,
    failures: i32,
    last_at: DateTime<Utc>,
    forget_at: DateTime<Utc>,
}

/// In one order, so that two transactions never wait for each other.
const COUNT: &str = "\
INSERT INTO auth.guesses AS g (key, failures, last_at, forget_at)
SELECT key, 1, $3, forget_at FROM unnest($1, $2) AS counted (key, forget_at) ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN g.forget_at <= excluded.last_at THEN 1 ELSE least(greatest(g.failures - (
        SELECT greatest(extract(epoch FROM excluded.last_at - g.last_at), 0)::bigint / drain
        FROM unnest($1, $4) AS drained (key, drain) WHERE drained.key = g.key), 0), 2147483646)::integer + 1 END,
    last_at = CASE WHEN g.forget_at <= excluded.last_at THEN excluded.last_at
              ELSE greatest(g.last_at, excluded.last_at) END,
    forget_at = excluded.forget_at";

async fn count(tx: &mut SystemTx, counters: &[Counter], now: DateTime<Utc>) -> Result<(), StoreError> {
    let keys: Vec<&[u8]> = counters.iter().map(|counter| counter.key.as_slice()).collect();
    let ends: Vec<DateTime<Utc>> = counters.iter().map(|counter| now + counter.rule.forget).collect();
    // A rule that drains nothing drains one in more time than a counter lives.
    let never = i64::from(i32::MAX);
    let drains: Vec<i64> = counters
        .iter()
        .map(|counter| {
            counter
                .rule
                .drain
                .map_or(never, |drain| drain.num_seconds().max(1))
        })
        .collect();
    sql_query(COUNT)
        .bind::<Array<Bytea>, _>(keys)
        .bind::<Array<Timestamptz>, _>(ends)
        .bind::<Timestamptz, _>(now)
        .bind::<Array<BigInt>, _>(drains)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Keeps what a victim is to see. Without a victim as many statements are sent: how long the answer takes must not tell
/// whether there is one.
async fn keep_failure(tx: &mut SystemTx, failure: Option<&Failure>) -> Result<(), StoreError> {
    let Some(failure) = failure else {
        sql_query("SELECT 1").execute(tx).await.map_err(failed)?;
        return keep_nothing(tx).await;
    };
    diesel::insert_into(sign_ins::table)
        .values(&SignInRow::from(&failure.sign_in))
        .execute(tx)
        .await
        .map_err(failed)?;
    keep(tx, &failure.fact).await
}

/// Lets one transaction at a time decide about each key.
async fn take_turns(tx: &mut SystemTx, counters: &[Counter]) -> Result<(), StoreError> {
    let mut numbers: Vec<i64> = counters
        .iter()
        .filter_map(|counter| counter.key.first_chunk().copied().map(i64::from_be_bytes))
        .collect();
    numbers.sort_unstable();
    sql_query("SELECT pg_advisory_xact_lock(number) FROM unnest($1) AS turn (number)")
        .bind::<Array<BigInt>, _>(numbers)
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

fn waits(rows: &[Row], counters: &[Counter], now: DateTime<Utc>) -> Vec<Option<TimeDelta>> {
    let wait = |counter: &Counter| {
        let row = rows.iter().find(|row| row.key == counter.key)?;
        let guesses = Guesses {
            failures: row.failures,
            last_at: row.last_at,
            forget_at: row.forget_at,
        };
        guesses.wait(counter.rule, now)
    };
    counters.iter().map(wait).collect()
}

fn keys(counters: &[Counter]) -> Vec<Vec<u8>> {
    counters.iter().map(|counter| counter.key.to_vec()).collect()
}

async fn stand(
    tx: &mut SystemTx,
    counters: &[Counter],
    place: &Hash,
    now: DateTime<Utc>,
) -> Result<Standing, StoreError> {
    let rows: Vec<Row> = guesses::table
        .filter(guesses::key.eq_any(keys(counters)))
        .select(Row::as_select())
        .load(tx)
        .await
        .map_err(failed)?;
    let known: Option<Uuid> = known_places::table
        .find(place.as_slice())
        .select(known_places::user_id)
        .first(tx)
        .await
        .optional()
        .map_err(failed)?;
    Ok(Standing {
        waits: waits(&rows, counters, now),
        known: known.is_some(),
    })
}

async fn know(tx: &mut SystemTx, place: &Hash, user: UserId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = (
        known_places::place.eq(place.as_slice()),
        known_places::user_id.eq(user.0),
        known_places::seen_at.eq(now),
    );
    diesel::insert_into(known_places::table)
        .values(row)
        .on_conflict(known_places::place)
        .do_update()
        .set((known_places::user_id.eq(user.0), known_places::seen_at.eq(now)))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[async_trait]
impl GuessStore for PgStore {
    async fn guesses(
        &self,
        counters: &[Counter],
        place: &Hash,
        now: DateTime<Utc>,
    ) -> Result<Standing, StoreError> {
        self.database
            .system("auth.guesses", async |tx: &mut SystemTx| {
                stand(tx, counters, place, now).await
            })
            .await
    }

    async fn count_guess(
        &self,
        counters: &[Counter],
        place: &Hash,
        now: DateTime<Utc>,
        failure: Option<Failure>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        let failure = failure.as_ref();
        self.database
            .system(
                "auth.count_guess",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    take_turns(tx, counters).await?;
                    let wait = stand(tx, counters, place, now).await?.wait(counters);
                    if wait.is_none() {
                        count(tx, counters, now).await?;
                        keep_failure(tx, failure).await?;
                    }
                    Ok(wait)
                },
            )
            .await
    }

    async fn reserve_guess(
        &self,
        counters: &[Counter],
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        self.database
            .system(
                "auth.reserve_guess",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    take_turns(tx, counters).await?;
                    let before: Vec<Row> = guesses::table
                        .filter(guesses::key.eq_any(keys(counters)))
                        .select(Row::as_select())
                        .load(tx)
                        .await
                        .map_err(failed)?;
                    let wait = waits(&before, counters, now).into_iter().flatten().max();
                    if wait.is_none() {
                        count(tx, counters, now).await?;
                    }
                    Ok(wait)
                },
            )
            .await
    }

    async fn forget_guesses(
        &self,
        counters: &[Counter],
        own: &Hash,
        place: &Hash,
        user: Option<UserId>,
        now: DateTime<Utc>,
    ) -> Result<Option<TimeDelta>, StoreError> {
        self.database
            .system(
                "auth.forget_guesses",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    take_turns(tx, counters).await?;
                    let wait = stand(tx, counters, place, now).await?.wait(counters);
                    if wait.is_some() {
                        return Ok(wait);
                    }
                    diesel::delete(guesses::table.find(own.as_slice()))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if let Some(user) = user {
                        know(tx, place, user, now).await?;
                    }
                    Ok(None)
                },
            )
            .await
    }

    async fn sweep_guesses(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.database
            .system(
                "auth.sweep_guesses",
                async |tx: &mut SystemTx| -> Result<(), StoreError> {
                    diesel::delete(guesses::table.filter(guesses::forget_at.le(now)))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}
