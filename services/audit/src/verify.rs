//! The walk over a stored log: everything that can be recomputed from the leaf bytes is, and compared.

use std::collections::HashMap;

use causeway_context::WorkspaceId;
use uuid::Uuid;

use crate::merkle::{Edge, Hash, Node, leaf_hash};
use crate::store::{AuditStore, Entry, Filter, StoreError};

/// How many entries are read at a time.
const STRIDE: usize = 512;
/// How many findings are told; the rest are counted.
const MAX_FINDINGS: usize = 100;

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many entries were read.
    pub size: u64,
    /// The root over the leaf bytes that were read.
    pub root: Hash,
    /// What is wrong and where; empty if nothing is.
    pub findings: Vec<String>,
}

/// Walks the log as far as it went when the walk began.
///
/// # Errors
/// [`StoreError::Unavailable`] when the store does not answer; damage is a finding and no error.
pub async fn walk(store: &dyn AuditStore, workspace: WorkspaceId) -> Result<Report, StoreError> {
    let size = store.size(workspace).await?;
    let mut walk = Walk::default();
    let mut start = 0;
    while start < size {
        let end = (start + STRIDE as u64).min(size);
        let entries = store
            .search(workspace, start..end, &Filter::default(), STRIDE)
            .await?;
        let nodes = walk.take(&entries);
        walk.compare(store, workspace, &nodes).await?;
        start = end;
    }
    if walk.next_seq != size {
        walk.find(format!(
            "entry {}: is missing, the log has {size} entries",
            walk.next_seq
        ));
    }
    walk.look_past_the_end(store, workspace, size).await?;
    Ok(walk.report())
}

#[derive(Default)]
struct Walk {
    edge: Edge,
    next_seq: u64,
    seen: HashMap<Uuid, u64>,
    findings: Vec<String>,
    untold: usize,
}

impl Walk {
    fn find(&mut self, finding: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.untold += 1;
        }
    }

    /// Checks entries one by one; answers the nodes of the tree that they complete.
    fn take(&mut self, entries: &[Entry]) -> Vec<(Node, Hash)> {
        let mut nodes = Vec::with_capacity(entries.len() * 2);
        for entry in entries {
            self.check(entry);
            self.edge
                .append(leaf_hash(&entry.leaf), |node, hash| nodes.push((node, hash)));
        }
        nodes
    }

    fn check(&mut self, entry: &Entry) {
        let seq = entry.seq;
        if seq > self.next_seq {
            self.find(format!("entry {}: is missing, the next is {seq}", self.next_seq));
        } else if seq < self.next_seq {
            self.find(format!("entry {seq}: is out of order"));
        }
        self.next_seq = seq + 1;
        if leaf_hash(&entry.leaf) != entry.leaf_hash {
            self.find(format!(
                "entry {seq}: the stored leaf hash is not the hash of the leaf"
            ));
        }
        if entry.event.leaf() != entry.leaf {
            self.find(format!(
                "entry {seq}: the event that searches see is not the one in the leaf"
            ));
        }
        if let Some(first) = self.seen.insert(entry.event.id, seq) {
            self.find(format!("entry {seq}: has the event id of entry {first}"));
        }
    }

    async fn compare(
        &mut self,
        store: &dyn AuditStore,
        workspace: WorkspaceId,
        nodes: &[(Node, Hash)],
    ) -> Result<(), StoreError> {
        let ids: Vec<Node> = nodes.iter().map(|(node, _)| *node).collect();
        match store.nodes(workspace, &ids).await {
            Ok(stored) => nodes.iter().zip(stored).for_each(|((node, hash), stored)| {
                if *hash != stored {
                    self.find(format!(
                        "{}: the stored hash is not that of the leaves",
                        name(*node)
                    ));
                }
            }),
            Err(StoreError::Damaged(_)) => {
                for node in ids {
                    if !exists(store, workspace, node).await? {
                        self.find(format!("{}: is missing", name(node)));
                    }
                }
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::IdReused(_))) => return Err(error),
        }
        Ok(())
    }

    /// A leaf of the tree without its entry: the end of the log was cut off. The leaf is looked at first, so that an
    /// append in between is no false alarm.
    async fn look_past_the_end(
        &mut self,
        store: &dyn AuditStore,
        workspace: WorkspaceId,
        size: u64,
    ) -> Result<(), StoreError> {
        let leaf = Node {
            level: 0,
            index: size,
        };
        if exists(store, workspace, leaf).await? && store.find(workspace, size).await?.is_none() {
            self.find(format!("entry {size}: is missing, the tree has a leaf for it"));
        }
        Ok(())
    }

    fn report(mut self) -> Report {
        if self.untold > 0 {
            self.findings.push(format!("and {} more", self.untold));
        }
        Report {
            size: self.edge.size(),
            root: self.edge.root(),
            findings: self.findings,
        }
    }
}

async fn exists(store: &dyn AuditStore, workspace: WorkspaceId, node: Node) -> Result<bool, StoreError> {
    match store.nodes(workspace, &[node]).await {
        Ok(_) => Ok(true),
        Err(StoreError::Damaged(_)) => Ok(false),
        Err(error @ (StoreError::Unavailable(_) | StoreError::IdReused(_))) => Err(error),
    }
}

fn name(node: Node) -> String {
    let first = node.index << node.level;
    match node.level {
        0 => format!("tree, leaf {first}"),
        level => format!("tree, entries {first} to {}", first + (1 << level) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::store::conformance::{at, event};
    use crate::store::{MemoryAuditStore, OnReuse};

    async fn log_of(size: usize) -> (MemoryAuditStore, WorkspaceId) {
        let (store, workspace) = (MemoryAuditStore::default(), WorkspaceId::generate());
        let events: Vec<Event> = (0..size).map(|_| event("a")).collect();
        store
            .append(workspace, events, at(0), OnReuse::Refuse)
            .await
            .unwrap();
        (store, workspace)
    }

    async fn findings(store: &MemoryAuditStore, workspace: WorkspaceId) -> Vec<String> {
        walk(store, workspace).await.unwrap().findings
    }

    #[tokio::test]
    async fn an_honest_log_has_no_findings() {
        for size in [0, 1, 2, 7, 600, 1100] {
            let (store, workspace) = log_of(size).await;
            let report = walk(&store, workspace).await.unwrap();
            assert_eq!((report.size, report.findings), (size as u64, Vec::new()));
        }
    }

    #[tokio::test]
    async fn an_edited_leaf_is_found_where_it_is() {
        let (store, workspace) = log_of(8).await;
        store.tamper(workspace, |entries, _| {
            entries[5].event.target_id = "other".to_owned();
            entries[5].leaf = entries[5].event.leaf();
        });
        let found = findings(&store, workspace).await;
        assert_eq!(
            found[0],
            "entry 5: the stored leaf hash is not the hash of the leaf"
        );
        assert!(found.contains(&"tree, leaf 5: the stored hash is not that of the leaves".to_owned()));
        assert!(
            found.contains(&"tree, entries 0 to 7: the stored hash is not that of the leaves".to_owned())
        );
        assert_eq!(found.len(), 5);
    }

    #[tokio::test]
    async fn an_edited_leaf_with_its_hash_is_found_in_the_tree() {
        let (store, workspace) = log_of(8).await;
        store.tamper(workspace, |entries, _| {
            entries[2].event.outcome = crate::event::Outcome::Denied;
            entries[2].leaf = entries[2].event.leaf();
            entries[2].leaf_hash = leaf_hash(&entries[2].leaf);
        });
        let found = findings(&store, workspace).await;
        assert_eq!(
            found[0],
            "tree, leaf 2: the stored hash is not that of the leaves"
        );
        assert_eq!(found.len(), 4);
    }

    #[tokio::test]
    async fn an_edit_that_only_searches_see_is_found() {
        let (store, workspace) = log_of(3).await;
        store.tamper(workspace, |entries, _| {
            entries[1].event.actor_id = "eve".to_owned()
        });
        assert_eq!(
            findings(&store, workspace).await,
            ["entry 1: the event that searches see is not the one in the leaf"]
        );
    }

    #[tokio::test]
    async fn a_removed_entry_is_found_as_a_gap() {
        let (store, workspace) = log_of(9).await;
        store.tamper(workspace, |entries, _| drop(entries.remove(4)));
        assert_eq!(
            findings(&store, workspace).await[0],
            "entry 4: is missing, the next is 5"
        );
    }

    #[tokio::test]
    async fn a_cut_end_is_found() {
        let (store, workspace) = log_of(9).await;
        store.tamper(workspace, |entries, _| entries.truncate(7));
        assert_eq!(
            findings(&store, workspace).await,
            ["entry 7: is missing, the tree has a leaf for it"]
        );
    }

    #[tokio::test]
    async fn swapped_entries_are_found() {
        let (store, workspace) = log_of(4).await;
        store.tamper(workspace, |entries, _| entries.swap(1, 2));
        let found = findings(&store, workspace).await;
        assert_eq!(
            found[..2],
            ["entry 1: is missing, the next is 2", "entry 1: is out of order"]
        );
    }

    #[tokio::test]
    async fn an_inserted_copy_is_found() {
        let (store, workspace) = log_of(4).await;
        store.tamper(workspace, |entries, _| {
            let copy = Entry {
                seq: 4,
                ..entries[1].clone()
            };
            entries.push(copy);
        });
        let found = findings(&store, workspace).await;
        assert_eq!(
            found,
            ["entry 4: has the event id of entry 1", "tree, leaf 4: is missing"]
        );
    }

    #[tokio::test]
    async fn a_changed_node_of_the_tree_is_found() {
        let (store, workspace) = log_of(6).await;
        store.tamper(workspace, |_, levels| levels[2][0].0[0] ^= 1);
        assert_eq!(
            findings(&store, workspace).await,
            ["tree, entries 0 to 3: the stored hash is not that of the leaves"]
        );
    }

    #[tokio::test]
    async fn findings_are_counted_past_a_hundred() {
        let (store, workspace) = log_of(150).await;
        store.tamper(workspace, |entries, _| {
            entries
                .iter_mut()
                .for_each(|entry| entry.event.actor_id = "eve".to_owned());
        });
        let found = findings(&store, workspace).await;
        assert_eq!((found.len(), found[100].as_str()), (101, "and 50 more"));
    }
}
