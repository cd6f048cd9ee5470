//! What is kept of second factors.

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::StoreError;
use super::history::Closing;
use crate::domain::{Admission, Factor, FactorStanding, Hash, NewFactor, PassedBy, SealedSeed};

/// Second factors of persons, and who passed them. Sessions and personal access tokens are both credentials here.
#[async_trait]
pub(crate) trait FactorStore: Send + Sync + 'static {
    /// How the person and one of the person's credentials stand to the factor. Asked at every refresh and for every
    /// token that is proven.
    async fn standing(&self, user: UserId, credential: Uuid) -> Result<FactorStanding, StoreError>;

    /// The person's factor, confirmed or not.
    async fn find_factor(&self, user: UserId) -> Result<Option<Factor>, StoreError>;

    /// The seed of a factor; nothing if it went with its workspace.
    async fn find_seed(&self, factor: &Factor) -> Result<Option<SealedSeed>, StoreError>;

    /// How many recovery codes of the person were not used.
    async fn count_recovery_codes(&self, user: UserId) -> Result<usize, StoreError>;

    /// Adds a factor in the place of one that was not confirmed. False, with nothing changed, if one was.
    /// [`StoreError::Fenced`] if its seed lies under a data key that may not be written any more.
    async fn enrol_factor(&self, new: &NewFactor, fact: OutboxEvent) -> Result<bool, StoreError>;

    /// Confirms a factor with the code of `step`, which is thereby used. The credential has passed it, the person's tries
    /// are forgiven, and the sessions that never passed it end (REF-06). False, with nothing changed, if the enrolment is
    /// another one by now or was confirmed.
    async fn confirm_factor(
        &self,
        factor: &Factor,
        step: i64,
        credential: Uuid,
        fact: OutboxEvent,
        others: &Closing,
    ) -> Result<bool, StoreError>;

    /// Uses up the code of `step` (MFA-02), and forgives the person's tries. False, with nothing changed, if a code of
    /// that step or of a later one was used; of many at once, one succeeds.
    async fn use_step(&self, factor: &Factor, step: i64) -> Result<bool, StoreError>;

    /// Uses up a recovery code (MFA-05), and forgives the person's tries. False, and no fact, if there is no such code
    /// or it was used; of many at once, one succeeds.
    async fn use_recovery_code(
        &self,
        user: UserId,
        hash: &Hash,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Puts other recovery codes in the place of all that there are. False, with nothing changed, if the factor is not
    /// there any more.
    async fn replace_recovery_codes(
        &self,
        factor: &Factor,
        hashes: &[Hash],
        fact: OutboxEvent,
    ) -> Result<bool, StoreError>;

    /// Removes a factor with all that belongs to it; credentials that had passed it have not any more, and the sessions
    /// that `others` means end (REF-06). Without `others` it goes only while it is not confirmed. False, and no fact, if
    /// it is not there any more, or not so.
    async fn remove_factor(
        &self,
        factor: &Factor,
        fact: OutboxEvent,
        others: Option<&Closing>,
    ) -> Result<bool, StoreError>;

    /// Notes that a credential of the person passed a factor.
    async fn pass_factor(
        &self,
        user: UserId,
        credential: Uuid,
        by: PassedBy,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError>;

    /// Counts a try of the person, or refuses it (MFA-04). Parallel tries are counted one after the other. The fact is
    /// kept if this try begins a lock.
    async fn admit_try(
        &self,
        user: UserId,
        at: DateTime<Utc>,
        locks: OutboxEvent,
    ) -> Result<Admission, StoreError>;

    /// Keeps a fact that changes nothing here.
    async fn keep_fact(&self, fact: OutboxEvent) -> Result<(), StoreError>;

    /// The lowest data key version that may seal a seed of the workspace from now on (ROT-05). It never goes down.
    async fn raise_seed_fence(&self, workspace: WorkspaceId, version: i32) -> Result<(), StoreError>;
}
