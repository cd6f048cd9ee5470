//! Settings in memory.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use super::{MemoryStore, State};
use crate::domain::{Membership, MfaPolicy, SettingChange, Settings};
use crate::store::{SettingsStore, StoreError};

impl State {
    fn settings_of(&self, workspace: WorkspaceId) -> Option<Settings> {
        let workspace = self.workspaces.get(&workspace)?;
        let stored = self.settings.get(&workspace.id).map(|stored| Settings {
            region: workspace.region.clone(),
            ..stored.clone()
        });
        Some(stored.unwrap_or_else(|| Settings::untouched(workspace)))
    }
}

#[async_trait]
impl SettingsStore for MemoryStore {
    async fn find_settings(&self, workspace: WorkspaceId) -> Result<Option<Settings>, StoreError> {
        Ok(self.state().settings_of(workspace))
    }

    async fn find_membership(
        &self,
        workspace: WorkspaceId,
        user: UserId,
    ) -> Result<Option<(Membership, MfaPolicy)>, StoreError> {
        let state = self.state();
        let Some(settings) = state.settings_of(workspace) else {
            return Ok(None);
        };
        let place = state
            .workspaces
            .get(&workspace)
            .zip(state.members.get(&(workspace, user)));
        Ok(place.map(|(workspace, member)| {
            let membership = Membership {
                workspace: workspace.clone(),
                member: member.clone(),
            };
            (membership, settings.mfa_policy)
        }))
    }

    async fn change_settings_for(
        &self,
        workspace: WorkspaceId,
        changes: &[SettingChange],
        at: DateTime<Utc>,
        facts: Vec<OutboxEvent>,
    ) -> Result<Settings, StoreError> {
        let mut state = self.state();
        let before = state.settings_of(workspace).ok_or(StoreError::NoParent)?;
        let after = before.with(changes, at)?;
        if let Some(home) = state.workspaces.get_mut(&workspace)
            && home.region != after.region
        {
            home.region.clone_from(&after.region);
            home.updated_at = at;
        }
        state.settings.insert(workspace, after.clone());
        for fact in facts {
            self.outbox.push(fact);
        }
        Ok(after)
    }
}
