//! Carries erasures out. Every step may be done again: one that was begun by a process that is gone is gone on with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::auth::v1::FindAddressesRequest;
use causeway_contracts::auth::v1::auth_data_service_client::AuthDataServiceClient;
use causeway_contracts::common::v1::EraseRequest;
use causeway_holder::{ErasedRows, Tombstone};
use causeway_mesh::{Mesh, MeshChannel};
use causeway_outbox::{OutboxEvent, Outcome};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use super::{Lifecycle, about};
use crate::domain::{Done, Erasure, KeyState, Receipt, Retained};
use crate::error::TenancyError;
use crate::failpoint::{reach, reach_in};
use crate::holders::{HolderError, Holders};
use crate::page::Page;
use crate::refusal::Refusal;
use crate::store::{StoreError, TenancyStore, WorkLease};

/// How long an erasure may go on without a sign of life from its worker. Longer than any step: a step that is slower
/// is done twice, which changes nothing.
const LEASE: TimeDelta = TimeDelta::minutes(11);
/// How often it is looked whether something is due.
const PAUSE: Duration = Duration::from_secs(1);
const ALL: usize = 1000;
const PURGE: usize = 100;

/// An erasure that did not go through. It is tried again when its lease is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErasureError {
    /// The store, or a rule.
    #[error("work on the erasure")]
    Tenancy(#[from] TenancyError),
    /// A holder of data.
    #[error("erase in {holder}")]
    Holder {
        /// Its name.
        holder: &'static str,
        /// Why it could not.
        #[source]
        source: HolderError,
    },
    /// The addresses of the person.
    #[error("ask auth for the addresses of the person")]
    Addresses(#[source] Box<Status>),
    /// Somebody else works on it.
    #[error("the lease is lost")]
    Lost,
}

impl From<StoreError> for ErasureError {
    fn from(error: StoreError) -> Self {
        Self::Tenancy(error.into())
    }
}

/// Who knows the addresses of persons.
#[async_trait]
pub(crate) trait Addresses: Send + Sync + 'static {
    /// The addresses of the person; none for somebody without an account.
    async fn of(&self, user: UserId) -> Result<Vec<String>, Status>;
}

/// Auth knows them.
pub(crate) struct MeshAddresses(AuthDataServiceClient<MeshChannel>);

impl MeshAddresses {
    /// Those that auth knows.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self(AuthDataServiceClient::new(mesh.to("auth")))
    }
}

#[async_trait]
impl Addresses for MeshAddresses {
    async fn of(&self, user: UserId) -> Result<Vec<String>, Status> {
        let request = FindAddressesRequest {
            user_id: user.to_string(),
        };
        let answer = self.0.clone().find_addresses(request).await?;
        Ok(answer.into_inner().addresses)
    }
}

/// The background work of erasures.
pub(crate) struct ErasureJob {
    /// Where ledger, keys and rows are.
    pub(crate) store: Arc<dyn TenancyStore>,
    /// Everybody who keeps data, this service first.
    pub(crate) holders: Holders,
    /// Who knows addresses.
    pub(crate) addresses: Arc<dyn Addresses>,
    /// The times that a receipt names.
    pub(crate) lifecycle: Lifecycle,
    /// Whether a key in AWS KMS wraps data keys.
    pub(crate) kms: bool,
    /// The time.
    pub(crate) clock: fn() -> DateTime<Utc>,
}

impl ErasureJob {
    /// Works until it is stopped. An erasure in hand is left to whoever comes next.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_some()
        {
            while let Some(more) = stop.run_until_cancelled(self.round()).await {
                match more {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        causeway_telemetry::report(
                            &error,
                            Uuid::now_v7(),
                            "an erasure waits for its next try",
                        );
                        break;
                    }
                }
            }
        }
    }

    /// Carries out one erasure that is due. False if there is none.
    pub(crate) async fn round(&self) -> Result<bool, ErasureError> {
        let now = (self.clock)();
        let lease = WorkLease {
            token: Uuid::now_v7(),
            until: now + LEASE,
        };
        let Some(erasure) = self.store.claim_erasure(now, lease).await? else {
            return Ok(false);
        };
        match self.carry_out(&erasure, lease.token).await {
            Ok(_) | Err(ErasureError::Lost) => Ok(true),
            Err(error) => {
                // Not at once: who could not may not be able to a moment later either.
                let soon = WorkLease {
                    until: (self.clock)() + TimeDelta::seconds(5),
                    ..lease
                };
                self.store.renew_erasure(erasure.id, soon).await?;
                Err(error)
            }
        }
    }

    async fn carry_out(&self, erasure: &Erasure, token: Uuid) -> Result<Option<Receipt>, ErasureError> {
        reach("erasure.claimed");
        // From here on there is no way back, whatever happens to this process (ERA-03).
        let mut tombstone = match self.store.bury(erasure, (self.clock)()).await {
            Ok(tombstone) => tombstone,
            // Between order and beginning the person has left, or has become the only owner.
            Err(StoreError::Refused(refusal)) => {
                self.abandon(erasure, token, refusal).await?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        reach("erasure.buried");
        if erasure.subject.is_none() {
            // The store is asked for the key at every use: from now on nothing opens, on any replica (ERA-01).
            self.store.destroy_keys(erasure.workspace, (self.clock)()).await?;
            reach("erasure.keys_destroyed");
        }
        if let Some(subject) = erasure.subject {
            let addresses = self.addresses.of(subject).await;
            tombstone.addresses = addresses.map_err(|status| ErasureError::Addresses(Box::new(status)))?;
        }
        let counts = self.erase_everywhere(erasure, &mut tombstone, token).await?;
        while self.store.doomed_objects(erasure.workspace).await? > 0 {
            self.store.purge_exports((self.clock)(), PURGE).await?;
        }
        reach("erasure.purged");
        let done = self.done(erasure, counts).await?;
        let fact = fact_of_completion(erasure, &done);
        let receipt = self.store.finish_erasure(erasure, &done, fact).await?;
        reach("erasure.finished");
        Ok(Some(receipt))
    }

    /// Gives up what cannot be done and has not begun.
    async fn abandon(&self, erasure: &Erasure, token: Uuid, refusal: Refusal) -> Result<(), ErasureError> {
        let fact = fact(erasure, "erasure.cancelled", (self.clock)()).outcome(Outcome::Failure);
        let reason = refusal.to_api().reason.to_string();
        let fact = fact.detail("reason", reason);
        self.store.abandon_erasure(erasure.id, token, fact).await?;
        Ok(())
    }

    async fn erase_everywhere(
        &self,
        erasure: &Erasure,
        tombstone: &mut Tombstone,
        token: Uuid,
    ) -> Result<Vec<ErasedRows>, ErasureError> {
        let mut counts = Vec::new();
        for holder in self.holders.iter() {
            let lease = WorkLease {
                token,
                until: (self.clock)() + LEASE,
            };
            if !self.store.renew_erasure(erasure.id, lease).await? {
                return Err(ErasureError::Lost);
            }
            let failed = |source| ErasureError::Holder {
                holder: holder.name(),
                source,
            };
            let answer = holder
                .erase(EraseRequest::from(&*tombstone))
                .await
                .map_err(failed)?;
            reach_in("erasure.erased", holder.name());
            counts.extend(answer.tables.into_iter().map(ErasedRows::from));
            if !answer.leaver_user_ids.is_empty() {
                tombstone.leavers = self.leavers(&answer.leaver_user_ids).await?;
            }
        }
        Ok(counts)
    }

    /// Who left may have come into another workspace meanwhile.
    async fn leavers(&self, ids: &[String]) -> Result<Vec<UserId>, ErasureError> {
        let mut leavers = Vec::with_capacity(ids.len());
        let first = Page { size: 1, after: None };
        for user in ids.iter().filter_map(|id| id.parse().ok()) {
            if self.store.list_memberships(user, &first).await?.is_empty() {
                leavers.push(user);
            }
        }
        Ok(leavers)
    }

    async fn done(&self, erasure: &Erasure, counts: Vec<ErasedRows>) -> Result<Done, ErasureError> {
        // As exact as a database keeps it: the receipt's hash is computed again from what was kept.
        let completed_at = (self.clock)().trunc_subsecs(6);
        let destroyed_keys = match erasure.subject {
            Some(_) => 0,
            None => self.destroyed_keys(erasure).await?,
        };
        Ok(Done {
            completed_at,
            effective_at: completed_at + self.lifecycle.keystore_backups,
            destroyed_keys,
            counts,
            retained: self.retained(erasure),
        })
    }

    /// Counted afterwards, so that a worker that went on with the erasure of another knows it too.
    async fn destroyed_keys(&self, erasure: &Erasure) -> Result<u64, ErasureError> {
        let page = Page {
            size: ALL,
            after: None,
        };
        let keys = self.store.list_keys(erasure.workspace, &page).await?;
        let gone = keys.iter().filter(|key| {
            // A mark where a ring had no key was never one.
            key.state == KeyState::Destroyed
                && key
                    .destroyed_at
                    .is_some_and(|at| at >= erasure.scheduled_for && at != key.created_at)
        });
        Ok(u64::try_from(gone.count()).unwrap_or(u64::MAX))
    }

    fn retained(&self, erasure: &Erasure) -> Vec<Retained> {
        let days = self.lifecycle.keystore_backups.num_days();
        let retained = |what: &str, why: String| Retained {
            what: what.to_owned(),
            why,
        };
        let mut kept = vec![
            retained(
                "audit log",
                "the proof of what happened is a duty; it names persons by ids only, for as long as the log is kept"
                    .to_owned(),
            ),
            retained(
                "erasure ledger",
                "the order, its tombstone and this receipt: ids and counts, so that a restored backup is erased again"
                    .to_owned(),
            ),
            retained(
                "backups of the other schemas",
                "what was not sealed, until they have run out; a restore of one is erased again before anything is served"
                    .to_owned(),
            ),
        ];
        if erasure.subject.is_some() {
            return kept;
        }
        kept.push(retained(
            "keystore",
            "which versions of data keys there were; their bytes are overwritten here".to_owned(),
        ));
        kept.push(retained(
            "backups of the keystore",
            format!("wrapped data keys until their backups have run out, after {days} days"),
        ));
        if self.kms {
            kept.push(retained(
                "key in AWS KMS",
                "it wraps the keys of other workspaces too and stays; if it is scheduled for deletion, AWS takes 7 to 30 \
                 days more"
                    .to_owned(),
            ));
        }
        kept
    }
}

fn fact_of_completion(erasure: &Erasure, done: &Done) -> OutboxEvent {
    let rows: u64 = done.counts.iter().map(|count| count.rows).sum();
    let tables: BTreeSet<&str> = done.counts.iter().map(|count| count.table.as_str()).collect();
    fact(erasure, "erasure.completed", done.completed_at)
        .detail("rows", rows)
        .detail("tables", tables.len())
        .detail("destroyed_keys", done.destroyed_keys)
        .detail("effective_at", done.effective_at.to_rfc3339())
}

/// A fact about what the job does: nobody calls it.
fn fact(erasure: &Erasure, action: &str, at: DateTime<Utc>) -> OutboxEvent {
    let fact = background_fact(erasure.workspace, action, at);
    about(fact.target("erasure", erasure.id.to_string()), erasure)
}

/// A fact of work that nobody called for.
pub(crate) fn background_fact(workspace: WorkspaceId, action: &str, at: DateTime<Utc>) -> OutboxEvent {
    let id = Uuid::now_v7();
    OutboxEvent {
        id,
        workspace,
        action: action.to_owned(),
        actor_kind: "service".to_owned(),
        actor_id: crate::NAME.to_owned(),
        target_kind: String::new(),
        target_id: String::new(),
        outcome: Outcome::Success,
        occurred_at: at,
        request_id: format!("background-{id}"),
        service: crate::NAME.to_owned(),
        details: serde_json::Map::new(),
    }
}
