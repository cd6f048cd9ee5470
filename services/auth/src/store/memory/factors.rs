//! Second factors in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::MemoryStore;
use crate::domain::{Admission, Factor, FactorStanding, Hash, NewFactor, PassedBy, SealedSeed, Tries};
use crate::store::history::Closing;
use crate::store::{FactorStore, StoreError};

/// The part of the state that is about factors.
#[derive(Debug, Default)]
pub(super) struct Factors {
    kept: BTreeMap<UserId, Kept>,
    pub(super) seeds: BTreeMap<(WorkspaceId, UserId), SealedSeed>,
    tries: BTreeMap<UserId, Tries>,
    passed: BTreeMap<Uuid, (UserId, PassedBy)>,
    pub(super) fences: BTreeMap<WorkspaceId, i32>,
}

/// A factor, and what of it was used.
#[derive(Debug)]
struct Kept {
    factor: Factor,
    last_step: i64,
    recovery_codes: BTreeMap<Hash, Option<DateTime<Utc>>>,
}

impl Factors {
    /// Forgets all that is kept of persons who are erased.
    pub(super) fn forget(&mut self, users: &[UserId]) {
        self.kept.retain(|user, _| !users.contains(user));
        self.tries.retain(|user, _| !users.contains(user));
        self.passed.retain(|_, (user, _)| !users.contains(user));
    }

    /// Forgets what sessions that are gone had passed.
    pub(super) fn forget_credentials(&mut self, sessions: &BTreeSet<SessionId>) {
        self.passed
            .retain(|credential, _| !sessions.contains(&SessionId(*credential)));
    }

    pub(super) fn standing(&self, user: UserId, credential: Uuid) -> FactorStanding {
        let passed = self.passed.get(&credential);
        FactorStanding {
            enrolled: self.is_confirmed(user),
            passed: passed.filter(|(whose, _)| *whose == user).map(|(_, by)| *by),
        }
    }

    pub(super) fn is_confirmed(&self, user: UserId) -> bool {
        let factor = self.kept.get(&user);
        factor.is_some_and(|kept| kept.factor.confirmed_at.is_some())
    }

    /// The factor, if its enrolment is still the one that was read.
    fn same(&mut self, factor: &Factor) -> Option<&mut Kept> {
        let kept = self.kept.get_mut(&factor.user)?;
        (kept.factor.enrolment == factor.enrolment).then_some(kept)
    }
}

#[async_trait]
impl FactorStore for MemoryStore {
    async fn standing(&self, user: UserId, credential: Uuid) -> Result<FactorStanding, StoreError> {
        Ok(self.state().factors.standing(user, credential))
    }

    async fn find_factor(&self, user: UserId) -> Result<Option<Factor>, StoreError> {
        let state = self.state();
        Ok(state.factors.kept.get(&user).map(|kept| kept.factor.clone()))
    }

    async fn find_seed(&self, factor: &Factor) -> Result<Option<SealedSeed>, StoreError> {
        let key = (factor.workspace, factor.user);
        Ok(self.state().factors.seeds.get(&key).cloned())
    }

    async fn count_recovery_codes(&self, user: UserId) -> Result<usize, StoreError> {
        let state = self.state();
        let kept = state.factors.kept.get(&user);
        Ok(kept.map_or(0, |kept| {
            kept.recovery_codes.values().filter(|used| used.is_none()).count()
        }))
    }

    async fn enrol_factor(&self, new: &NewFactor, fact: OutboxEvent) -> Result<bool, StoreError> {
        let mut state = self.state();
        let factor = &new.factor;
        state.erasures.allow(factor.workspace)?;
        let factors = &mut state.factors;
        let fence = factors.fences.get(&factor.workspace).copied();
        if fence.is_some_and(|lowest| new.seed.key_version < lowest) {
            return Err(StoreError::Fenced);
        }
        if let Some(before) = factors.kept.get(&factor.user) {
            if before.factor.confirmed_at.is_some() {
                return Ok(false);
            }
            let seed = (before.factor.workspace, factor.user);
            factors.seeds.remove(&seed);
        }
        let codes = new.recovery_codes.iter().map(|hash| (*hash, None));
        let kept = Kept {
            factor: factor.clone(),
            last_step: 0,
            recovery_codes: codes.collect(),
        };
        factors.kept.insert(factor.user, kept);
        factors
            .seeds
            .insert((factor.workspace, factor.user), new.seed.clone());
        self.outbox.push(fact);
        Ok(true)
    }

    async fn confirm_factor(
        &self,
        factor: &Factor,
        step: i64,
        credential: Uuid,
        fact: OutboxEvent,
        others: &Closing,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let factors = &mut state.factors;
        let Some(kept) = factors.same(factor) else {
            return Ok(false);
        };
        if kept.factor.confirmed_at.is_some() || kept.last_step >= step {
            return Ok(false);
        }
        kept.factor.confirmed_at = Some(others.at);
        kept.last_step = step;
        factors.passed.insert(credential, (factor.user, PassedBy::Totp));
        factors.tries.remove(&factor.user);
        self.outbox.push(fact);
        self.end_sessions(&mut state, factor.user, others.which(), others.at, &others.fact);
        Ok(true)
    }

    async fn use_step(&self, factor: &Factor, step: i64) -> Result<bool, StoreError> {
        let mut state = self.state();
        let factors = &mut state.factors;
        let Some(kept) = factors.same(factor).filter(|kept| kept.last_step < step) else {
            return Ok(false);
        };
        kept.last_step = step;
        factors.tries.remove(&factor.user);
        Ok(true)
    }

    async fn use_recovery_code(
        &self,
        user: UserId,
        hash: &Hash,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let factors = &mut state.factors;
        let code = factors
            .kept
            .get_mut(&user)
            .and_then(|kept| kept.recovery_codes.get_mut(hash))
            .filter(|used| used.is_none());
        let Some(code) = code else { return Ok(false) };
        *code = Some(at);
        factors.tries.remove(&user);
        self.outbox.push(fact);
        Ok(true)
    }

    async fn replace_recovery_codes(
        &self,
        factor: &Factor,
        hashes: &[Hash],
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(kept) = state.factors.same(factor) else {
            return Ok(false);
        };
        kept.recovery_codes = hashes.iter().map(|hash| (*hash, None)).collect();
        self.outbox.push(fact);
        Ok(true)
    }

    async fn remove_factor(
        &self,
        factor: &Factor,
        fact: OutboxEvent,
        others: Option<&Closing>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let factors = &mut state.factors;
        let Some(kept) = factors.same(factor) else {
            return Ok(false);
        };
        if kept.factor.confirmed_at.is_some() && others.is_none() {
            return Ok(false);
        }
        let seed = (kept.factor.workspace, factor.user);
        factors.kept.remove(&factor.user);
        factors.seeds.remove(&seed);
        factors
            .passed
            .retain(|_, (user, by)| *user != factor.user || *by != PassedBy::Totp);
        self.outbox.push(fact);
        if let Some(others) = others {
            self.end_sessions(&mut state, factor.user, others.which(), others.at, &others.fact);
        }
        Ok(true)
    }

    async fn pass_factor(
        &self,
        user: UserId,
        credential: Uuid,
        by: PassedBy,
        _: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.state().factors.passed.insert(credential, (user, by));
        Ok(())
    }

    async fn admit_try(
        &self,
        user: UserId,
        at: DateTime<Utc>,
        locks: OutboxEvent,
    ) -> Result<Admission, StoreError> {
        let mut state = self.state();
        let admission = state.factors.tries.entry(user).or_default().admit(at);
        if matches!(admission, Admission::Locks(_)) {
            self.outbox.push(locks);
        }
        Ok(admission)
    }

    async fn keep_fact(&self, fact: OutboxEvent) -> Result<(), StoreError> {
        self.outbox.push(fact);
        Ok(())
    }

    async fn raise_seed_fence(&self, workspace: WorkspaceId, version: i32) -> Result<(), StoreError> {
        let mut state = self.state();
        let fence = state.factors.fences.entry(workspace).or_default();
        *fence = version.max(*fence);
        Ok(())
    }
}
