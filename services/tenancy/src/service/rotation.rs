//! Keys as their workspace sees them, and the start of a rotation. What follows is done beside the calls:
//! [`crate::rotation`].

use std::sync::Arc;

use causeway_context::CallContext;
use causeway_outbox::{OutboxEvent, RelayHandle};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{ATTEMPTS, Tenancy};
use crate::domain::{
    KeyPlace, KeyState, Lease, Requester, Ring, Rotation, RotationStep, StoredKey, UnreadableRow,
};
use crate::error::TenancyError;
use crate::page::{self, Page, TimePlace};
use crate::refusal::Refusal;
use crate::rotation::{self, BEGINNING};
use crate::store::StoreError;

/// How many unreadable rows are shown with a rotation.
const SHOWN: usize = 100;

/// What rotations need beside the store.
#[derive(Clone)]
pub(crate) struct Rotations {
    relay: RelayHandle,
    wake: Arc<Notify>,
}

impl Rotations {
    /// With the relay of the facts about keys.
    pub(crate) fn of(relay: RelayHandle) -> Self {
        Self {
            relay,
            wake: Arc::default(),
        }
    }

    /// Told when a rotation has begun.
    pub(crate) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

impl Tenancy {
    /// The keys of the workspace of the call, without their bytes.
    pub(crate) async fn list_keys(
        &self,
        ctx: &CallContext,
        page: &Page<KeyPlace>,
    ) -> Result<(Vec<StoredKey>, String), TenancyError> {
        let mut keys = self
            .store
            .list_keys(ctx.workspace()?, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut keys, page.size, StoredKey::place);
        Ok((keys, next))
    }

    /// Makes a new version that seals from now on. The older ones follow beside the calls.
    pub(crate) async fn rotate_key(
        &self,
        ctx: &CallContext,
        ring: Ring,
        keep_previous: bool,
    ) -> Result<Rotation, TenancyError> {
        for _ in 0..ATTEMPTS {
            match self.begin_rotation(ctx, ring, keep_previous).await {
                // A first key or another rotation came between.
                Err(TenancyError::Store(StoreError::Conflict)) => {}
                answer => return answer,
            }
        }
        Err(TenancyError::Contended)
    }

    async fn begin_rotation(
        &self,
        ctx: &CallContext,
        ring: Ring,
        keep_previous: bool,
    ) -> Result<Rotation, TenancyError> {
        let workspace = ctx.workspace()?;
        let active = self.store.find_active_key(workspace, ring).await?;
        let from_version = active.map_or(0, |key| key.version);
        let to_version = from_version.checked_add(1).ok_or(TenancyError::Contended)?;
        self.not_shredded(ctx, ring, from_version).await?;
        let (key, _) = self
            .keys
            .generate(workspace, ring, to_version, KeyState::Pending, ctx.now)
            .await?;
        let fact = OutboxEvent::of(ctx)?
            .target("key", format!("{}/{to_version}", ring.as_str()))
            .detail("ring", ring.as_str())
            .detail("version", to_version)
            .detail("keep_previous", keep_previous);
        let mut rotation = Rotation {
            workspace,
            id: Uuid::now_v7(),
            ring,
            from_version,
            to_version,
            keep_previous,
            step: RotationStep::Beginning,
            holder: 0,
            cursor: String::new(),
            total: 0,
            done: 0,
            remaining: 0,
            unreadable: 0,
            proof: Vec::new(),
            destroyed: Vec::new(),
            requester: Requester {
                kind: fact.actor_kind.clone(),
                id: fact.actor_id.clone(),
                request: fact.request_id.clone(),
            },
            started_at: ctx.now,
            updated_at: ctx.now,
            finished_at: None,
        };
        let fact = fact.detail("rotation", rotation.id.to_string());
        let (fact_id, lease) = (fact.id, Lease::new(workspace, BEGINNING));
        self.store.begin_rotation(&rotation, &key, &lease, fact).await?;
        crate::failpoint::reach("rotation.begun");
        // Whoever finds the lease to be over goes on if this process ends here.
        rotation::activate(&*self.store, &lease, &mut rotation, ctx.now).await?;
        crate::failpoint::reach("rotation.activated");
        if rotation.finished_at.is_none() {
            self.store
                .release_rotation(&lease, std::time::Duration::ZERO)
                .await?;
            self.rotations.wake.notify_one();
        }
        self.rotations.relay.delivered(fact_id).await;
        Ok(rotation)
    }

    /// A ring whose keys were all destroyed gets no new ones.
    async fn not_shredded(&self, ctx: &CallContext, ring: Ring, from: u32) -> Result<(), TenancyError> {
        if from > 0 {
            return Ok(());
        }
        let first = self.store.find_key(ctx.workspace()?, ring, 1).await?;
        match first {
            Some(key) if key.state == KeyState::Destroyed => Err(TenancyError::KeyDestroyed(key.version)),
            Some(_) | None => Ok(()),
        }
    }

    /// A rotation of the workspace of the call, and the first of its unreadable rows.
    pub(crate) async fn rotation(
        &self,
        ctx: &CallContext,
        id: Uuid,
    ) -> Result<(Rotation, Vec<UnreadableRow>), TenancyError> {
        let workspace = ctx.workspace()?;
        let rotation = self.store.find_rotation(workspace, id).await?;
        let rotation = rotation.ok_or(Refusal::RotationNotFound)?;
        let unreadable = self.store.list_unreadable(workspace, id, SHOWN).await?;
        Ok((rotation, unreadable))
    }

    /// The rotations of the workspace of the call, newest first.
    pub(crate) async fn list_rotations(
        &self,
        ctx: &CallContext,
        page: &Page<TimePlace>,
    ) -> Result<(Vec<Rotation>, String), TenancyError> {
        let mut rotations = self
            .store
            .list_rotations(ctx.workspace()?, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut rotations, page.size, Rotation::place);
        Ok((rotations, next))
    }
}

#[cfg(test)]
mod tests;
