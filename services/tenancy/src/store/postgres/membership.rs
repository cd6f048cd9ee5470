//! Members and invitations on PostgreSQL.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use causeway_database::{SystemTx, WorkspaceTx};
use causeway_outbox::OutboxEvent;
use causeway_revocation::insert_revocations;
use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel::{select, sql_query};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::rows::{
    IndexRow, InvitationRow, MemberRow, invitation_index, invitations, members, membership_index,
};
use super::{PgStore, failed, hold, keep, limit};
use crate::SCHEMA;
use crate::domain::{
    Invitation, Member, MemberChange, MemberStep, Membership, SecretHash, Standing, may_grant,
};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::{AccessLife, MemberStore, StoreError};

pub(super) async fn member(tx: &mut WorkspaceTx, user: UserId) -> Result<Option<Member>, StoreError> {
    let query = members::table
        .find((tx.workspace().0, user.0))
        .select(MemberRow::as_select());
    let row = query.first(tx).await.optional().map_err(failed)?;
    row.map(TryInto::try_into).transpose()
}

async fn role(tx: &mut WorkspaceTx, user: UserId) -> Result<Option<Role>, StoreError> {
    Ok(member(tx, user).await?.map(|member| member.role))
}

/// How things stand; the workspace must be held.
async fn standing(tx: &mut WorkspaceTx, change: &MemberChange) -> Result<Standing, StoreError> {
    let (workspace, target) = (tx.workspace().0, change.target);
    let other_owners = members::table
        .filter(members::workspace_id.eq(workspace))
        .filter(members::role.eq(Role::Owner.as_str()))
        .filter(members::user_id.ne(target.0));
    let anywhere = membership_index::table.filter(membership_index::user_id.eq(target.0));
    Ok(Standing {
        actor: role(tx, change.actor).await?,
        target: role(tx, target).await?,
        other_owners: select(exists(other_owners))
            .get_result(tx)
            .await
            .map_err(failed)?,
        known: select(exists(anywhere)).get_result(tx).await.map_err(failed)?,
    })
}

pub(super) async fn insert_member(tx: &mut WorkspaceTx, member: &Member) -> Result<(), StoreError> {
    diesel::insert_into(members::table)
        .values(MemberRow::from(member))
        .execute(tx)
        .await
        .map_err(failed)?;
    diesel::insert_into(membership_index::table)
        .values(IndexRow::from(member))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Makes the change that [`MemberChange::check`] allowed.
async fn apply(tx: &mut WorkspaceTx, change: &MemberChange) -> Result<Member, StoreError> {
    let place = (tx.workspace().0, change.target.0);
    let row: MemberRow = match change.step {
        MemberStep::Join(role) => {
            let member = Member {
                workspace: change.workspace,
                user: change.target,
                role,
                joined_at: change.at,
            };
            insert_member(tx, &member).await?;
            return Ok(member);
        }
        MemberStep::Become(role) => {
            end_invitations(tx, change).await?;
            diesel::update(members::table.find(place))
                .set(members::role.eq(role.as_str()))
                .returning(MemberRow::as_returning())
                .get_result(tx)
                .await
        }
        // The member's place in the index and the invitations that it wrote go with it.
        MemberStep::Leave => {
            diesel::delete(members::table.find(place))
                .returning(MemberRow::as_returning())
                .get_result(tx)
                .await
        }
    }
    .map_err(failed)?;
    row.try_into()
}

async fn end_invitations(tx: &mut WorkspaceTx, change: &MemberChange) -> Result<(), StoreError> {
    let lost: Vec<&str> = change.step.lost().map(Role::as_str).collect();
    let lost = invitations::table
        .filter(invitations::workspace_id.eq(tx.workspace().0))
        .filter(invitations::invited_by.eq(change.target.0))
        .filter(invitations::role.eq_any(lost));
    diesel::delete(lost).execute(tx).await.map_err(failed)?;
    Ok(())
}

async fn make_room(tx: &mut WorkspaceTx, invitation: &Invitation) -> Result<(), StoreError> {
    let expired = invitations::table
        .filter(invitations::workspace_id.eq(tx.workspace().0))
        .filter(invitations::email.eq(invitation.email.as_str()))
        .filter(invitations::expires_at.le(invitation.created_at));
    diesel::delete(expired).execute(tx).await.map_err(failed)?;
    Ok(())
}

async fn insert(tx: &mut WorkspaceTx, invitation: &Invitation, hash: &SecretHash) -> Result<(), StoreError> {
    let added = diesel::insert_into(invitations::table)
        .values(InvitationRow::from(invitation))
        .on_conflict((invitations::workspace_id, invitations::email))
        .do_nothing()
        .execute(tx)
        .await
        .map_err(failed)?;
    if added == 0 {
        return Err(Refusal::InvitationExists.into());
    }
    diesel::insert_into(invitation_index::table)
        .values((
            invitation_index::secret_hash.eq(hash.as_slice()),
            invitation_index::workspace.eq(invitation.workspace.0),
            invitation_index::invitation.eq(invitation.id),
        ))
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

/// Tells gateways that what says the old role is void (RBAC-04). The time is read now, with the workspace held: who reads
/// the old role does so before this transaction ends.
async fn void(tx: &mut WorkspaceTx, change: &MemberChange, life: AccessLife) -> Result<(), StoreError> {
    if !change.step.voids() {
        return Ok(());
    }
    let Clock { now } = sql_query("SELECT clock_timestamp() AS now")
        .get_result(tx)
        .await
        .map_err(failed)?;
    let ended = change.voided(now.max(change.at), life.0);
    insert_revocations(tx, SCHEMA.name, &[ended])
        .await
        .map_err(failed)
}

#[async_trait]
impl MemberStore for PgStore {
    async fn change_member(&self, change: &MemberChange, fact: OutboxEvent) -> Result<Member, StoreError> {
        let (fact, life) = (&fact, self.life);
        self.database
            .workspace(
                "tenancy.change_member",
                change.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    hold(tx).await?;
                    let standing = standing(tx, change).await?;
                    change.check(&standing)?;
                    let member = apply(tx, change).await?;
                    void(tx, change, life).await?;
                    keep(tx, &change.describe(fact.clone(), standing.target)).await?;
                    Ok(member)
                },
            )
            .await
    }

    async fn insert_invitation(
        &self,
        invitation: &Invitation,
        hash: &SecretHash,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "tenancy.insert_invitation",
                invitation.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    hold(tx).await?;
                    may_grant(role(tx, invitation.invited_by).await?, Some(invitation.role))?;
                    make_room(tx, invitation).await?;
                    insert(tx, invitation, hash).await?;
                    keep(tx, fact).await
                },
            )
            .await
    }

    async fn list_invitations(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Invitation>, StoreError> {
        self.database
            .workspace(
                "tenancy.list_invitations",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let mut query = invitations::table
                        .filter(invitations::workspace_id.eq(workspace.0))
                        .select(InvitationRow::as_select())
                        .order((invitations::created_at, invitations::id))
                        .limit(limit(page))
                        .into_boxed();
                    if let Some(TimePlace { at, id }) = page.after {
                        let same = invitations::created_at.eq(at).and(invitations::id.gt(id));
                        query = query.filter(invitations::created_at.gt(at).or(same));
                    }
                    let rows: Vec<InvitationRow> = query.load(tx).await.map_err(failed)?;
                    rows.into_iter().map(TryInto::try_into).collect()
                },
            )
            .await
    }

    /// Reads the ids outside of all workspaces and then the invitation inside of its own.
    async fn find_invitation(&self, hash: &SecretHash) -> Result<Option<Invitation>, StoreError> {
        let found = self
            .database
            .system(
                "tenancy.find_invitation",
                async |tx: &mut SystemTx| -> Result<Option<(Uuid, Uuid)>, StoreError> {
                    let query = invitation_index::table
                        .find(hash.as_slice())
                        .select((invitation_index::workspace, invitation_index::invitation));
                    query.first(tx).await.optional().map_err(failed)
                },
            )
            .await?;
        let Some((workspace, id)) = found else {
            return Ok(None);
        };
        self.database
            .workspace(
                "tenancy.read_invitation",
                WorkspaceId(workspace),
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let query = invitations::table
                        .find((workspace, id))
                        .select(InvitationRow::as_select());
                    let row = query.first(tx).await.optional().map_err(failed)?;
                    row.map(TryInto::try_into).transpose()
                },
            )
            .await
    }

    async fn accept_invitation(
        &self,
        invitation: &Invitation,
        user: UserId,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<Membership, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "tenancy.accept_invitation",
                invitation.workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let workspace = hold(tx).await?;
                    let open = invitations::table
                        .find((invitation.workspace.0, invitation.id))
                        .filter(invitations::expires_at.gt(at));
                    let used: Option<InvitationRow> = diesel::delete(open)
                        .returning(InvitationRow::as_returning())
                        .get_result(tx)
                        .await
                        .optional()
                        .map_err(failed)?;
                    let used: Invitation = used.ok_or(Refusal::InvitationNotFound)?.try_into()?;
                    // Taken back with the whole transaction, the invitation stays.
                    if role(tx, user).await?.is_some() {
                        return Err(Refusal::MemberExists.into());
                    }
                    let member = Member {
                        workspace: invitation.workspace,
                        user,
                        role: used.role,
                        joined_at: at,
                    };
                    insert_member(tx, &member).await?;
                    keep(tx, fact).await?;
                    Ok(Membership { workspace, member })
                },
            )
            .await
    }

    async fn revoke_invitation(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let fact = &fact;
        self.database
            .workspace(
                "tenancy.revoke_invitation",
                workspace,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let row = invitations::table.find((workspace.0, id));
                    if diesel::delete(row).execute(tx).await.map_err(failed)? == 0 {
                        return Ok(false);
                    }
                    keep(tx, fact).await?;
                    Ok(true)
                },
            )
            .await
    }
}
