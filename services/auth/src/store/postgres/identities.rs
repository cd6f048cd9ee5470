//! Persons whom identity providers prove, as rows.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::SystemTx;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::sessions::use_up;
use super::{PgStore, corrupt, failed, keep};
use crate::domain::{AccountState, Identity, Member, Proof, Provider};
use crate::store::{IdentityStore, StoreError};

diesel::table! {
    auth.identities (provider, issuer, subject) {
        provider -> Text,
        issuer -> Text,
        subject -> Text,
        user_id -> Uuid,
        state -> Text,
        home_workspace -> Uuid,
        first_seen_at -> Timestamptz,
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = identities, check_for_backend(diesel::pg::Pg))]
struct Row {
    provider: String,
    issuer: String,
    subject: String,
    user_id: Uuid,
    state: String,
    home_workspace: Uuid,
    first_seen_at: DateTime<Utc>,
}

impl From<&Member> for Row {
    fn from(member: &Member) -> Self {
        Self {
            provider: member.identity.provider.as_str().to_owned(),
            issuer: member.identity.issuer.clone(),
            subject: member.identity.subject.clone(),
            user_id: member.user.0,
            state: member.state.as_str().to_owned(),
            home_workspace: member.home.0,
            first_seen_at: member.first_seen_at,
        }
    }
}

impl TryFrom<Row> for Member {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            identity: Identity {
                provider: Provider::parse(&row.provider).ok_or_else(|| corrupt("an unknown provider"))?,
                issuer: row.issuer,
                subject: row.subject,
            },
            user: UserId(row.user_id),
            state: AccountState::parse(&row.state).ok_or_else(|| corrupt("an unknown state"))?,
            home: WorkspaceId(row.home_workspace),
            first_seen_at: row.first_seen_at,
        })
    }
}

async fn find(tx: &mut SystemTx, identity: &Identity) -> Result<Option<Member>, StoreError> {
    let key = (
        identity.provider.as_str(),
        identity.issuer.as_str(),
        identity.subject.as_str(),
    );
    let query = identities::table.find(key).select(Row::as_select());
    let row: Option<Row> = query.first(tx).await.optional().map_err(failed)?;
    row.map(TryInto::try_into).transpose()
}

#[async_trait]
impl IdentityStore for PgStore {
    async fn claim_identity(&self, member: &Member) -> Result<Member, StoreError> {
        self.database
            .system(
                "auth.claim_identity",
                async |tx: &mut SystemTx| -> Result<Member, StoreError> {
                    let key = (identities::provider, identities::issuer, identities::subject);
                    diesel::insert_into(identities::table)
                        .values(&Row::from(member))
                        .on_conflict(key)
                        .do_nothing()
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    // Another statement: it sees a row that another transaction has just added.
                    let kept = find(tx, &member.identity).await?;
                    kept.ok_or_else(|| corrupt("an identity that was there is gone"))
                },
            )
            .await
    }

    async fn activate_identity(&self, user: UserId, fact: OutboxEvent) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .system(
                "auth.activate_identity",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> {
                    let pending = identities::table
                        .filter(identities::user_id.eq(user.0))
                        .filter(identities::state.eq(AccountState::Pending.as_str()));
                    let changed = diesel::update(pending)
                        .set(identities::state.eq(AccountState::Active.as_str()))
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

    async fn find_identity(&self, identity: &Identity) -> Result<Option<Member>, StoreError> {
        self.database
            .system(
                "auth.find_identity",
                async |tx: &mut SystemTx| -> Result<Option<Member>, StoreError> { find(tx, identity).await },
            )
            .await
    }

    async fn use_proof(&self, proof: &Proof, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.database
            .system(
                "auth.use_proof",
                async |tx: &mut SystemTx| -> Result<bool, StoreError> { use_up(tx, proof, now).await },
            )
            .await
    }
}
