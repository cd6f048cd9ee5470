//! Data keys, rotations and sealed values in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::{MemoryStore, State, page_of};
use crate::domain::{
    KeyChange, KeyPlace, KeyState, Lease, Rewrapped, Ring, Rotation, Secret, SecretName, StoredKey,
    UnreadableRow,
};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::{
    Advance, KeyStore, Resealed, RewrapStore, RotationStore, SealedStore, StoreError, shredded_ring,
};

/// What is kept of keys.
#[derive(Default)]
pub(super) struct Keys {
    keys: BTreeMap<(WorkspaceId, KeyPlace), StoredKey>,
    rotations: BTreeMap<(WorkspaceId, Uuid), Rotation>,
    unreadable: BTreeMap<(WorkspaceId, Uuid), BTreeSet<UnreadableRow>>,
    leases: BTreeMap<WorkspaceId, Held>,
    fences: BTreeMap<WorkspaceId, u32>,
}

struct Held {
    rotation: Uuid,
    token: Uuid,
    until: Instant,
}

impl Keys {
    /// Whether that version may still be written.
    pub(super) fn may_write(&self, workspace: WorkspaceId, version: u32) -> Result<(), StoreError> {
        let lowest = self.fences.get(&workspace).copied().unwrap_or_default();
        if version < lowest {
            return Err(StoreError::Fenced);
        }
        Ok(())
    }

    fn of(&self, workspace: WorkspaceId) -> impl Iterator<Item = &StoredKey> {
        self.keys.range(both(workspace)).map(|(_, key)| key)
    }

    fn ring(&mut self, workspace: WorkspaceId, ring: Ring) -> impl Iterator<Item = &mut StoredKey> {
        let keys = self.keys.range_mut(both(workspace)).map(|(_, key)| key);
        keys.filter(move |key| key.ring == ring)
    }

    fn active(&self, workspace: WorkspaceId, ring: Ring) -> Option<&StoredKey> {
        self.of(workspace)
            .find(|key| key.ring == ring && key.state == KeyState::Active)
    }

    fn insert(&mut self, key: &StoredKey) -> Result<(), StoreError> {
        let place = (key.workspace, key.place());
        let second = key.state == KeyState::Active && self.active(key.workspace, key.ring).is_some();
        if second || self.keys.contains_key(&place) {
            return Err(StoreError::Conflict);
        }
        self.keys.insert(place, key.clone());
        Ok(())
    }

    fn holds(&self, lease: &Lease) -> Result<(), StoreError> {
        let held = self.leases.get(&lease.workspace);
        held.filter(|held| held.token == lease.token)
            .map(|_| ())
            .ok_or(StoreError::LeaseLost)
    }

    /// Moves the versions that the step is about, and no others: doing it again changes nothing.
    fn change(&mut self, rotation: &Rotation, change: KeyChange) {
        for key in self.ring(rotation.workspace, rotation.ring) {
            let older = key.version < rotation.to_version;
            match (change, key.state) {
                (KeyChange::Activate, KeyState::Active) if older => key.state = KeyState::DecryptOnly,
                (KeyChange::Activate, KeyState::Pending) if key.version == rotation.to_version => {
                    key.state = KeyState::Active;
                }
                (KeyChange::Retire, KeyState::DecryptOnly) if older => key.state = KeyState::Retiring,
                (KeyChange::Destroy, KeyState::Retiring) if older => destroy(key, rotation.updated_at),
                _ => {}
            }
        }
    }
}

/// The places of both rings of a workspace.
fn both(workspace: WorkspaceId) -> RangeInclusive<(WorkspaceId, KeyPlace)> {
    let place = |ring, version| (workspace, KeyPlace { ring, version });
    place(Ring::Data, 0)..=place(Ring::Transit, u32::MAX)
}

fn destroy(key: &mut StoredKey, at: DateTime<Utc>) {
    key.state = KeyState::Destroyed;
    key.wrapped = None;
    key.destroyed_at = Some(at);
}

impl State {
    fn secrets_of(&self, workspace: WorkspaceId) -> impl Iterator<Item = &Secret> {
        self.secrets
            .values()
            .filter(move |secret| secret.workspace == workspace)
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn find_active_key(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
    ) -> Result<Option<StoredKey>, StoreError> {
        Ok(self.state().keys.active(workspace, ring).cloned())
    }

    async fn find_key(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
        version: u32,
    ) -> Result<Option<StoredKey>, StoreError> {
        let place = KeyPlace { ring, version };
        Ok(self.state().keys.keys.get(&(workspace, place)).cloned())
    }

    async fn list_keys(
        &self,
        workspace: WorkspaceId,
        page: &Page<KeyPlace>,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let state = self.state();
        Ok(page_of(state.keys.of(workspace).cloned(), page, StoredKey::place))
    }

    async fn insert_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let mut state = self.state();
        state.require(key.workspace)?;
        state.keys.insert(key)
    }

    async fn destroy_keys(&self, workspace: WorkspaceId, at: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut state = self.state();
        for ring in Ring::ALL {
            let mark = shredded_ring(workspace, ring, at);
            state.keys.keys.entry((workspace, mark.place())).or_insert(mark);
        }
        let keys = state.keys.keys.range_mut(both(workspace)).map(|(_, key)| key);
        let mut destroyed = 0;
        for key in keys.filter(|key| key.state != KeyState::Destroyed) {
            destroy(key, at);
            destroyed += 1;
        }
        Ok(destroyed)
    }
}

#[async_trait]
impl RewrapStore for MemoryStore {
    async fn keyed_workspaces(&self, page: &Page<WorkspaceId>) -> Result<Vec<WorkspaceId>, StoreError> {
        let keyed: BTreeSet<WorkspaceId> = self.state().keys.keys.keys().map(|(id, _)| *id).collect();
        Ok(page_of(keyed.into_iter(), page, |id| *id))
    }

    async fn keys_of(&self, workspaces: &[WorkspaceId]) -> Result<Vec<StoredKey>, StoreError> {
        let state = self.state();
        let keys = state.keys.keys.values();
        Ok(keys
            .filter(|key| workspaces.contains(&key.workspace))
            .cloned()
            .collect())
    }

    async fn rewrap(&self, keys: &[Rewrapped]) -> Result<u64, StoreError> {
        let mut state = self.state();
        let mut replaced = 0;
        for Rewrapped { before, after } in keys {
            let place = KeyPlace {
                ring: before.ring,
                version: before.version,
            };
            if let Some(key) = state.keys.keys.get_mut(&(before.workspace, place))
                && key.wrapped.as_ref() == Some(&before.wrapped)
            {
                key.wrapped = Some(after.clone());
                replaced += 1;
            }
        }
        Ok(replaced)
    }

    async fn count_rotations(&self) -> Result<u64, StoreError> {
        Ok(self.state().keys.leases.len() as u64)
    }
}

#[async_trait]
impl RotationStore for MemoryStore {
    async fn begin_rotation(
        &self,
        rotation: &Rotation,
        key: &StoredKey,
        lease: &Lease,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.keys.leases.contains_key(&rotation.workspace) {
            return Err(Refusal::RotationRunning.into());
        }
        let active = state.keys.active(rotation.workspace, rotation.ring);
        if active.map_or(0, |key| key.version) != rotation.from_version {
            return Err(StoreError::Conflict);
        }
        state.require(rotation.workspace)?;
        state.keys.insert(key)?;
        let held = Held {
            rotation: rotation.id,
            token: lease.token,
            until: Instant::now() + lease.time,
        };
        state.keys.leases.insert(rotation.workspace, held);
        let place = (rotation.workspace, rotation.id);
        state.keys.rotations.insert(place, rotation.clone());
        self.key_outbox.push(fact);
        Ok(())
    }

    async fn claim_rotation(&self, token: Uuid, time: Duration) -> Result<Option<Rotation>, StoreError> {
        let mut state = self.state();
        let now = Instant::now();
        let keys = &mut state.keys;
        let free = keys.leases.iter_mut().filter(|(_, held)| held.until <= now);
        let Some((workspace, held)) = free.min_by_key(|(_, held)| held.until) else {
            return Ok(None);
        };
        (held.token, held.until) = (token, now + time);
        Ok(keys.rotations.get(&(*workspace, held.rotation)).cloned())
    }

    async fn advance_rotation(&self, lease: &Lease, advance: Advance<'_>) -> Result<(), StoreError> {
        let mut state = self.state();
        let (rotation, keys) = (advance.rotation, &mut state.keys);
        keys.holds(lease)?;
        keys.change(rotation, advance.keys);
        let place = (rotation.workspace, rotation.id);
        let unreadable = keys.unreadable.entry(place).or_default();
        if advance.afresh {
            unreadable.clear();
        }
        unreadable.extend(advance.unreadable.iter().cloned());
        keys.rotations.insert(place, rotation.clone());
        if rotation.finished_at.is_some() {
            keys.leases.remove(&rotation.workspace);
        } else if let Some(held) = keys.leases.get_mut(&rotation.workspace) {
            held.until = Instant::now() + lease.time;
        }
        if let Some(fact) = advance.fact {
            self.key_outbox.push(fact);
        }
        Ok(())
    }

    async fn release_rotation(&self, lease: &Lease, pause: Duration) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.keys.holds(lease).is_ok()
            && let Some(held) = state.keys.leases.get_mut(&lease.workspace)
        {
            held.until = Instant::now() + pause;
        }
        Ok(())
    }

    async fn find_rotation(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Rotation>, StoreError> {
        Ok(self.state().keys.rotations.get(&(workspace, id)).cloned())
    }

    async fn list_rotations(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Rotation>, StoreError> {
        let state = self.state();
        let mut rotations: Vec<Rotation> = state
            .keys
            .rotations
            .values()
            .filter(|rotation| rotation.workspace == workspace)
            .filter(|rotation| page.after.is_none_or(|after| rotation.place() < after))
            .cloned()
            .collect();
        rotations.sort_by_key(|rotation| std::cmp::Reverse(rotation.place()));
        rotations.truncate(page.size);
        Ok(rotations)
    }

    async fn list_unreadable(
        &self,
        workspace: WorkspaceId,
        rotation: Uuid,
        most: usize,
    ) -> Result<Vec<UnreadableRow>, StoreError> {
        let state = self.state();
        let rows = state.keys.unreadable.get(&(workspace, rotation));
        Ok(rows.into_iter().flatten().take(most).cloned().collect())
    }
}

#[async_trait]
impl SealedStore for MemoryStore {
    async fn list_secrets_below(
        &self,
        workspace: WorkspaceId,
        version: u32,
        page: &Page<SecretName>,
    ) -> Result<Vec<Secret>, StoreError> {
        let state = self.state();
        let below = state
            .secrets_of(workspace)
            .filter(|secret| secret.key_version < version)
            .cloned();
        Ok(page_of(below, page, |secret| secret.name.clone()))
    }

    async fn reseal_secrets(
        &self,
        workspace: WorkspaceId,
        secrets: &[Resealed],
    ) -> Result<usize, StoreError> {
        let mut state = self.state();
        for secret in secrets {
            state.keys.may_write(workspace, secret.key_version)?;
        }
        let mut replaced = 0;
        for secret in secrets {
            if let Some(stored) = state.secrets.get_mut(&(workspace, secret.name.clone()))
                && stored.sealed == secret.before
            {
                stored.sealed.clone_from(&secret.sealed);
                stored.key_version = secret.key_version;
                replaced += 1;
            }
        }
        Ok(replaced)
    }

    async fn raise_fence(&self, workspace: WorkspaceId, version: u32) -> Result<(), StoreError> {
        let mut state = self.state();
        let fence = state.keys.fences.entry(workspace).or_default();
        *fence = version.max(*fence);
        Ok(())
    }

    async fn count_secrets_below(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<(u64, u64), StoreError> {
        let state = self.state();
        let rows = state.secrets_of(workspace).count();
        let below = state.secrets_of(workspace);
        let below = below.filter(|secret| secret.key_version < version).count();
        Ok((rows as u64, below as u64))
    }
}
