//! Roles on PostgreSQL.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_contracts::PermissionSet;
use causeway_database::WorkspaceTx;
use causeway_outbox::OutboxEvent;
use causeway_revocation::insert_revocations;
use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel::{select, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::membership::held_by;
use super::rows::{corrupt, invitations, loaded, members, roles, stored};
use super::{PgStore, failed, hold, keep};
use crate::SCHEMA;
use crate::domain::{CustomRole, HeldRole, MemberRole, RoleChange, RoleId, RoleName, RoleStanding, RoleStep};
use crate::store::{AccessLife, RoleStore, StoreError};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = roles, check_for_backend(diesel::pg::Pg))]
struct RoleRow {
    workspace_id: Uuid,
    id: Uuid,
    name: String,
    name_key: String,
    permissions: Vec<String>,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl RoleRow {
    fn of(role: &CustomRole) -> Result<Self, StoreError> {
        Ok(Self {
            workspace_id: role.workspace.0,
            id: role.id.0,
            name: role.name.as_str().to_owned(),
            name_key: role.name.key(),
            permissions: role.permissions.names(),
            version: stored(role.version)?,
            created_at: role.created_at,
            updated_at: role.updated_at,
        })
    }
}

/// A permission that was removed from the catalogue lies on in the row, and is not granted.
impl TryFrom<RoleRow> for CustomRole {
    type Error = StoreError;

    fn try_from(row: RoleRow) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: WorkspaceId(row.workspace_id),
            id: RoleId(row.id),
            name: RoleName::parse(&row.name).map_err(|_| corrupt("name of a role"))?,
            permissions: row.permissions.into_iter().collect(),
            version: loaded(row.version)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// What a role holds, if it is one that the workspace made.
pub(super) async fn custom(
    tx: &mut WorkspaceTx,
    role: MemberRole,
) -> Result<Option<PermissionSet>, StoreError> {
    match role {
        MemberRole::BuiltIn(_) => Ok(None),
        MemberRole::Custom(id) => Ok(find(tx, id).await?.map(|role| role.permissions)),
    }
}

/// A role with what it holds now; nothing for one that is not there.
pub(super) async fn held(tx: &mut WorkspaceTx, role: MemberRole) -> Result<Option<HeldRole>, StoreError> {
    Ok(HeldRole::of(role, custom(tx, role).await?))
}

async fn find(tx: &mut WorkspaceTx, id: RoleId) -> Result<Option<CustomRole>, StoreError> {
    let query = roles::table
        .find((tx.workspace().0, id.0))
        .select(RoleRow::as_select());
    let row = query.first(tx).await.optional().map_err(failed)?;
    row.map(TryInto::try_into).transpose()
}

/// How things stand; the workspace must be held.
async fn standing(tx: &mut WorkspaceTx, change: &RoleChange) -> Result<RoleStanding, StoreError> {
    let workspace = tx.workspace().0;
    let own = || roles::table.filter(roles::workspace_id.eq(workspace));
    let key = change.name().map(RoleName::key).unwrap_or_default();
    let same_name = own()
        .filter(roles::name_key.eq(key))
        .filter(roles::id.ne(change.role.0));
    let with_it = members::table
        .filter(members::workspace_id.eq(workspace))
        .filter(members::custom_role.eq(change.role.0));
    let invited = invitations::table
        .filter(invitations::workspace_id.eq(workspace))
        .filter(invitations::custom_role.eq(change.role.0))
        .filter(invitations::expires_at.gt(change.at));
    let count: i64 = own().count().get_result(tx).await.map_err(failed)?;
    let (name_taken, has_members, is_invited): (bool, bool, bool) =
        select((exists(same_name), exists(with_it), exists(invited)))
            .get_result(tx)
            .await
            .map_err(failed)?;
    Ok(RoleStanding {
        actor: held_by(tx, change.actor).await?,
        role: find(tx, change.role).await?,
        roles: usize::try_from(count).unwrap_or(usize::MAX),
        name_taken,
        in_use: has_members || is_invited,
    })
}

async fn write(tx: &mut WorkspaceTx, change: &RoleChange, role: &CustomRole) -> Result<(), StoreError> {
    let place = (tx.workspace().0, change.role.0);
    match change.step {
        RoleStep::Create(..) => {
            diesel::insert_into(roles::table)
                .values(RoleRow::of(role)?)
                .execute(tx)
                .await
        }
        RoleStep::Update { .. } => {
            diesel::update(roles::table.find(place))
                .set(RoleRow::of(role)?)
                .execute(tx)
                .await
        }
        RoleStep::Delete => {
            let expired = invitations::table
                .filter(invitations::workspace_id.eq(place.0))
                .filter(invitations::custom_role.eq(place.1));
            diesel::delete(expired).execute(tx).await.map_err(failed)?;
            diesel::delete(roles::table.find(place)).execute(tx).await
        }
    }
    .map_err(failed)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

/// The time now, with the workspace held: who reads what was before the change does so before this transaction ends.
pub(super) async fn clock(tx: &mut WorkspaceTx) -> Result<DateTime<Utc>, StoreError> {
    let read = sql_query("SELECT clock_timestamp() AS now").get_result(tx).await;
    read.map(|Clock { now }| now).map_err(failed)
}

/// Tells gateways that what says the old role is void (RBAC-04).
async fn void(tx: &mut WorkspaceTx, change: &RoleChange, life: AccessLife) -> Result<(), StoreError> {
    if !change.voids() {
        return Ok(());
    }
    let ended = change.voided(clock(tx).await?.max(change.at), life.0);
    insert_revocations(tx, SCHEMA.name, &[ended])
        .await
        .map_err(failed)
}

#[async_trait]
impl RoleStore for PgStore {
    async fn list_roles(&self, workspace: WorkspaceId) -> Result<Vec<CustomRole>, StoreError> {
        self.database
            .workspace(
                "tenancy.list_roles",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = roles::table
                        .filter(roles::workspace_id.eq(workspace.0))
                        .select(RoleRow::as_select())
                        .order((roles::created_at, roles::id));
                    let rows: Vec<RoleRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn find_role(&self, workspace: WorkspaceId, id: RoleId) -> Result<Option<CustomRole>, StoreError> {
        self.database
            .workspace("tenancy.find_role", workspace, async |tx: &mut WorkspaceTx| {
                find(tx, id).await
            })
            .await
    }

    async fn change_role(&self, change: &RoleChange, fact: OutboxEvent) -> Result<CustomRole, StoreError> {
        let (fact, life) = (&fact, self.life);
        self.database
            .workspace(
                "tenancy.change_role",
                change.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    hold(tx).await?;
                    let standing = standing(tx, change).await?;
                    let before = standing.role.clone();
                    let role = change.apply(standing)?;
                    write(tx, change, &role).await?;
                    void(tx, change, life).await?;
                    keep(tx, &change.describe(fact.clone(), before.as_ref(), &role)).await?;
                    Ok(role)
                },
            )
            .await
    }
}
