//! Exports in memory.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::MemoryStore;
use super::ledger::newest_first;
use crate::domain::{Content, Export, ExportState};
use crate::page::{Page, TimePlace};
use crate::store::StoreError;
use crate::store::lifecycle::{ExportStore, WorkLease};

type Place = (WorkspaceId, Uuid);

/// Exports, their bytes, and what of them is to be thrown away.
#[derive(Default)]
pub(super) struct Exports {
    pub(super) rows: BTreeMap<Place, (Export, Option<WorkLease>, u32)>,
    pub(super) chunks: BTreeMap<(Place, u32), Vec<u8>>,
    pub(super) doomed: BTreeSet<Place>,
}

impl Exports {
    fn drop_chunks(&mut self, place: Place) {
        self.chunks.retain(|(of, _), _| *of != place);
    }

    fn held(
        &mut self,
        export: &Export,
        token: Uuid,
    ) -> Result<&mut (Export, Option<WorkLease>, u32), StoreError> {
        let found = self.rows.get_mut(&(export.workspace, export.id));
        found
            .filter(|(export, lease, _)| {
                export.state == ExportState::Running && lease.is_some_and(|lease| lease.token == token)
            })
            .ok_or(StoreError::Conflict)
    }
}

#[async_trait]
impl ExportStore for MemoryStore {
    async fn insert_export(&self, export: &Export, fact: OutboxEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        state.require(export.workspace)?;
        let place = (export.workspace, export.id);
        state.exports.rows.insert(place, (export.clone(), None, 0));
        self.outbox.push(fact);
        Ok(())
    }

    async fn find_export(&self, workspace: WorkspaceId, id: Uuid) -> Result<Option<Export>, StoreError> {
        let state = self.state();
        Ok(state
            .exports
            .rows
            .get(&(workspace, id))
            .map(|(export, ..)| export.clone()))
    }

    async fn list_exports(
        &self,
        workspace: WorkspaceId,
        page: &Page<TimePlace>,
    ) -> Result<Vec<Export>, StoreError> {
        let state = self.state();
        let mine = state.exports.rows.values().map(|(export, ..)| export.clone());
        let mine = mine.filter(|export| export.workspace == workspace);
        Ok(newest_first(mine, page, Export::place))
    }

    async fn claim_export(
        &self,
        now: DateTime<Utc>,
        lease: WorkLease,
    ) -> Result<Option<(Export, u32)>, StoreError> {
        let mut state = self.state();
        let free = state.exports.rows.values_mut().find(|(export, lease, _)| {
            export.state == ExportState::Running && lease.is_none_or(|lease| lease.until <= now)
        });
        let Some((export, held, attempts)) = free else {
            return Ok(None);
        };
        (*held, *attempts) = (Some(lease), *attempts + 1);
        let (export, attempts) = (export.clone(), *attempts);
        state.exports.drop_chunks((export.workspace, export.id));
        Ok(Some((export, attempts)))
    }

    async fn append_chunk(
        &self,
        export: &Export,
        lease: WorkLease,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        state.exports.held(export, lease.token)?.1 = Some(lease);
        let place = ((export.workspace, export.id), number);
        state.exports.chunks.insert(place, bytes.to_vec());
        Ok(())
    }

    async fn finish_export(
        &self,
        export: &Export,
        token: Uuid,
        content: Option<&Content>,
        fact: OutboxEvent,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let (stored, lease, _) = state.exports.held(export, token)?;
        *lease = None;
        match content {
            Some(content) => {
                stored.state = ExportState::Ready;
                stored.content = content.clone();
            }
            None => {
                stored.state = ExportState::Failed;
                state.exports.drop_chunks((export.workspace, export.id));
            }
        }
        self.outbox.push(fact);
        Ok(())
    }

    async fn read_chunk(
        &self,
        workspace: WorkspaceId,
        id: Uuid,
        number: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .state()
            .exports
            .chunks
            .get(&((workspace, id), number))
            .cloned())
    }

    async fn purge_exports(&self, now: DateTime<Utc>, limit: usize) -> Result<bool, StoreError> {
        let mut state = self.state();
        let exports = &mut state.exports;
        let over = exports.rows.iter().filter(|(_, (export, ..))| {
            export.expires_at <= now && matches!(export.state, ExportState::Ready | ExportState::Failed)
        });
        let over: Vec<Place> = over.map(|(place, _)| *place).take(limit).collect();
        for place in &over {
            if let Some((export, ..)) = exports.rows.get_mut(place) {
                export.state = ExportState::Expired;
            }
            exports.drop_chunks(*place);
        }
        for place in std::mem::take(&mut exports.doomed) {
            exports.drop_chunks(place);
        }
        Ok(over.len() == limit)
    }

    async fn doomed_objects(&self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        let state = self.state();
        let doomed = state.exports.doomed.iter().filter(|(of, _)| *of == workspace);
        Ok(u64::try_from(doomed.count()).unwrap_or(u64::MAX))
    }
}
