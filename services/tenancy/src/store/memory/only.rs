//! The only workspace in memory.

use async_trait::async_trait;
use causeway_contracts::Role;

use super::MemoryStore;
use crate::domain::{Member, Membership};
use crate::store::{Joined, Joining, OnlyStore, StoreError};

#[async_trait]
impl OnlyStore for MemoryStore {
    async fn join_only(&self, joining: Joining) -> Result<Joined, StoreError> {
        let Joining {
            workspace,
            user,
            made,
            joined,
        } = joining;
        let (id, at) = (workspace.id, workspace.created_at);
        let mut state = self.state();
        let is_made = !state.workspaces.contains_key(&id);
        let workspace = state.workspaces.entry(id).or_insert(workspace).clone();
        if let Some(member) = state.members.get(&(id, user)).cloned() {
            let membership = Membership { workspace, member };
            return Ok(Joined {
                membership,
                fact: None,
            });
        }
        let mut members = state.members.values();
        let has_owner = members.any(|member| member.workspace == id && member.role == Role::Owner);
        let member = Member {
            workspace: id,
            user,
            role: if has_owner { Role::Viewer } else { Role::Owner }.into(),
            joined_at: at,
        };
        state.members.insert((id, user), member.clone());
        let fact = if is_made { made } else { joined };
        let fact_id = fact.id;
        self.outbox.push(fact);
        Ok(Joined {
            membership: Membership { workspace, member },
            fact: Some(fact_id),
        })
    }
}
