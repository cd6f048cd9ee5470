//! The use cases of the log.

use std::sync::Arc;

use causeway_context::{CallContext, WorkspaceId};
use causeway_errors::ApiError;
use serde_json::{Map, Value};

use crate::event::{Event, all_within_bounds};
use crate::merkle::{Hash, Node, Plan};
use crate::store::{AuditStore, Entry, Filter, OnReuse};
use crate::verify::{self, Report};

/// The logs of all workspaces.
#[derive(Clone)]
pub struct AuditLog {
    store: Arc<dyn AuditStore>,
}

/// Where a page of a search starts, and where the search ends: the log as it was when the search began. Without the
/// end a search of small pages would never finish, because reading a page appends to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The first sequence number of the page.
    pub next: u64,
    /// The size of the log when the search began.
    pub end: u64,
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// By sequence.
    pub entries: Vec<Entry>,
    /// Where the next page starts, if there is one.
    pub next: Option<Cursor>,
}

/// A proof that an entry is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The size of the log.
    pub size: u64,
    /// The hash of the entry's leaf.
    pub leaf_hash: Hash,
    /// The root at that size.
    pub root: Hash,
    /// From the leaf up.
    pub proof: Vec<Hash>,
}

/// A proof that a log is the beginning of a larger one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The larger size.
    pub to: u64,
    /// The root at the smaller size.
    pub from_root: Hash,
    /// The root at the larger size.
    pub to_root: Hash,
    /// As in RFC 6962.
    pub proof: Vec<Hash>,
}

impl AuditLog {
    /// The logs in that store.
    pub fn new(store: Arc<dyn AuditStore>) -> Self {
        Self { store }
    }

    /// Whether the store answers.
    pub async fn ready(&self) -> bool {
        self.store.size(WorkspaceId(uuid::Uuid::nil())).await.is_ok()
    }

    /// Appends events of the workspace's own product; all of them or nothing. A repeat answers where the first is.
    ///
    /// # Errors
    /// A violation per field that is out of bounds; `EVENT_ID_REUSED` for an id with other content.
    pub async fn append(&self, ctx: &CallContext, events: Vec<Event>) -> Result<Vec<u64>, ApiError> {
        let events = all_within_bounds(events)?;
        Ok(self
            .store
            .append(ctx.workspace()?, events, ctx.now, OnReuse::Refuse)
            .await?)
    }

    /// Appends the outbox rows of a service, each to the log of its workspace, in order. No row can block those
    /// behind it: what is in the log already stays as it is, and details that are too large are replaced.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the store does not answer; the rows may then be sent again.
    pub async fn relay(&self, ctx: &CallContext, rows: Vec<(WorkspaceId, Event)>) -> Result<(), ApiError> {
        let mut batches: Vec<(WorkspaceId, Vec<Event>)> = Vec::new();
        for (workspace, event) in rows {
            let event = event.with_bounded_details();
            match batches.iter_mut().find(|(of, _)| *of == workspace) {
                Some((_, batch)) => batch.push(event),
                None => batches.push((workspace, vec![event])),
            }
        }
        for (workspace, batch) in batches {
            self.store
                .append(workspace, batch, ctx.now, OnReuse::KeepFirst)
                .await?;
        }
        Ok(())
    }

    /// A page of a search, which is then itself an entry. The page does not hold its own reading.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the reading cannot be written down: then nothing is answered.
    pub async fn list(
        &self,
        ctx: &CallContext,
        filter: &Filter,
        cursor: Option<Cursor>,
        page_size: usize,
    ) -> Result<Page, ApiError> {
        let workspace = ctx.workspace()?;
        let size = self.store.size(workspace).await?;
        let Cursor { next, end } = cursor.unwrap_or(Cursor { next: 0, end: size });
        let end = end.min(size);
        let mut entries = self
            .store
            .search(workspace, next..end, filter, page_size + 1)
            .await?;
        let more = entries.len() > page_size;
        entries.truncate(page_size);
        let last = entries.last().map(|entry| entry.seq);
        let next = last.filter(|_| more).map(|last| Cursor { next: last + 1, end });
        let mut details = Map::from_iter([("entries".to_owned(), Value::from(entries.len()))]);
        details.extend(
            entries
                .first()
                .map(|entry| ("first_seq".to_owned(), entry.seq.into())),
        );
        details.extend(last.map(|last| ("last_seq".to_owned(), last.into())));
        self.write_down(ctx, workspace, details).await?;
        Ok(Page { entries, next })
    }

    /// One entry; its reading is then itself an entry.
    ///
    /// # Errors
    /// `EVENT_NOT_FOUND` when the log has no such entry.
    pub async fn get(&self, ctx: &CallContext, seq: u64) -> Result<Entry, ApiError> {
        let workspace = ctx.workspace()?;
        let entry = self.store.find(workspace, seq).await?;
        let entry =
            entry.ok_or_else(|| ApiError::not_found("EVENT_NOT_FOUND", "the log has no such entry"))?;
        self.write_down(ctx, workspace, Map::from_iter([("seq".to_owned(), seq.into())]))
            .await?;
        Ok(entry)
    }

    async fn write_down(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
        details: Map<String, Value>,
    ) -> Result<(), ApiError> {
        let event = Event::reading(ctx, workspace, details);
        self.store
            .append(workspace, vec![event], ctx.now, OnReuse::Refuse)
            .await?;
        Ok(())
    }

    /// The size of the log and its root.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the store does not answer, as for all that follow.
    pub async fn root(&self, ctx: &CallContext) -> Result<(u64, Hash), ApiError> {
        let workspace = ctx.workspace()?;
        let size = self.store.size(workspace).await?;
        Ok((size, self.root_at(workspace, size).await?))
    }

    /// The proof that entry `seq` is in the log of the first `size` entries; of all when `size` is nothing.
    ///
    /// # Errors
    /// A violation on `size` or `seq` when the log is not that long.
    pub async fn inclusion(
        &self,
        ctx: &CallContext,
        seq: u64,
        size: Option<u64>,
    ) -> Result<Inclusion, ApiError> {
        let workspace = ctx.workspace()?;
        let size = self.existing_size(workspace, "size", size).await?;
        let plan = Plan::inclusion(seq, size).map_err(|_| {
            ApiError::invalid("seq", format!("must be less than the size of the log, {size}"))
        })?;
        let leaf_hash = self
            .store
            .nodes(workspace, &[Node { level: 0, index: seq }])
            .await?;
        Ok(Inclusion {
            size,
            leaf_hash: *leaf_hash.first().ok_or_else(ApiError::internal)?,
            root: self.root_at(workspace, size).await?,
            proof: self.fold(workspace, &plan).await?,
        })
    }

    /// The proof that the log of `from` entries is the beginning of the log of `to`; of all when `to` is nothing.
    ///
    /// # Errors
    /// A violation on `to` or `from` when the log is not that long.
    pub async fn consistency(
        &self,
        ctx: &CallContext,
        from: u64,
        to: Option<u64>,
    ) -> Result<Consistency, ApiError> {
        let workspace = ctx.workspace()?;
        let to = self.existing_size(workspace, "to", to).await?;
        let plan = Plan::consistency(from, to)
            .map_err(|_| ApiError::invalid("from", format!("must be at most the larger size, {to}")))?;
        Ok(Consistency {
            to,
            from_root: self.root_at(workspace, from).await?,
            to_root: self.root_at(workspace, to).await?,
            proof: self.fold(workspace, &plan).await?,
        })
    }

    /// Walks the stored log and says what is wrong and where.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the store does not answer; damage is a finding.
    pub async fn verify(&self, ctx: &CallContext) -> Result<Report, ApiError> {
        let report = verify::walk(self.store.as_ref(), ctx.workspace()?).await?;
        if !report.findings.is_empty() {
            tracing::error!(
                findings = report.findings.len(),
                first = report.findings[0],
                "audit log is damaged"
            );
        }
        Ok(report)
    }

    async fn existing_size(
        &self,
        workspace: WorkspaceId,
        field: &str,
        asked: Option<u64>,
    ) -> Result<u64, ApiError> {
        let present = self.store.size(workspace).await?;
        match asked {
            Some(asked) if asked > present => Err(ApiError::invalid(
                field,
                format!("must be at most the size of the log, {present}"),
            )),
            Some(asked) => Ok(asked),
            None => Ok(present),
        }
    }

    async fn root_at(&self, workspace: WorkspaceId, size: u64) -> Result<Hash, ApiError> {
        let root = self.fold(workspace, &Plan::root(size)).await?;
        root.first().copied().ok_or_else(ApiError::internal)
    }

    async fn fold(&self, workspace: WorkspaceId, plan: &Plan) -> Result<Vec<Hash>, ApiError> {
        let nodes: Vec<_> = plan.nodes().collect();
        let hashes = self.store.nodes(workspace, &nodes).await?;
        plan.fold(&hashes).ok_or_else(ApiError::internal)
    }
}
