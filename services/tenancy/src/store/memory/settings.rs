//! Settings in memory.

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};

use super::{MemoryStore, State};
use crate::domain::{SettingChange, Settings};
use crate::store::{SettingsStore, StoreError};

impl State {
    pub(super) fn settings_of(&self, workspace: WorkspaceId) -> Option<Settings> {
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
