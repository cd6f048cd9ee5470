//! The only workspace on PostgreSQL.

use async_trait::async_trait;
use causeway_contracts::Role;
use causeway_database::WorkspaceTx;
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::select;
use diesel_async::RunQueryDsl;

use super::membership::{insert_member, member};
use super::rows::{WorkspaceRow, members, workspaces};
use super::{PgStore, failed, hold, keep};
use crate::domain::{Member, Membership, Workspace};
use crate::store::{Joined, Joining, OnlyStore, StoreError};

/// Makes the workspace unless it is there. Who comes at the same time waits here for the other's commit.
async fn make(tx: &mut WorkspaceTx, workspace: &Workspace) -> Result<bool, StoreError> {
    let made = diesel::insert_into(workspaces::table)
        .values(WorkspaceRow::from(workspace))
        .on_conflict(workspaces::workspace_id)
        .do_nothing()
        .execute(tx)
        .await
        .map_err(failed)?;
    Ok(made > 0)
}

async fn has_owner(tx: &mut WorkspaceTx) -> Result<bool, StoreError> {
    let owners = members::table
        .filter(members::workspace_id.eq(tx.workspace().0))
        .filter(members::role.eq(Role::Owner.as_str()));
    select(exists(owners)).get_result(tx).await.map_err(failed)
}

#[async_trait]
impl OnlyStore for PgStore {
    async fn join_only(&self, joining: Joining) -> Result<Joined, StoreError> {
        let joining = &joining;
        self.database
            .workspace(
                "tenancy.join_only",
                joining.workspace.id,
                async |tx: &mut WorkspaceTx| -> Result<_, StoreError> {
                    let is_made = make(tx, &joining.workspace).await?;
                    // Held: who is an owner is decided one person after the other.
                    let workspace = hold(tx).await?;
                    if let Some(member) = member(tx, joining.user).await? {
                        let membership = Membership { workspace, member };
                        return Ok(Joined {
                            membership,
                            fact: None,
                        });
                    }
                    let role = if has_owner(tx).await? {
                        Role::Viewer
                    } else {
                        Role::Owner
                    };
                    let member = Member {
                        workspace: workspace.id,
                        user: joining.user,
                        role: role.into(),
                        joined_at: joining.workspace.created_at,
                    };
                    insert_member(tx, &member).await?;
                    let fact = if is_made { &joining.made } else { &joining.joined };
                    keep(tx, fact).await?;
                    Ok(Joined {
                        membership: Membership { workspace, member },
                        fact: Some(fact.id),
                    })
                },
            )
            .await
    }
}
