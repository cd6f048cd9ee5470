//! What is kept of data keys: the keys, their rotations, and what lies sealed under them.

use std::time::Duration;

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::StoreError;
use crate::domain::{
    KeyChange, KeyPlace, KeyState, Lease, Rewrapped, Ring, Rotation, Secret, SecretName, StoredKey,
    UnreadableRow,
};
use crate::page::{Page, TimePlace};

/// Wrapped data keys.
#[async_trait]
pub(crate) trait KeyStore: Send + Sync + 'static {
    /// The key that seals.
    async fn find_active_key(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
    ) -> Result<Option<StoredKey>, StoreError>;

    /// The key of that version, destroyed ones too.
    async fn find_key(
        &self,
        workspace: WorkspaceId,
        ring: Ring,
        version: u32,
    ) -> Result<Option<StoredKey>, StoreError>;

    /// The workspace's keys, destroyed ones too.
    async fn list_keys(
        &self,
        workspace: WorkspaceId,
        page: &Page<KeyPlace>,
    ) -> Result<Vec<StoredKey>, StoreError>;

    /// Adds the first key of a ring; [`StoreError::Conflict`] if the ring has one of that version or was shredded,
    /// [`StoreError::NoParent`] without the workspace.
    async fn insert_key(&self, key: &StoredKey) -> Result<(), StoreError>;

    /// Destroys every version of both rings, and leaves a mark where a ring had none, so that none is made any more
    /// (ERA-01). Answers how many keys were destroyed; doing it again destroys none.
    async fn destroy_keys(&self, workspace: WorkspaceId, at: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// All keys of all workspaces, for who wraps them anew (ROT-06). Shows wrapped bytes and no others.
#[async_trait]
pub(crate) trait RewrapStore: Send + Sync + 'static {
    /// Workspaces that have keys, by id.
    async fn keyed_workspaces(&self, page: &Page<WorkspaceId>) -> Result<Vec<WorkspaceId>, StoreError>;

    /// The keys of those workspaces, destroyed ones too.
    async fn keys_of(&self, workspaces: &[WorkspaceId]) -> Result<Vec<StoredKey>, StoreError>;

    /// Replaces the keys that are still what they were; answers how many.
    async fn rewrap(&self, keys: &[Rewrapped]) -> Result<u64, StoreError>;

    /// How many rotations are not at their end.
    async fn count_rotations(&self) -> Result<u64, StoreError>;
}

/// A step of a rotation: all of it is kept, or nothing.
pub(crate) struct Advance<'a> {
    /// As it is from now on.
    pub rotation: &'a Rotation,
    /// What becomes of its versions.
    pub keys: KeyChange,
    /// Rows that were found to be unreadable.
    pub unreadable: &'a [UnreadableRow],
    /// Whether those of before are forgotten: they are looked at again.
    pub afresh: bool,
    /// What happened.
    pub fact: Option<OutboxEvent>,
}

impl<'a> Advance<'a> {
    /// Nothing but the rotation itself.
    pub(crate) fn to(rotation: &'a Rotation) -> Self {
        Self {
            rotation,
            keys: KeyChange::Keep,
            unreadable: &[],
            afresh: false,
            fact: None,
        }
    }
}

/// Rotations, and who works on them.
#[async_trait]
pub(crate) trait RotationStore: Send + Sync + 'static {
    /// Adds a rotation with the pending key that it brings, both leased to who calls.
    /// [`StoreError::Refused`] while one of the workspace is not at its end; [`StoreError::Conflict`] if the version is
    /// taken; [`StoreError::NoParent`].
    async fn begin_rotation(
        &self,
        rotation: &Rotation,
        key: &StoredKey,
        lease: &Lease,
        fact: OutboxEvent,
    ) -> Result<(), StoreError>;

    /// A rotation that nobody works on, leased under that token from now on for that time.
    async fn claim_rotation(&self, token: Uuid, time: Duration) -> Result<Option<Rotation>, StoreError>;

    /// Keeps a step, and the lease for its time from now on; gives the lease back at the end of the rotation.
    /// [`StoreError::LeaseLost`] if somebody else has it: then nothing is kept.
    async fn advance_rotation(&self, lease: &Lease, advance: Advance<'_>) -> Result<(), StoreError>;

    /// Gives the lease back; nobody takes it before that time is over. Nothing if somebody else has it.
    async fn release_rotation(&self, lease: &Lease, pause: Duration) -> Result<(), StoreError>;

    /// The rotation.
    async fn find_rotation(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Rotation>, StoreError>;

    /// The workspace's rotations, newest first; a page goes on before its place.
    async fn list_rotations(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Rotation>, StoreError>;

    /// The first of the rows that a rotation found to be unreadable.
    async fn list_unreadable(
        &self,
        workspace: WorkspaceId,
        rotation: Uuid,
        most: usize,
    ) -> Result<Vec<UnreadableRow>, StoreError>;
}

/// A secret that is sealed anew, and stays the same otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resealed {
    /// Which.
    pub name: SecretName,
    /// The sealed value as it was read.
    pub before: Vec<u8>,
    /// As it is to be.
    pub sealed: Vec<u8>,
    /// The data key version under which it then lies.
    pub key_version: u32,
}

/// What lies sealed under data keys.
#[async_trait]
pub(crate) trait SealedStore: Send + Sync + 'static {
    /// Secrets that lie under lower versions, by name.
    async fn list_secrets_below(
        &self,
        workspace: WorkspaceId,
        version: u32,
        page: &Page<SecretName>,
    ) -> Result<Vec<Secret>, StoreError>;

    /// Replaces the values that are still what they were (ROT-02); answers how many.
    async fn reseal_secrets(&self, workspace: WorkspaceId, secrets: &[Resealed])
    -> Result<usize, StoreError>;

    /// Forbids writes under lower versions; it never goes down. Once this is answered no such write is or will be
    /// committed (ROT-05): they are [`StoreError::Fenced`].
    async fn raise_fence(&self, workspace: WorkspaceId, version: u32) -> Result<(), StoreError>;

    /// How many secrets the workspace has, and how many of them lie under lower versions.
    async fn count_secrets_below(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<(u64, u64), StoreError>;
}

/// All of it.
pub(crate) trait KeyStores: KeyStore + RewrapStore + RotationStore + SealedStore {}

impl<S: KeyStore + RewrapStore + RotationStore + SealedStore> KeyStores for S {}

/// What stays of a ring that had no key when its workspace was shredded: it is in the way of a first one.
pub(crate) fn shredded_ring(workspace: WorkspaceId, ring: Ring, at: DateTime<Utc>) -> StoredKey {
    StoredKey {
        workspace,
        ring,
        version: 1,
        state: KeyState::Destroyed,
        wrapped: None,
        created_at: at,
        destroyed_at: Some(at),
    }
}
