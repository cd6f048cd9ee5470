//! Accounts as rows.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{PgStore, corrupt, failed, keep};
use crate::domain::{Account, AccountState, Claim, Email, PasswordHash};
use crate::store::{AccountStore, StoreError};

diesel::table! {
    auth.accounts (user_id) {
        user_id -> Uuid,
        email -> Text,
        password_hash -> Text,
        state -> Text,
        home_workspace -> Uuid,
        claimed_at -> Timestamptz,
        email_verified_at -> Nullable<Timestamptz>,
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = accounts, check_for_backend(diesel::pg::Pg))]
struct Row {
    user_id: Uuid,
    email: String,
    password_hash: String,
    state: String,
    home_workspace: Uuid,
    claimed_at: DateTime<Utc>,
}

impl From<&Account> for Row {
    fn from(account: &Account) -> Self {
        Self {
            user_id: account.user.0,
            email: account.email.as_str().to_owned(),
            password_hash: account.password.as_str().to_owned(),
            state: account.state.as_str().to_owned(),
            home_workspace: account.home.0,
            claimed_at: account.claimed_at,
        }
    }
}

impl TryFrom<Row> for Account {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            user: UserId(row.user_id),
            email: Email::parse(&row.email).map_err(corrupt)?,
            password: PasswordHash::new(row.password_hash),
            state: AccountState::parse(&row.state).ok_or_else(|| corrupt("an unknown state"))?,
            home: WorkspaceId(row.home_workspace),
            claimed_at: row.claimed_at,
        })
    }
}

#[async_trait]
impl AccountStore for PgStore {
    async fn claim_address(&self, account: &Account) -> Result<Claim, StoreError> {
        self.database
            .system(
                "auth.claim_address",
                async |tx: &mut SystemTx| -> Result<Claim, StoreError> {
                    let row = Row::from(account);
                    let added = diesel::insert_into(accounts::table)
                        .values(&row)
                        .on_conflict(accounts::email)
                        .do_nothing()
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if added == 1 {
                        return Ok(Claim::Made(account.clone()));
                    }
                    take_over(tx, account).await
                },
            )
            .await
    }

    async fn activate_account(
        &self,
        user: UserId,
        claimed_at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.activate_account",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let claim = accounts::table
                        .find(user.0)
                        .filter(accounts::state.eq(AccountState::Pending.as_str()))
                        .filter(accounts::claimed_at.eq(claimed_at));
                    let changed = diesel::update(claim)
                        .set(accounts::state.eq(AccountState::Active.as_str()))
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

    async fn find_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        self.database
            .system(
                "auth.find_by_email",
                async |tx: &mut SystemTx| -> Result<Option<Account>, StoreError> {
                    let query = accounts::table
                        .filter(accounts::email.eq(email.as_str()))
                        .select(Row::as_select());
                    let row: Option<Row> = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn find_account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        self.database
            .system(
                "auth.find_account",
                async |tx: &mut SystemTx| -> Result<Option<Account>, StoreError> {
                    let query = accounts::table.find(user.0).select(Row::as_select());
                    let row: Option<Row> = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }
}

/// Takes over the account that has the address, if it lapsed. The row is locked, so of two claims one sees the other.
async fn take_over(tx: &mut SystemTx, account: &Account) -> Result<Claim, StoreError> {
    let row: Row = accounts::table
        .filter(accounts::email.eq(account.email.as_str()))
        .select(Row::as_select())
        .for_update()
        .first(tx)
        .await
        .map_err(failed)?;
    let found = Account::try_from(row)?;
    if !found.lapsed(account.claimed_at) {
        return Ok(Claim::Taken(found));
    }
    let claimed = Account {
        user: found.user,
        home: found.home,
        ..account.clone()
    };
    diesel::update(accounts::table.find(found.user.0))
        .set((
            accounts::password_hash.eq(claimed.password.as_str()),
            accounts::claimed_at.eq(claimed.claimed_at),
        ))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(Claim::Made(claimed))
}
