//! The store on PostgreSQL. Every statement names its workspace, and row-level security holds where one would not.

mod belongings;
mod exports;
mod keys;
mod ledger;
mod lifecycle;
mod membership;
mod only;
mod rewrap;
mod roles;
mod rotations;
mod rows;
mod sealed;
mod settings;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_database::{Class, Database, DatabaseError, SystemTx, WorkspaceTx};
use causeway_outbox::{OutboxEvent, commit_with_outbox_row};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use self::rows::{
    IndexRow, MemberRow, SecretRow, WorkspaceRow, members, membership_index, secrets, workspaces,
};
use super::{AccessLife, SecretStore, StoreError, WorkspaceStore};
use crate::SCHEMA;
use crate::domain::{Belonging, Member, Membership, Secret, SecretName, Workspace, WorkspaceName};
use crate::page::{Page, TimePlace};

/// What `causeway.fence_sealed` says that it refused a write.
const FENCE: &str = "key_fence";

/// Everything in the schemas `tenancy` and `keystore`.
pub(crate) struct PgStore {
    database: Database,
    life: AccessLife,
}

impl PgStore {
    /// A store on that database, whose schemas are migrated.
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            life: AccessLife::default(),
        }
    }

    /// The same store where access tokens live that long.
    pub(crate) fn with_access_life(self, life: TimeDelta) -> Self {
        Self {
            life: AccessLife(life),
            ..self
        }
    }
}

/// The one place where a database error gets its meaning here.
impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        if let DatabaseError::Query(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) =
            error
        {
            return Self::NoParent;
        }
        if error.constraint() == Some(FENCE) {
            return Self::Fenced;
        }
        match error.class() {
            Class::Conflict => Self::Conflict,
            Class::Corrupt | Class::NotFound => Self::Corrupt(error.into()),
            Class::Serialization | Class::Unavailable => Self::Unavailable(error.into()),
        }
    }
}

fn failed(error: DieselError) -> StoreError {
    DatabaseError::from(error).into()
}

/// The last thing in a transaction: it commits it.
async fn keep(tx: &mut WorkspaceTx, fact: &OutboxEvent) -> Result<(), StoreError> {
    commit_with_outbox_row(tx, SCHEMA.name, fact)
        .await
        .map_err(failed)
}

/// The workspace, held until the end of the transaction: changes of who belongs to it, and of what it decided, come one
/// after the other. Others may go on to refer to it.
async fn hold(tx: &mut WorkspaceTx) -> Result<Workspace, StoreError> {
    let query = workspaces::table
        .find(tx.workspace().0)
        .select(WorkspaceRow::as_select())
        .for_no_key_update();
    let row = query.first(tx).await.optional().map_err(failed)?;
    row.ok_or(StoreError::NoParent)?.try_into()
}

fn limit<P>(page: &Page<P>) -> i64 {
    i64::try_from(page.size).unwrap_or(i64::MAX)
}

#[async_trait]
impl WorkspaceStore for PgStore {
    async fn create_workspace(
        &self,
        workspace: &Workspace,
        owner: &Member,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let (row, member, index) = (
            WorkspaceRow::from(workspace),
            MemberRow::from(owner),
            IndexRow::from(owner),
        );
        let (row, member, index, fact) = (&row, &member, &index, &fact);
        self.database
            .workspace(
                "tenancy.create_workspace",
                workspace.id,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    diesel::insert_into(workspaces::table)
                        .values(row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    diesel::insert_into(members::table)
                        .values(member)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    diesel::insert_into(membership_index::table)
                        .values(index)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn find_workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        self.database
            .workspace(
                "tenancy.find_workspace",
                id,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = workspaces::table.find(id.0).select(WorkspaceRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn rename_workspace(
        &self,
        id: WorkspaceId,
        name: &WorkspaceName,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Option<Workspace>, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "tenancy.rename_workspace",
                id,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let row: Option<WorkspaceRow> = diesel::update(workspaces::table.find(id.0))
                        .set((workspaces::name.eq(name.as_str()), workspaces::updated_at.eq(at)))
                        .returning(WorkspaceRow::as_returning())
                        .get_result(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    let Some(row) = row else { return Ok(None) };
                    let renamed = row.try_into()?;
                    keep(tx, fact).await?;
                    Ok(Some(renamed))
                },
            )
            .await
    }

    async fn find_member(&self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.database
            .workspace(
                "tenancy.find_member",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = members::table
                        .find((workspace.0, user.0))
                        .select(MemberRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn list_members(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Member>, StoreError> {
        self.database
            .workspace(
                "tenancy.list_members",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mut query = members::table
                        .filter(members::workspace_id.eq(workspace.0))
                        .select(MemberRow::as_select())
                        .order((members::joined_at, members::user_id))
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(TimePlace { at, id }) = page.after {
                        let later = members::joined_at.gt(at);
                        query =
                            query.filter(later.or(members::joined_at.eq(at).and(members::user_id.gt(id))));
                    }
                    let rows: Vec<MemberRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    /// Reads the ids outside of all workspaces and then each workspace inside of itself. One that is deleted between
    /// the two is left out.
    async fn list_memberships(
        &self,
        user: UserId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Membership>, StoreError> {
        let found = self
            .database
            .system(
                "tenancy.list_memberships",
                async |tx: &mut SystemTx| -> Result<Vec<Uuid>, StoreError> {
                    let mut query = membership_index::table
                        .filter(membership_index::user_id.eq(user.0))
                        .select(membership_index::workspace)
                        .order((membership_index::joined_at, membership_index::workspace))
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(TimePlace { at, id }) = page.after {
                        let same = membership_index::joined_at
                            .eq(at)
                            .and(membership_index::workspace.gt(id));
                        query = query.filter(membership_index::joined_at.gt(at).or(same));
                    }
                    query.load(tx).await.map_err(failed)
                },
            )
            .await?;
        let places: Vec<_> = found.into_iter().map(|id| (WorkspaceId(id), user)).collect();
        let found = belongings::find(&self.database, &places).await?;
        Ok(found.into_iter().flatten().map(|one| one.membership).collect())
    }

    async fn find_belongings(
        &self,
        places: &[(WorkspaceId, UserId)],
    ) -> Result<Vec<Option<Belonging>>, StoreError> {
        belongings::find(&self.database, places).await
    }
}

#[async_trait]
impl SecretStore for PgStore {
    async fn find_secret(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
    ) -> Result<Option<Secret>, StoreError> {
        self.database
            .workspace(
                "tenancy.find_secret",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = secrets::table
                        .find((workspace.0, name.as_str()))
                        .select(SecretRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn list_secrets(
        &self,
        workspace: WorkspaceId,
        page: &Page<SecretName>,
    ) -> Result<Vec<Secret>, StoreError> {
        self.database
            .workspace(
                "tenancy.list_secrets",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mut query = secrets::table
                        .filter(secrets::workspace_id.eq(workspace.0))
                        .select(SecretRow::as_select())
                        .order(secrets::name)
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(after) = &page.after {
                        query = query.filter(secrets::name.gt(after.as_str()));
                    }
                    let rows: Vec<SecretRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    async fn insert_secret(&self, secret: &Secret, fact: OutboxEvent) -> Result<(), StoreError> {
        let (row, fact) = (&SecretRow::try_from(secret)?, &fact);
        self.database
            .workspace(
                "tenancy.insert_secret",
                secret.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    diesel::insert_into(secrets::table)
                        .values(row)
                        .execute(tx)
                        .await
                        .map_err(failed)?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn replace_secret(&self, secret: &Secret, fact: OutboxEvent) -> Result<(), StoreError> {
        let (row, fact) = (&SecretRow::try_from(secret)?, &fact);
        let before = rows::stored(secret.version.checked_sub(1).ok_or(StoreError::Conflict)?)?;
        self.database
            .workspace(
                "tenancy.replace_secret",
                secret.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let same_row = secrets::table
                        .find((secret.workspace.0, secret.name.as_str()))
                        .filter(secrets::id.eq(secret.id))
                        .filter(secrets::version.eq(before));
                    match diesel::update(same_row)
                        .set(row)
                        .execute(tx)
                        .await
                        .map_err(failed)?
                    {
                        0 => Err(StoreError::Conflict),
                        _ => keep(tx, fact).await,
                    }
                },
            )
            .await
    }

    async fn delete_secret(
        &self,
        workspace: WorkspaceId,
        name: &SecretName,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "tenancy.delete_secret",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let row = secrets::table.find((workspace.0, name.as_str()));
                    if diesel::delete(row).execute(tx).await.map_err(failed)? == 0 {
                        return Ok(false);
                    }
                    keep(tx, fact).await?;
                    Ok(true)
                },
            )
            .await
    }

    async fn record(&self, fact: OutboxEvent) -> Result<(), StoreError> {
        let fact = &fact;
        self.database
            .workspace("tenancy.record", fact.workspace, async |tx: &mut WorkspaceTx| {
                keep(tx, fact).await
            })
            .await
    }
}

#[cfg(test)]
mod tests;
