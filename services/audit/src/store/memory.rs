//! Logs in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_context::WorkspaceId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{AuditStore, Entry, Filter, OnReuse, StoreError};
use crate::event::Event;
use crate::merkle::{Edge, Hash, Node, leaf_hash};

/// Logs in memory: they end with the process. Each workspace has a lock of its own.
#[derive(Debug, Default)]
pub struct MemoryAuditStore {
    logs: Mutex<HashMap<WorkspaceId, Arc<Mutex<Log>>>>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    by_id: HashMap<Uuid, u64>,
    edge: Edge,
    /// The hash of every complete subtree, by level and index.
    levels: Vec<Vec<Hash>>,
}

impl Log {
    /// The sequence number of the event that has the id already.
    fn repeat_of(&self, event: &Event, on_reuse: OnReuse) -> Result<Option<u64>, StoreError> {
        let Some((seq, first)) = self
            .by_id
            .get(&event.id)
            .and_then(|seq| Some((*seq, self.entry(*seq)?)))
        else {
            return Ok(None);
        };
        if first.event.is_repeated_by(event) {
            return Ok(Some(seq));
        }
        match on_reuse {
            OnReuse::Refuse => Err(StoreError::IdReused(event.id)),
            OnReuse::KeepFirst => {
                tracing::error!(event_id = %event.id, seq, "an event id came again with other content; the first stays");
                Ok(Some(seq))
            }
        }
    }

    fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(seq).ok()?)
    }

    fn push(&mut self, event: Event, appended_at: DateTime<Utc>) -> u64 {
        let (seq, leaf) = (self.edge.size(), event.leaf());
        let leaf_hash = leaf_hash(&leaf);
        self.edge.append(leaf_hash, |node, hash| {
            let level = node.level as usize;
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[level].push(hash);
        });
        self.by_id.insert(event.id, seq);
        self.entries.push(Entry {
            seq,
            leaf,
            leaf_hash,
            appended_at,
            event,
        });
        seq
    }
}

impl MemoryAuditStore {
    fn log(&self, workspace: WorkspaceId) -> Option<Arc<Mutex<Log>>> {
        lock(&self.logs).get(&workspace).cloned()
    }

    fn read<T: Default>(&self, workspace: WorkspaceId, read: impl FnOnce(&Log) -> T) -> T {
        self.log(workspace)
            .map(|log| read(&lock(&log)))
            .unwrap_or_default()
    }
}

#[cfg(test)]
impl MemoryAuditStore {
    /// Changes what is stored behind the back of the log.
    pub(crate) fn tamper(
        &self,
        workspace: WorkspaceId,
        change: impl FnOnce(&mut Vec<Entry>, &mut Vec<Vec<Hash>>),
    ) {
        let log = self.log(workspace).expect("a log");
        let mut log = lock(&log);
        let Log { entries, levels, .. } = &mut *log;
        change(entries, levels);
    }
}

/// A log is changed only by code that does not panic between its steps, so a poisoned lock guards a whole log.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl AuditStore for MemoryAuditStore {
    async fn append(
        &self,
        workspace: WorkspaceId,
        events: Vec<Event>,
        appended_at: DateTime<Utc>,
        on_reuse: OnReuse,
    ) -> Result<Vec<u64>, StoreError> {
        let log = lock(&self.logs).entry(workspace).or_default().clone();
        let mut log = lock(&log);
        if on_reuse == OnReuse::Refuse {
            // All of a batch or nothing: looked at before the first change.
            refuse_reuse_within(&events)?;
            for event in &events {
                log.repeat_of(event, on_reuse)?;
            }
        }
        let mut seqs = Vec::with_capacity(events.len());
        for event in events {
            let seq = match log.repeat_of(&event, on_reuse)? {
                Some(seq) => seq,
                None => log.push(event, appended_at),
            };
            seqs.push(seq);
        }
        Ok(seqs)
    }

    async fn size(&self, workspace: WorkspaceId) -> Result<u64, StoreError> {
        Ok(self.read(workspace, |log| log.entries.len() as u64))
    }

    async fn find(&self, workspace: WorkspaceId, seq: u64) -> Result<Option<Entry>, StoreError> {
        Ok(self.read(workspace, |log| log.entry(seq).cloned()))
    }

    async fn search(
        &self,
        workspace: WorkspaceId,
        range: Range<u64>,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(self.read(workspace, |log| {
            let end = usize::try_from(range.end)
                .unwrap_or(usize::MAX)
                .min(log.entries.len());
            let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
            log.entries[start..end]
                .iter()
                .filter(|entry| filter.finds(&entry.event))
                .take(limit)
                .cloned()
                .collect()
        }))
    }

    async fn nodes(&self, workspace: WorkspaceId, nodes: &[Node]) -> Result<Vec<Hash>, StoreError> {
        let found: Option<Vec<Hash>> = self.read(workspace, |log| {
            Some(
                nodes
                    .iter()
                    .map_while(|node| {
                        log.levels
                            .get(node.level as usize)?
                            .get(usize::try_from(node.index).ok()?)
                            .copied()
                    })
                    .collect(),
            )
        });
        match found {
            Some(hashes) if hashes.len() == nodes.len() => Ok(hashes),
            None if nodes.is_empty() => Ok(Vec::new()),
            Some(_) | None => Err(StoreError::Damaged("a node of the tree is missing")),
        }
    }
}

/// Two events of one batch with one id and different content.
fn refuse_reuse_within(events: &[Event]) -> Result<(), StoreError> {
    let mut first = HashMap::new();
    for event in events {
        let first = *first.entry(event.id).or_insert(event);
        if !first.is_repeated_by(event) {
            return Err(StoreError::IdReused(event.id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> (MemoryAuditStore, ()) {
        (MemoryAuditStore::default(), ())
    }

    crate::audit_store_conformance!(fresh);
}
