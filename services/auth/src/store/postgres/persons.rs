//! Persons as rows.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation, insert_revocations};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::history::end_sessions;
use super::{PgStore, corrupt, failed, keep};
use crate::SCHEMA;
use crate::domain::{Disabled, Email, Person, Reason, Which};
use crate::store::StoreError;
use crate::store::persons::{PersonStore, SETTLED};

diesel::table! {
    auth.disabled_persons (user_id) {
        user_id -> Uuid,
        disabled_at -> Timestamptz,
        disabled_by -> Text,
        reason -> Text,
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    home: Uuid,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    disabled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    disabled_by: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

const FIND: &str = "\
SELECT person.email, person.home, disabled_at, disabled_by, reason FROM (
    SELECT user_id, email, home_workspace AS home FROM auth.accounts WHERE user_id = $1
    UNION ALL
    SELECT user_id, NULL, home_workspace FROM auth.identities WHERE user_id = $1
) AS person LEFT JOIN auth.disabled_persons USING (user_id)
ORDER BY person.email NULLS LAST LIMIT 1";

impl Row {
    fn read(self, user: UserId) -> Result<Person, StoreError> {
        let disabled = match (self.disabled_at, self.disabled_by, self.reason) {
            (Some(at), Some(by), Some(reason)) => Some(Disabled {
                at,
                by,
                reason: Reason::parse(&reason).map_err(corrupt)?,
            }),
            _ => None,
        };
        Ok(Person {
            user,
            email: self
                .email
                .map(|email| Email::parse(&email).map_err(corrupt))
                .transpose()?,
            home: WorkspaceId(self.home),
            disabled,
        })
    }
}

/// The number under which a person is locked. The end of an id is the random part.
fn turn(user: UserId) -> i64 {
    let [.., a, b, c, d, e, f, g, h] = user.0.into_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

async fn is_out(tx: &mut SystemTx, user: UserId) -> Result<bool, StoreError> {
    let row = disabled_persons::table.find(user.0);
    diesel::select(diesel::dsl::exists(row))
        .get_result(tx)
        .await
        .map_err(failed)
}

/// Whether the person may come in; nobody keeps the person out until the transaction ends, so no session opens while all
/// are being closed.
pub(super) async fn may_enter(tx: &mut SystemTx, user: UserId) -> Result<bool, StoreError> {
    sql_query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind::<BigInt, _>(turn(user))
        .execute(tx)
        .await
        .map_err(failed)?;
    // Another statement: it sees what was committed while this one waited.
    Ok(!is_out(tx, user).await?)
}

#[async_trait]
impl PersonStore for PgStore {
    async fn find_person(&self, user: UserId) -> Result<Option<Person>, StoreError> {
        self.database
            .system(
                "auth.find_person",
                async |tx: &mut SystemTx| -> Result<Option<Person>, StoreError> {
                    let row: Option<Row> = sql_query(FIND)
                        .bind::<SqlUuid, _>(user.0)
                        .get_result(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    row.map(|row| row.read(user)).transpose()
                },
            )
            .await
    }

    async fn is_disabled(&self, user: UserId) -> Result<bool, StoreError> {
        self.database
            .system(
                "auth.is_disabled",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> { is_out(tx, user).await },
            )
            .await
    }

    async fn disable_person(
        &self,
        user: UserId,
        disabled: &Disabled,
        facts: &[OutboxEvent],
        closed: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let (closed, life) = (&closed, self.life);
        self.database
            .system(
                "auth.disable_person",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    sql_query("SELECT pg_advisory_xact_lock($1)")
                        .bind::<BigInt, _>(turn(user))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    let row = (
                        disabled_persons::user_id.eq(user.0),
                        disabled_persons::disabled_at.eq(disabled.at),
                        disabled_persons::disabled_by.eq(&disabled.by),
                        disabled_persons::reason.eq(disabled.reason.as_str()),
                    );
                    let added = diesel::insert_into(disabled_persons::table)
                        .values(row)
                        .on_conflict_do_nothing()
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if added == 0 {
                        return Ok(false);
                    }
                    sql_query("DELETE FROM auth.mail_tokens WHERE user_id = $1 AND purpose = 'reset'")
                        .bind::<SqlUuid, _>(user.0)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    for fact in facts {
                        keep(tx, fact).await?;
                    }
                    end_sessions(tx, user, Which::default(), disabled.at, life, closed).await?;
                    let ended = Revocation::before(Ended::User(user), disabled.at + SETTLED, life.0);
                    insert_revocations(tx, SCHEMA.name, &[ended])
                        .await
                        .map_err(failed)?;
                    Ok(true)
                },
            )
            .await
    }

    async fn enable_person(&self, user: UserId, facts: &[OutboxEvent]) -> Result<bool, StoreError> {
        self.database
            .system(
                "auth.enable_person",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let row = disabled_persons::table.find(user.0);
                    let removed = diesel::delete(row).execute(tx).await.map_err(failed)?;
                    if removed == 0 {
                        return Ok(false);
                    }
                    for fact in facts {
                        keep(tx, fact).await?;
                    }
                    Ok(true)
                },
            )
            .await
    }
}
