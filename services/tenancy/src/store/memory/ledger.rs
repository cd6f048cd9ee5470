//! The ledger of erasures in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use causeway_holder::{Buried, Tombstone};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MemoryStore, State};
use crate::domain::{Done, Erasure, ErasureState, MemberRole, NO_HASH, Receipt};
use crate::page::{Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::StoreError;
use crate::store::lifecycle::{LedgerStore, WorkLease};

/// Erasures in the order in which they were ordered, tombstones in that of their numbers, receipts in that of theirs.
#[derive(Default)]
pub(super) struct Ledger {
    erasures: BTreeMap<Uuid, (Erasure, Option<WorkLease>)>,
    tombstones: Vec<(Uuid, Tombstone)>,
    receipts: Vec<Receipt>,
}

impl Ledger {
    fn with_receipt(&self, erasure: &Erasure) -> Erasure {
        let receipt = self.receipts.iter().find(|receipt| receipt.erasure == erasure.id);
        Erasure {
            receipt: receipt.cloned(),
            ..erasure.clone()
        }
    }

    fn buried(&self, erasure: Uuid) -> Option<&Tombstone> {
        let found = self.tombstones.iter().find(|(id, _)| *id == erasure);
        found.map(|(_, tombstone)| tombstone)
    }
}

/// The page of `items` in the reverse order of their places.
pub(super) fn newest_first<T>(
    items: impl Iterator<Item = T>,
    page: &Page<TimePlace>,
    place: impl Fn(&T) -> TimePlace,
) -> Vec<T> {
    let mut items: Vec<T> = items
        .filter(|item| page.after.is_none_or(|after| place(item) < after))
        .collect();
    items.sort_by_key(|item| std::cmp::Reverse(place(item)));
    items.truncate(page.size);
    items
}

#[async_trait]
impl LedgerStore for MemoryStore {
    async fn order_erasure(&self, erasure: &Erasure, fact: OutboxEvent) -> Result<Erasure, StoreError> {
        let mut state = self.state();
        let open = state.ledger.erasures.values().find(|(other, _)| {
            other.workspace == erasure.workspace
                && other.subject == erasure.subject
                && matches!(other.state, ErasureState::Scheduled | ErasureState::Running)
        });
        if let Some((open, _)) = open {
            return Ok(open.clone());
        }
        state.ledger.erasures.insert(erasure.id, (erasure.clone(), None));
        self.outbox.push(fact);
        Ok(erasure.clone())
    }

    async fn find_erasure(&self, id: Uuid) -> Result<Option<Erasure>, StoreError> {
        let state = self.state();
        let found = state.ledger.erasures.get(&id);
        Ok(found.map(|(erasure, _)| state.ledger.with_receipt(erasure)))
    }

    async fn list_erasures(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Erasure>, StoreError> {
        let state = self.state();
        let erasures = state.ledger.erasures.values();
        let mine = erasures
            .filter(|(erasure, _)| erasure.workspace == workspace)
            .map(|(erasure, _)| state.ledger.with_receipt(erasure));
        Ok(newest_first(mine, page, Erasure::place))
    }

    async fn cancel_erasure(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        fact: OutboxEvent,
    ) -> Result<Option<Erasure>, StoreError> {
        let mut state = self.state();
        let found = state.ledger.erasures.get_mut(&id);
        let Some((erasure, _)) = found.filter(|(erasure, _)| erasure.workspace == workspace) else {
            return Ok(None);
        };
        match erasure.state {
            ErasureState::Running | ErasureState::Succeeded => Err(Refusal::ErasureBegun.into()),
            ErasureState::Cancelled => Ok(Some(erasure.clone())),
            ErasureState::Scheduled => {
                erasure.state = ErasureState::Cancelled;
                self.outbox.push(fact);
                Ok(Some(erasure.clone()))
            }
        }
    }

    async fn claim_erasure(
        &self,
        now: DateTime<Utc>,
        lease: WorkLease,
    ) -> Result<Option<Erasure>, StoreError> {
        let mut state = self.state();
        let free = state
            .ledger
            .erasures
            .values_mut()
            .filter(|(erasure, lease)| match erasure.state {
                ErasureState::Scheduled => erasure.scheduled_for <= now,
                ErasureState::Running => lease.is_none_or(|lease| lease.until <= now),
                ErasureState::Succeeded | ErasureState::Cancelled => false,
            });
        let Some((erasure, held)) = free.min_by_key(|(erasure, _)| (erasure.scheduled_for, erasure.id))
        else {
            return Ok(None);
        };
        erasure.state = ErasureState::Running;
        *held = Some(lease);
        Ok(Some(erasure.clone()))
    }

    async fn renew_erasure(&self, id: Uuid, lease: WorkLease) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some((_, Some(held))) = state.ledger.erasures.get_mut(&id) else {
            return Ok(false);
        };
        let mine = held.token == lease.token;
        if mine {
            *held = lease;
        }
        Ok(mine)
    }

    async fn abandon_erasure(&self, id: Uuid, token: Uuid, fact: OutboxEvent) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.ledger.buried(id).is_some() {
            return Ok(false);
        }
        let Some((erasure, Some(held))) = state.ledger.erasures.get_mut(&id) else {
            return Ok(false);
        };
        if held.token != token || erasure.state != ErasureState::Running {
            return Ok(false);
        }
        erasure.state = ErasureState::Cancelled;
        self.outbox.push(fact);
        Ok(true)
    }

    async fn bury(&self, erasure: &Erasure, _at: DateTime<Utc>) -> Result<Tombstone, StoreError> {
        let mut state = self.state();
        if let Some(tombstone) = state.ledger.buried(erasure.id) {
            return Ok(tombstone.clone());
        }
        if let Some(subject) = erasure.subject {
            state.step_down(erasure.workspace, subject)?;
        }
        let number = state.ledger.tombstones.last().map_or(0, |(_, last)| last.number) + 1;
        let tombstone = tombstone(number, erasure.workspace, erasure.subject);
        state.ledger.tombstones.push((erasure.id, tombstone.clone()));
        Ok(tombstone)
    }

    async fn finish_erasure(
        &self,
        erasure: &Erasure,
        done: &Done,
        fact: OutboxEvent,
    ) -> Result<Receipt, StoreError> {
        let mut state = self.state();
        let ledger = &mut state.ledger;
        if let Some(receipt) = ledger
            .receipts
            .iter()
            .find(|receipt| receipt.erasure == erasure.id)
        {
            return Ok(receipt.clone());
        }
        let (last, hash) = ledger
            .receipts
            .last()
            .map_or((0, NO_HASH), |last| (last.sequence, last.hash.as_str()));
        let receipt = Receipt::after(last, hash, erasure, done.clone());
        if let Some((erasure, lease)) = ledger.erasures.get_mut(&erasure.id) {
            erasure.state = ErasureState::Succeeded;
            *lease = None;
        }
        ledger.receipts.push(receipt.clone());
        self.outbox.push(fact);
        Ok(receipt)
    }

    async fn receipts(&self) -> Result<Vec<Receipt>, StoreError> {
        Ok(self.state().ledger.receipts.clone())
    }

    async fn tombstones(&self) -> Result<Vec<Buried>, StoreError> {
        let state = self.state();
        let done = |id: &Uuid| state.ledger.receipts.iter().any(|receipt| receipt.erasure == *id);
        let tombstones = state.ledger.tombstones.iter();
        Ok(tombstones
            .map(|(erasure, tombstone)| Buried {
                tombstone: tombstone.clone(),
                finished: done(erasure),
            })
            .collect())
    }
}

impl State {
    /// Whoever is to be erased is no owner any more from the tombstone on.
    fn step_down(&mut self, workspace: WorkspaceId, subject: UserId) -> Result<(), StoreError> {
        let mut others = self.members.values();
        let other_owner = others.any(|member| {
            member.workspace == workspace && member.user != subject && member.role == Role::Owner
        });
        let member = self.members.get_mut(&(workspace, subject));
        let member = member.ok_or(Refusal::MemberNotFound)?;
        if member.role == Role::Owner && !other_owner {
            return Err(Refusal::LastOwner.into());
        }
        if matches!(member.role, MemberRole::BuiltIn(_)) {
            member.role = Role::Viewer.into();
        }
        Ok(())
    }
}

/// A tombstone as the ledger has it.
pub(in crate::store) fn tombstone(number: i64, workspace: WorkspaceId, subject: Option<UserId>) -> Tombstone {
    Tombstone {
        number,
        workspace,
        subject,
        leavers: Vec::new(),
        addresses: Vec::new(),
    }
}
