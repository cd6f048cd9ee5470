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
use diesel::select;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::roles::{clock, custom, held};
use super::rows::{
    self, IndexRow, InvitationRow, MemberRow, invitation_index, invitations, members, membership_index,
};
use super::{PgStore, failed, hold, keep, limit};
use crate::SCHEMA;
use crate::domain::{
    HeldRole, INVITATIONS_WRITE, Invitation, Member, MemberChange, MemberRole, MemberStep, Membership,
    SecretHash, Standing, may_grant,
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

/// What a person is in the workspace now.
pub(super) async fn held_by(tx: &mut WorkspaceTx, user: UserId) -> Result<Option<HeldRole>, StoreError> {
    match member(tx, user).await? {
        Some(member) => held(tx, member.role).await,
        None => Ok(None),
    }
}

/// Whether a member may still give the role of an invitation that it wrote.
async fn is_backed(
    tx: &mut WorkspaceTx,
    writer: Option<HeldRole>,
    role: MemberRole,
) -> Result<bool, StoreError> {
    let role = held(tx, role).await?;
    Ok(role.is_some_and(|role| may_grant(writer, INVITATIONS_WRITE, &role).is_ok()))
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
        actor: held_by(tx, change.actor).await?,
        target: held_by(tx, target).await?,
        custom: match change.step.role() {
            Some(role) => custom(tx, role).await?,
            None => None,
        },
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
            let row = diesel::update(members::table.find(place))
                .set((
                    members::role.eq(rows::word(role)),
                    members::custom_role.eq(rows::custom(role)),
                ))
                .returning(MemberRow::as_returning())
                .get_result(tx)
                .await;
            end_invitations(tx, change.target).await?;
            row
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

/// Ends the invitations of a member that it could not write any more.
async fn end_invitations(tx: &mut WorkspaceTx, writer: UserId) -> Result<(), StoreError> {
    let written: Vec<InvitationRow> = invitations::table
        .filter(invitations::workspace_id.eq(tx.workspace().0))
        .filter(invitations::invited_by.eq(writer.0))
        .select(InvitationRow::as_select())
        .load(tx)
        .await
        .map_err(failed)?;
    let writer = held_by(tx, writer).await?;
    let mut lost = Vec::new();
    for row in written {
        let open: Invitation = row.try_into()?;
        if !is_backed(tx, writer, open.role).await? {
            lost.push(open.id);
        }
    }
    let lost = invitations::table
        .filter(invitations::workspace_id.eq(tx.workspace().0))
        .filter(invitations::id.eq_any(lost));
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

/// Tells gateways that what says the old role is void (RBAC-04).
async fn void(tx: &mut WorkspaceTx, change: &MemberChange, life: AccessLife) -> Result<(), StoreError> {
    if !change.step.voids() {
        return Ok(());
    }
    let ended = change.voided(clock(tx).await?.max(change.at), life.0);
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
                    let role = held(tx, invitation.role).await?.ok_or(Refusal::RoleNotFound)?;
                    let writer = held_by(tx, invitation.invited_by).await?;
                    may_grant(writer, INVITATIONS_WRITE, &role)?;
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
                    let writer = held_by(tx, used.invited_by).await?;
                    if !is_backed(tx, writer, used.role).await? {
                        return Err(Refusal::InvitationNotFound.into());
                    }
                    // Taken back with the whole transaction, the invitation stays.
                    if member(tx, user).await?.is_some() {
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
