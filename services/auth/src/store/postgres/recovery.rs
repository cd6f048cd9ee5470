//! Mailed tokens and passwords as rows.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bytea, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::accounts::accounts;
use super::history::end_sessions;
use super::{PgStore, corrupt, failed, keep, keep_nothing};
use crate::domain::{AccountState, Email, Hash, MailPurpose, Which};
use crate::store::StoreError;
use crate::store::recovery::{Holder, MailToken, NewPassword, RecoveryStore};

diesel::table! {
    auth.mail_tokens (hash) {
        hash -> Bytea,
        purpose -> Text,
        user_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::joinable!(mail_tokens -> accounts (user_id));
diesel::allow_tables_to_appear_in_same_query!(mail_tokens, accounts);

/// One statement, whether the account exists or not.
const ISSUE: &str = "\
INSERT INTO auth.mail_tokens (hash, purpose, user_id, created_at, expires_at)
SELECT $1, $2, user_id, $3, $4 FROM auth.accounts
WHERE email = $5 AND state = 'active' AND NOT ($2 = 'verify' AND email_verified_at IS NOT NULL)
  AND NOT EXISTS (SELECT FROM auth.disabled_persons WHERE disabled_persons.user_id = accounts.user_id)";

/// Uses a token up; answers whose it was.
async fn use_up(
    tx: &mut SystemTx,
    hash: &Hash,
    purpose: MailPurpose,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, StoreError> {
    let good = mail_tokens::table
        .find(hash.as_slice())
        .filter(mail_tokens::purpose.eq(purpose.as_str()))
        .filter(mail_tokens::expires_at.gt(now));
    diesel::delete(good)
        .returning(mail_tokens::user_id)
        .get_result(tx)
        .await
        .optional()
        .map_err(failed)
}

async fn note_verified(tx: &mut SystemTx, user: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
    let unproven = accounts::table
        .find(user)
        .filter(accounts::email_verified_at.is_null());
    diesel::update(unproven)
        .set(accounts::email_verified_at.eq(at))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Sets the password if the account's is the one that was proven. The row is locked: of two changes one sees the other,
/// and so does a login by the password that goes.
async fn replace(tx: &mut SystemTx, new: &NewPassword) -> Result<bool, StoreError> {
    let mut account = diesel::update(accounts::table)
        .filter(accounts::user_id.eq(new.user.0))
        .filter(accounts::state.eq(AccountState::Active.as_str()))
        .set(accounts::password_hash.eq(new.hash.as_str()))
        .into_boxed();
    if let Some(old) = &new.instead_of {
        account = account.filter(accounts::password_hash.eq(old.as_str()));
    }
    Ok(account.execute(tx).await.map_err(failed)? == 1)
}

#[async_trait]
impl RecoveryStore for PgStore {
    async fn issue_mail_token(&self, email: &Email, token: &MailToken) -> Result<bool, StoreError> {
        self.database
            .system(
                "auth.issue_mail_token",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let added = sql_query(ISSUE)
                        .bind::<Bytea, _>(token.hash.as_slice())
                        .bind::<Text, _>(token.purpose.as_str())
                        .bind::<Timestamptz, _>(token.created_at)
                        .bind::<Timestamptz, _>(token.expires_at)
                        .bind::<Text, _>(email.as_str())
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    if added == 0 {
                        keep_nothing(tx).await?;
                    }
                    Ok(added == 1)
                },
            )
            .await
    }

    async fn find_mail_token(
        &self,
        hash: &Hash,
        purpose: MailPurpose,
        now: DateTime<Utc>,
    ) -> Result<Option<Holder>, StoreError> {
        self.database
            .system(
                "auth.find_mail_token",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let found: Option<(Uuid, String, Uuid)> = mail_tokens::table
                        .inner_join(accounts::table)
                        .filter(mail_tokens::hash.eq(hash.as_slice()))
                        .filter(mail_tokens::purpose.eq(purpose.as_str()))
                        .filter(mail_tokens::expires_at.gt(now))
                        .filter(accounts::state.eq(AccountState::Active.as_str()))
                        .select((accounts::user_id, accounts::email, accounts::home_workspace))
                        .first(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    let Some((user, email, home)) = found else {
                        return Ok(None);
                    };
                    Ok(Some(Holder {
                        user: UserId(user),
                        email: Email::parse(&email).map_err(corrupt)?,
                        home: WorkspaceId(home),
                    }))
                },
            )
            .await
    }

    async fn verify_email(
        &self,
        hash: &Hash,
        now: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.verify_email",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let Some(user) = use_up(tx, hash, MailPurpose::Verify, now).await? else {
                        return Ok(false);
                    };
                    note_verified(tx, user, now).await?;
                    keep(tx, fact).await?;
                    Ok(true)
                },
            )
            .await
    }

    async fn set_password(
        &self,
        new: &NewPassword,
        at: DateTime<Utc>,
        fact: OutboxEvent,
        closed: OutboxEvent,
    ) -> Result<Option<usize>, StoreError> {
        let (fact, closed, life) = (&fact, &closed, self.life);
        self.database
            .system(
                "auth.set_password",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    if let Some(hash) = &new.token {
                        let holder = use_up(tx, hash, MailPurpose::Reset, at).await?;
                        if holder != Some(new.user.0) {
                            return Ok(None);
                        }
                        note_verified(tx, new.user.0, at).await?;
                    }
                    if !replace(tx, new).await? {
                        return Ok(None);
                    }
                    let others = mail_tokens::table
                        .filter(mail_tokens::user_id.eq(new.user.0))
                        .filter(mail_tokens::purpose.eq(MailPurpose::Reset.as_str()));
                    diesel::delete(others).execute(tx).await.map_err(failed)?;
                    let which = Which {
                        workspace: None,
                        except: new.keep,
                    };
                    let ended = end_sessions(tx, new.user, which, at, life, closed).await?;
                    keep(tx, fact).await?;
                    Ok(Some(ended.len()))
                },
            )
            .await
    }

    async fn email_verified_at(&self, user: UserId) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.database
            .system(
                "auth.email_verified_at",
                async |tx: &mut SystemTx| -> Result<_, StoreError> {
                    let query = accounts::table.find(user.0).select(accounts::email_verified_at);
                    let found: Option<Option<DateTime<Utc>>> =
                        query.first(tx).await.optional().map_err(failed)?;
                    Ok(found.flatten())
                },
            )
            .await
    }

    async fn sweep_mail_tokens(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.database
            .system(
                "auth.sweep_mail_tokens",
                async |tx: &mut SystemTx| -> Result<(), StoreError> {
                    diesel::delete(mail_tokens::table.filter(mail_tokens::expires_at.le(now)))
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    Ok(())
                },
            )
            .await
    }
}
