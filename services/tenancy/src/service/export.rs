//! Exports: orders, what becomes of them, and their bytes. Making them is the work of [`ExportJob`].

mod job;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use causeway_context::CallContext;
use causeway_outbox::OutboxEvent;
use futures::Stream;
use futures::stream;
use uuid::Uuid;

use super::Tenancy;
use crate::domain::{CHUNK_BYTES, Content, EXPORT_LIFE, Export, ExportState};
use crate::error::TenancyError;
use crate::page::{self, Page, TimePlace};
use crate::refusal::Refusal;
use crate::store::StoreError;

pub(crate) use job::ExportJob;

impl Tenancy {
    /// Starts an export of the workspace of the call.
    pub(crate) async fn create_export(
        &self,
        ctx: &CallContext,
        age_recipient: Option<String>,
    ) -> Result<Export, TenancyError> {
        let workspace = ctx.workspace()?;
        self.must_exist(workspace).await?;
        let export = Export {
            id: Uuid::now_v7(),
            workspace,
            requested_by: ctx.caller.user(),
            state: ExportState::Running,
            age_recipient,
            created_at: ctx.now,
            expires_at: ctx.now + EXPORT_LIFE,
            content: Content::default(),
        };
        let fact = OutboxEvent::of(ctx)?
            .target("export", export.id.to_string())
            .detail("encrypted", export.age_recipient.is_some());
        let fact_id = fact.id;
        self.store.insert_export(&export, fact).await?;
        self.relay.delivered(fact_id).await;
        Ok(export)
    }

    /// An export of the workspace of the call.
    pub(crate) async fn export(&self, ctx: &CallContext, id: Uuid) -> Result<Export, TenancyError> {
        let found = self.store.find_export(ctx.workspace()?, id).await?;
        Ok(found.ok_or(Refusal::ExportNotFound)?)
    }

    /// The exports of the workspace of the call.
    pub(crate) async fn exports(
        &self,
        ctx: &CallContext,
        page: &Page<TimePlace>,
    ) -> Result<(Vec<Export>, String), TenancyError> {
        let workspace = ctx.workspace()?;
        let mut exports = self
            .store
            .list_exports(workspace, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut exports, page.size, Export::place);
        Ok((exports, next))
    }

    /// The bytes of an export from `offset` on. That somebody fetches them is in the outbox before the first one leaves.
    pub(crate) async fn download_export(
        &self,
        ctx: &CallContext,
        id: Uuid,
        offset: u64,
    ) -> Result<
        (
            Export,
            impl Stream<Item = Result<Bytes, TenancyError>> + Send + use<>,
        ),
        TenancyError,
    > {
        let export = self.export(ctx, id).await?;
        if export.state != ExportState::Ready || export.expires_at <= ctx.now {
            return Err(Refusal::ExportNotReady.into());
        }
        if offset >= export.content.size_bytes {
            return Err(Refusal::PastTheEnd(export.content.size_bytes).into());
        }
        let fact = OutboxEvent::of(ctx)?
            .target("export", id.to_string())
            .detail("offset", offset);
        self.store.record(fact).await?;
        let store = Arc::clone(&self.store);
        let (workspace, end) = (export.workspace, export.content.size_bytes);
        let pieces = stream::try_unfold(offset, move |offset| {
            let store = Arc::clone(&store);
            async move {
                if offset >= end {
                    return Ok(None);
                }
                let (number, skip) = place(offset)?;
                let chunk = store.read_chunk(workspace, id, number).await?;
                // Its time may have ended meanwhile.
                let chunk = Bytes::from(chunk.ok_or(Refusal::ExportNotReady)?);
                if skip >= chunk.len() {
                    return Err(StoreError::Corrupt("an export is shorter than it should be".into()).into());
                }
                let piece = chunk.slice(skip..);
                let next = offset + u64::try_from(piece.len()).unwrap_or(u64::MAX);
                Ok(Some((piece, next)))
            }
        });
        Ok((export, pieces))
    }
}

/// In which chunk a byte lies, and where in it.
fn place(offset: u64) -> Result<(u32, usize), TenancyError> {
    let size = CHUNK_BYTES as u64;
    let number = u32::try_from(offset / size).map_err(|error| StoreError::Corrupt(error.into()))?;
    let skip = usize::try_from(offset % size).map_err(|error| StoreError::Corrupt(error.into()))?;
    Ok((number, skip))
}

#[cfg(test)]
mod tests;
