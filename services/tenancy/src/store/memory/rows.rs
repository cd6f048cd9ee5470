//! Erases and sends what a process without a database keeps of a workspace. The tables are named as in the database.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use causeway_holder::{Applied, ErasedRows, Part, Snapshot, Tombstone, send_tables};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{MemoryStore, State};
use crate::store::StoreError;
use crate::store::lifecycle::TenantRows;

impl State {
    fn erase_workspace(&mut self, workspace: WorkspaceId) -> Vec<(&'static str, usize)> {
        let exports = self.exports.rows.keys().filter(|(of, _)| *of == workspace);
        self.exports.doomed.extend(exports.copied());
        vec![
            (
                "exports",
                retain(&mut self.exports.rows, |(of, _), _| *of != workspace),
            ),
            (
                "invitations",
                retain(&mut self.invitations, |(of, _), _| *of != workspace),
            ),
            (
                "members",
                retain(&mut self.members, |(of, _), _| *of != workspace),
            ),
            ("roles", retain(&mut self.roles, |(of, _), _| *of != workspace)),
            ("settings", retain(&mut self.settings, |of, _| *of != workspace)),
            (
                "secrets",
                retain(&mut self.secrets, |(of, _), _| *of != workspace),
            ),
            (
                "workspaces",
                retain(&mut self.workspaces, |of, _| *of != workspace),
            ),
        ]
    }

    fn erase_person(&mut self, tombstone: &Tombstone, user: UserId) -> Vec<(&'static str, usize)> {
        let workspace = tombstone.workspace;
        let mut forgotten = 0;
        for (export, ..) in self.exports.rows.values_mut() {
            if export.workspace == workspace && export.requested_by == Some(user) {
                export.requested_by = None;
                forgotten += 1;
            }
        }
        let addressed = |address: &str| tombstone.addresses.iter().any(|known| known == address);
        let invitations = retain(&mut self.invitations, |(of, _), (invitation, _)| {
            *of != workspace || invitation.invited_by != user && !addressed(invitation.email.as_str())
        });
        let members = retain(&mut self.members, |place, _| *place != (workspace, user));
        vec![
            ("exports", forgotten),
            ("invitations", invitations),
            ("members", members),
        ]
    }
}

/// How many of the map are gone afterwards.
fn retain<K: Ord, V>(map: &mut std::collections::BTreeMap<K, V>, keep: impl Fn(&K, &V) -> bool) -> usize {
    let before = map.len();
    map.retain(|key, value| keep(key, value));
    before - map.len()
}

#[async_trait]
impl TenantRows for MemoryStore {
    async fn apply_tombstone(
        &self,
        tombstone: &Tombstone,
        _at: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        let mut state = self.state();
        if let Some((whose, applied)) = state.applied.get(&tombstone.number) {
            if *whose != (tombstone.workspace, tombstone.subject) {
                return Err(StoreError::Corrupt("a tombstone of somebody else".into()));
            }
            return Ok(applied.clone());
        }
        let workspace = tombstone.workspace;
        let of_workspace = |state: &State| -> Vec<UserId> {
            let members = state.members.keys().filter(|(of, _)| *of == workspace);
            members.map(|(_, user)| *user).collect()
        };
        let concerned = tombstone
            .subject
            .map_or_else(|| of_workspace(&state), |user| vec![user]);
        let erased = match tombstone.subject {
            None => state.erase_workspace(workspace),
            Some(user) => state.erase_person(tombstone, user),
        };
        let belongs = |state: &State, user: UserId| state.members.keys().any(|(_, member)| *member == user);
        let leavers = concerned.into_iter().filter(|user| !belongs(&state, *user));
        let leavers = leavers.map(|user| user.0).collect();
        let erased = erased.into_iter().map(|(table, rows)| ErasedRows {
            table: format!("tenancy.{table}"),
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
        });
        let applied = Applied {
            erased: erased.collect(),
            leavers,
        };
        let whose = (workspace, tombstone.subject);
        state.applied.insert(tombstone.number, (whose, applied.clone()));
        Ok(applied)
    }

    async fn send_rows(
        &self,
        workspace: WorkspaceId,
        _snapshot: Option<String>,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), StoreError> {
        let tables = self.state().shown(workspace);
        Ok(send_tables(crate::NAME, tables, &parts).await?)
    }

    async fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(None)
    }

    async fn owners(&self, workspace: WorkspaceId) -> Result<Vec<UserId>, StoreError> {
        let state = self.state();
        let members = state.members.values();
        let owners = members.filter(|member| member.workspace == workspace && member.role == Role::Owner);
        Ok(owners.map(|member| member.user).collect())
    }
}

impl State {
    /// The rows that an export shows: nothing sealed, no hashes.
    fn shown(&self, workspace: WorkspaceId) -> Vec<(&'static str, Vec<Value>)> {
        let id = workspace.to_string();
        let exports = self
            .exports
            .rows
            .values()
            .filter(|(export, ..)| export.workspace == workspace);
        let exports = exports.map(|(export, ..)| {
            json!({"workspace_id": id, "id": export.id, "requested_by": export.requested_by,
                "state": export.state.as_str(), "age_recipient": export.age_recipient,
                "created_at": time(export.created_at), "expires_at": time(export.expires_at)})
        });
        let invitations = self
            .invitations
            .values()
            .filter(|(open, _)| open.workspace == workspace);
        let invitations = invitations.map(|(open, _)| {
            json!({"workspace_id": id, "id": open.id, "email": open.email.as_str(), "role": open.role.to_string(),
                "invited_by": open.invited_by, "created_at": time(open.created_at),
                "expires_at": time(open.expires_at)})
        });
        let members = self
            .members
            .values()
            .filter(|member| member.workspace == workspace);
        let members = members.map(|member| {
            json!({"workspace_id": id, "user_id": member.user, "role": member.role.to_string(),
                "joined_at": time(member.joined_at)})
        });
        let roles = self.roles.values().filter(|role| role.workspace == workspace);
        let roles = roles.map(|role| {
            json!({"workspace_id": id, "id": role.id.0, "name": role.name.as_str(),
                "permissions": role.permissions.names(), "version": role.version,
                "created_at": time(role.created_at), "updated_at": time(role.updated_at)})
        });
        let settings = self.settings.get(&workspace).map(|settings| {
            let ai = &settings.ai;
            json!({"workspace_id": id, "ai_provider": ai.provider.map(|provider| provider.as_str()),
                "ai_model": ai.model.as_ref().map(|model| model.as_str()),
                "ai_base_url": ai.base_url.as_ref().map(|url| url.as_str()),
                "ai_api_key_secret": ai.api_key_secret.as_ref().map(|name| name.as_str()),
                "mfa_policy": settings.mfa_policy.as_str(), "retention_days": settings.retention_days.number(),
                "rate_tier": settings.rate_tier.as_str(), "updated_at": settings.updated_at.map(time)})
        });
        let secrets = self
            .secrets
            .values()
            .filter(|secret| secret.workspace == workspace);
        let secrets = secrets.map(|secret| {
            json!({"workspace_id": id, "name": secret.name.as_str(), "id": secret.id, "kind": secret.kind.as_str(),
                "version": secret.version, "key_version": secret.key_version,
                "created_at": time(secret.created_at), "updated_at": time(secret.updated_at)})
        });
        let workspaces = self.workspaces.get(&workspace).map(|workspace| {
            json!({"workspace_id": id, "name": workspace.name.as_str(), "region": workspace.region,
                "created_at": time(workspace.created_at), "updated_at": time(workspace.updated_at)})
        });
        vec![
            ("exports", exports.collect()),
            ("invitations", invitations.collect()),
            ("members", members.collect()),
            ("roles", roles.collect()),
            ("settings", settings.into_iter().collect()),
            ("secrets", secrets.collect()),
            ("workspaces", workspaces.into_iter().collect()),
        ]
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
