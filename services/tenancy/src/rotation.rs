//! The work of a rotation, beside the calls. One process at a time works on a workspace: it has a lease, which each step
//! renews, and whose end lets another go on where this one stopped. Each step is kept before the next, and each may be
//! done twice, so that it matters nowhere where a process ends (ROT-01).
//!
//! In this order and no other: the new version is kept, then seals; everything under older ones is sealed anew, by
//! holder; then writes under older ones are forbidden everywhere, and what slipped in before is sealed anew; then
//! everything is counted. Only what was proven to hold nothing is destroyed (ROT-05).

mod duty;
mod fact;

use std::sync::Arc;
use std::time::Duration;

use causeway_context::WorkspaceId;
use causeway_contracts::common::v1::{
    CountBelowRequest, RaiseFenceRequest, ReencryptRequest, ReencryptResponse,
};
use causeway_outbox::RelayHandle;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use self::duty::Duty;
use self::fact::fact_of_end;
use crate::domain::{Counted, KeyChange, KeyState, Lease, Ring, Rotation, RotationStep, UnreadableRow};
use crate::failpoint::reach;
use crate::holders::{HolderError, Sealed};
use crate::store::{Advance, StoreError, TenancyStore};

/// How long who begins a rotation has to make its key the active one.
pub(crate) const BEGINNING: Duration = Duration::from_secs(10);
/// How long a step may take until another process takes over. Longer than a holder may take for a part.
const LEASE: Duration = Duration::from_secs(60);
/// How often a process looks for rotations that another one left.
const LOOK: Duration = Duration::from_secs(2);
/// How long a rotation rests after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How many rotations a process works on at a time: a large workspace does not keep the small ones waiting.
const TOGETHER: usize = 4;
/// How many rows are sealed anew in one transaction, and at most kept from others for so long.
const PART: i32 = 250;

impl Lease {
    /// A lease of a workspace that nobody else can have.
    pub(crate) fn new(workspace: WorkspaceId, time: Duration) -> Self {
        Self {
            workspace,
            token: Uuid::now_v7(),
            time,
        }
    }
}

/// A step that was not taken. It will be tried again, here or elsewhere.
#[derive(Debug, thiserror::Error)]
enum RotationError {
    /// A step cannot be kept.
    #[error("keep the step of a rotation")]
    Store(#[from] StoreError),
    /// A holder does not do its part.
    #[error("rotate what a service holds")]
    Holder(#[from] HolderError),
    /// A holder claims what cannot be.
    #[error("a holder answers a place in its data that does not move")]
    Stuck,
    /// A holder counts what it does not go through.
    #[error("{0} rows under older versions were neither sealed anew nor found to be unreadable")]
    LeftOver(i64),
}

/// Works on rotations.
pub(crate) struct Rotator {
    store: Arc<dyn TenancyStore>,
    holders: Sealed,
    relay: RelayHandle,
    wake: Arc<Notify>,
    duty: Duty,
}

impl Rotator {
    /// A worker over that store and those holders.
    pub(crate) fn new(
        store: Arc<dyn TenancyStore>,
        holders: Sealed,
        relay: RelayHandle,
        wake: Arc<Notify>,
        duty: Duty,
    ) -> Self {
        Self {
            store,
            holders,
            relay,
            wake,
            duty,
        }
    }

    /// Works on rotations until `stop`. What is under way then is given back, for another process to go on.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut running = FuturesUnordered::new();
        while !stop.is_cancelled() {
            while running.len() < TOGETHER
                && let Some((rotation, lease)) = self.claim().await
            {
                running.push(self.work(rotation, lease, &stop));
            }
            tokio::select! {
                Some(()) = running.next() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
        while running.next().await.is_some() {}
    }

    async fn claim(&self) -> Option<(Rotation, Lease)> {
        let token = Uuid::now_v7();
        match self.store.claim_rotation(token, LEASE).await {
            Ok(rotation) => rotation.map(|rotation| {
                let workspace = rotation.workspace;
                let lease = Lease {
                    workspace,
                    token,
                    time: LEASE,
                };
                (rotation, lease)
            }),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "look for rotations");
                None
            }
        }
    }

    /// Works on one rotation to its end, to a failure, or until `stop`.
    async fn work(&self, mut rotation: Rotation, lease: Lease, stop: &CancellationToken) {
        let pause = match stop.run_until_cancelled(self.carry(&mut rotation, &lease)).await {
            Some(Ok(())) => return,
            Some(Err(RotationError::Store(StoreError::LeaseLost))) => return,
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    rotation = %rotation.id,
                    step = rotation.step.as_str(),
                    "a rotation rests after a failure"
                );
                AFTER_FAILURE
            }
            None => Duration::ZERO,
        };
        if let Err(error) = self.store.release_rotation(&lease, pause).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "give a rotation back");
        }
    }

    async fn carry(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        if self.is_moot(rotation).await? {
            return self.give_up(rotation, lease).await;
        }
        while rotation.finished_at.is_none() {
            match rotation.step {
                RotationStep::Beginning => {
                    activate(&*self.store, lease, rotation, clock()).await?;
                    reach("rotation.activated");
                }
                RotationStep::Reencrypting => {
                    self.count_all(rotation, lease).await?;
                    self.pass(rotation, lease).await?;
                    self.enter(rotation, lease, RotationStep::Fencing, KeyChange::Keep)
                        .await?;
                    reach("rotation.reencrypted");
                }
                RotationStep::Fencing => self.fence(rotation, lease).await?,
                RotationStep::Verifying => {
                    self.pass(rotation, lease).await?;
                    self.verify(rotation, lease).await?;
                }
                RotationStep::Retiring => self.destroy(rotation, lease).await?,
                RotationStep::Succeeded | RotationStep::Incomplete => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether the workspace was shredded meanwhile: then there is nothing left to seal anew, and no key to do it with.
    async fn is_moot(&self, rotation: &Rotation) -> Result<bool, RotationError> {
        let newest = self
            .store
            .find_key(rotation.workspace, rotation.ring, rotation.to_version)
            .await?;
        Ok(newest.is_none_or(|key| key.state == KeyState::Destroyed))
    }

    async fn give_up(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        let now = clock();
        rotation.updated_at = now;
        rotation.finish(RotationStep::Incomplete, now);
        Ok(self.store.advance_rotation(lease, Advance::to(rotation)).await?)
    }

    async fn enter(
        &self,
        rotation: &mut Rotation,
        lease: &Lease,
        step: RotationStep,
        keys: KeyChange,
    ) -> Result<(), RotationError> {
        rotation.enter(step);
        rotation.updated_at = clock();
        let advance = Advance {
            keys,
            ..Advance::to(rotation)
        };
        Ok(self.store.advance_rotation(lease, advance).await?)
    }

    /// Says how much there is to do. At the start of the pass only: later it is known.
    async fn count_all(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        if rotation.holder > 0 || !rotation.cursor.is_empty() {
            return Ok(());
        }
        let counted = self.count(rotation, clock()).await?;
        rotation.total = counted.iter().map(|table| table.below).sum();
        rotation.remaining = rotation.total;
        rotation.done = 0;
        Ok(self.store.advance_rotation(lease, Advance::to(rotation)).await?)
    }

    async fn count(&self, rotation: &Rotation, at: DateTime<Utc>) -> Result<Vec<Counted>, RotationError> {
        let mut counted = Vec::new();
        for holder in self.holders.iter() {
            let request = CountBelowRequest {
                workspace_id: rotation.workspace.to_string(),
                version: wire(rotation.to_version),
            };
            let tables = holder.count_below(request).await?.tables.into_iter();
            counted.extend(tables.map(|table| Counted {
                table: table.table,
                rows: table.rows,
                below: table.below,
                at,
            }));
        }
        Ok(counted)
    }

    /// Goes through everything that lies under older versions, part by part, and rests in between.
    async fn pass(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        while let Some(holder) = self.holders.get(rotation.holder) {
            let started = Instant::now();
            let request = ReencryptRequest {
                workspace_id: rotation.workspace.to_string(),
                to_version: wire(rotation.to_version),
                cursor: rotation.cursor.clone(),
                limit: PART,
            };
            let part = holder.reencrypt(request).await?;
            reach("rotation.part");
            if !part.next_cursor.is_empty() && part.next_cursor == rotation.cursor {
                return Err(RotationError::Stuck);
            }
            self.keep_part(rotation, lease, part).await?;
            reach("rotation.part_kept");
            tokio::time::sleep(self.duty.rest_after(started.elapsed())).await;
        }
        Ok(())
    }

    async fn keep_part(
        &self,
        rotation: &mut Rotation,
        lease: &Lease,
        part: ReencryptResponse,
    ) -> Result<(), RotationError> {
        if part.next_cursor.is_empty() {
            rotation.holder += 1;
        }
        rotation.cursor = part.next_cursor;
        rotation.done += part.resealed;
        rotation.remaining = (rotation.remaining - part.resealed - part.skipped).max(0);
        let unreadable: Vec<UnreadableRow> = part
            .unreadable
            .into_iter()
            .map(|row| UnreadableRow {
                table: row.table,
                row: row.row,
                reason: row.reason,
            })
            .collect();
        rotation.unreadable += i64::try_from(unreadable.len()).unwrap_or(i64::MAX);
        rotation.updated_at = clock();
        let advance = Advance {
            unreadable: &unreadable,
            ..Advance::to(rotation)
        };
        Ok(self.store.advance_rotation(lease, advance).await?)
    }

    /// Forbids writes under older versions in every holder. What is unreadable is looked at afresh afterwards: somebody
    /// may have written it anew.
    async fn fence(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        for holder in self.holders.iter() {
            let request = RaiseFenceRequest {
                workspace_id: rotation.workspace.to_string(),
                min_write_version: wire(rotation.to_version),
            };
            holder.raise_fence(request).await?;
            reach("rotation.fence");
        }
        self.verify_afresh(rotation, lease).await?;
        reach("rotation.fenced");
        Ok(())
    }

    async fn verify_afresh(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        rotation.enter(RotationStep::Verifying);
        rotation.unreadable = 0;
        rotation.updated_at = clock();
        let advance = Advance {
            afresh: true,
            ..Advance::to(rotation)
        };
        Ok(self.store.advance_rotation(lease, advance).await?)
    }

    /// Counts everything, and decides by that alone what becomes of the older versions.
    async fn verify(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        let now = clock();
        let counted = self.count(rotation, now).await?;
        reach("rotation.counted");
        rotation.remaining = counted.iter().map(|table| table.below).sum();
        rotation.proof = counted;
        let left_over = rotation.remaining - rotation.unreadable;
        if left_over > 0 {
            // A pass that went on after a change of the holders, perhaps. No row is given up for that: all is gone
            // through again, after a rest, for it may be like this each time.
            self.verify_afresh(rotation, lease).await?;
            return Err(RotationError::LeftOver(left_over));
        }
        rotation.updated_at = now;
        if rotation.remaining > 0 {
            rotation.finish(RotationStep::Incomplete, now);
            return self.end(rotation, lease, KeyChange::Keep).await;
        }
        rotation.unreadable = 0;
        if rotation.keep_previous {
            rotation.finish(RotationStep::Succeeded, now);
            return self.end(rotation, lease, KeyChange::Keep).await;
        }
        rotation.enter(RotationStep::Retiring);
        let advance = Advance {
            keys: KeyChange::Retire,
            afresh: true,
            ..Advance::to(rotation)
        };
        self.store.advance_rotation(lease, advance).await?;
        reach("rotation.retiring");
        Ok(())
    }

    async fn destroy(&self, rotation: &mut Rotation, lease: &Lease) -> Result<(), RotationError> {
        let all = crate::page::Page {
            size: usize::MAX - 1,
            after: None,
        };
        let keys = self.store.list_keys(rotation.workspace, &all).await?;
        let retiring = keys
            .into_iter()
            .filter(|key| key.ring == rotation.ring && key.state == KeyState::Retiring);
        rotation.destroyed = retiring.map(|key| key.version).collect();
        rotation.updated_at = clock();
        rotation.finish(RotationStep::Succeeded, rotation.updated_at);
        self.end(rotation, lease, KeyChange::Destroy).await?;
        reach("rotation.destroyed");
        Ok(())
    }

    async fn end(
        &self,
        rotation: &mut Rotation,
        lease: &Lease,
        keys: KeyChange,
    ) -> Result<(), RotationError> {
        let fact = fact_of_end(rotation);
        let fact_id = fact.id;
        let advance = Advance {
            keys,
            fact: Some(fact),
            ..Advance::to(rotation)
        };
        self.store.advance_rotation(lease, advance).await?;
        self.relay.delivered(fact_id).await;
        Ok(())
    }
}

/// Lets the new version seal. A ring whose rows lie elsewhere has come to its end with that.
pub(crate) async fn activate(
    store: &dyn TenancyStore,
    lease: &Lease,
    rotation: &mut Rotation,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut next = rotation.clone();
    next.updated_at = now;
    let fact = match rotation.ring {
        Ring::Data => {
            next.enter(RotationStep::Reencrypting);
            None
        }
        Ring::Transit => {
            next.finish(RotationStep::Succeeded, now);
            Some(fact_of_end(&next))
        }
    };
    let advance = Advance {
        keys: KeyChange::Activate,
        fact,
        ..Advance::to(&next)
    };
    store.advance_rotation(lease, advance).await?;
    *rotation = next;
    Ok(())
}

fn wire(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a step of the work is a round of its own"
)]
fn clock() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests;
