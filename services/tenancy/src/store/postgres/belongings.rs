//! What persons are in workspaces. A function of the schema goes from workspace to workspace, so that the policies hold
//! for each of them and one round trip serves many.

use causeway_context::{UserId, WorkspaceId};
use causeway_database::{Database, SystemTx};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::failed;
use super::rows::{MemberRow, WorkspaceRow, corrupt};
use crate::domain::{Belonging, Membership, MfaPolicy, Settings, Workspace};
use crate::store::StoreError;

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    place: i32,
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    region: String,
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = diesel::sql_types::Text)]
    role: String,
    #[diesel(sql_type = diesel::sql_types::Nullable<SqlUuid>)]
    custom_role: Option<Uuid>,
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    joined_at: DateTime<Utc>,
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    mfa_policy: Option<String>,
    #[diesel(sql_type = diesel::sql_types::Nullable<Array<diesel::sql_types::Text>>)]
    permissions: Option<Vec<String>>,
}

impl Found {
    /// What was found for the person and the workspace.
    fn belonging(self, (workspace, user): (WorkspaceId, UserId)) -> Result<Belonging, StoreError> {
        let row = WorkspaceRow {
            workspace_id: workspace.0,
            name: self.name,
            region: self.region,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        let home: Workspace = row.try_into()?;
        let member = MemberRow {
            workspace_id: workspace.0,
            user_id: user.0,
            role: self.role,
            joined_at: self.joined_at,
            custom_role: self.custom_role,
        };
        let mfa_policy = match self.mfa_policy {
            Some(word) => MfaPolicy::parse(&word).map_err(corrupt)?,
            None => Settings::untouched(&home).mfa_policy,
        };
        Ok(Belonging {
            membership: Membership {
                workspace: home,
                member: member.try_into()?,
            },
            mfa_policy,
            // A permission that was removed from the catalogue lies on in the row, and is not granted.
            custom: self.permissions.map(|names| names.into_iter().collect()),
        })
    }
}

/// What each person is in the workspace beside, in their order.
pub(super) async fn find(
    database: &Database,
    places: &[(WorkspaceId, UserId)],
) -> Result<Vec<Option<Belonging>>, StoreError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let (workspaces, users): (Vec<Uuid>, Vec<Uuid>) = places
        .iter()
        .map(|(workspace, user)| (workspace.0, user.0))
        .unzip();
    let (workspaces, users) = (&workspaces, &users);
    let rows = database.system(
        "tenancy.find_belongings",
        async |tx: &mut SystemTx| -> Result<Vec<Found>, StoreError> {
            sql_query("SELECT * FROM tenancy.memberships_of($1, $2)")
                .bind::<Array<SqlUuid>, _>(workspaces)
                .bind::<Array<SqlUuid>, _>(users)
                .load(tx)
                .await
                .map_err(failed)
        },
    );
    let mut found: Vec<Option<Belonging>> = Vec::new();
    found.resize_with(places.len(), || None);
    for row in rows.await? {
        let place = usize::try_from(row.place)
            .ok()
            .and_then(|place| place.checked_sub(1));
        let place = place.and_then(|place| Some((*places.get(place)?, found.get_mut(place)?)));
        let (place, slot) = place.ok_or_else(|| corrupt("an answer to what was not asked"))?;
        *slot = Some(row.belonging(place)?);
    }
    Ok(found)
}
