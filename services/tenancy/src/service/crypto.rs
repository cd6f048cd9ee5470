//! Envelopes for others: bytes are sealed and opened here and kept elsewhere.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_context::{CallContext, WorkspaceId};
use causeway_crypto::{Associated, CryptoError, key_version_of, open, seal};
use causeway_outbox::OutboxEvent;
use zeroize::Zeroizing;

use super::Tenancy;
use crate::domain::Ring;
use crate::error::TenancyError;
use crate::keys::UsableKey;
use crate::refusal::Refusal;

/// Bytes, and to what they belong. Has no `Debug`: they may be what is to be sealed.
pub(crate) struct Item {
    /// What is to be sealed or opened.
    pub content: Zeroizing<Vec<u8>>,
    /// The caller's context.
    pub context: Vec<u8>,
}

/// An item that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedItem {
    /// The envelope.
    pub content: Vec<u8>,
    /// The version of the data key.
    pub key_version: u32,
}

/// An item that was opened. Has no `Debug`: it holds what was sealed.
pub(crate) struct OpenedItem {
    /// What was sealed.
    pub content: Zeroizing<Vec<u8>>,
    /// The version of the data key.
    pub key_version: u32,
}

impl Tenancy {
    /// Seals the items under the newest transit key of the workspace of the call.
    pub(crate) async fn encrypt(
        &self,
        ctx: &CallContext,
        items: &[Item],
    ) -> Result<Vec<SealedItem>, TenancyError> {
        let workspace = ctx.workspace()?;
        let newest = self.keys.active(workspace, Ring::Transit, ctx.now).await?;
        let sealed = items
            .iter()
            .map(|item| sealed(workspace, &newest, &item.content, &item.context));
        let sealed: Vec<SealedItem> = sealed.collect::<Result<_, CryptoError>>()?;
        self.note(ctx, sealed.iter().map(|item| item.key_version)).await?;
        Ok(sealed)
    }

    /// Opens all items, or none and says which does not open. Nothing is shown before the fact is kept.
    pub(crate) async fn decrypt(
        &self,
        ctx: &CallContext,
        items: &[Item],
    ) -> Result<Vec<OpenedItem>, TenancyError> {
        let opened = self.opened_items(ctx.workspace()?, items).await?;
        self.note(ctx, opened.iter().map(|item| item.key_version)).await?;
        Ok(opened)
    }

    /// Seals the items, which are sealed already, under the newest transit key. Nobody sees what they hold.
    pub(crate) async fn rewrap(
        &self,
        ctx: &CallContext,
        items: &[Item],
    ) -> Result<Vec<SealedItem>, TenancyError> {
        let workspace = ctx.workspace()?;
        let opened = self.opened_items(workspace, items).await?;
        let newest = self.keys.active(workspace, Ring::Transit, ctx.now).await?;
        let anew = opened
            .iter()
            .zip(items)
            .map(|(opened, item)| sealed(workspace, &newest, &opened.content, &item.context));
        let anew: Vec<SealedItem> = anew.collect::<Result<_, CryptoError>>()?;
        self.note(ctx, anew.iter().map(|item| item.key_version)).await?;
        Ok(anew)
    }

    async fn opened_items(
        &self,
        workspace: WorkspaceId,
        items: &[Item],
    ) -> Result<Vec<OpenedItem>, TenancyError> {
        let (mut keys, mut opened) = (BTreeMap::new(), Vec::with_capacity(items.len()));
        for (index, item) in items.iter().enumerate() {
            let failed = |_| Refusal::DecryptionFailed(index);
            let version = key_version_of(&item.content).map_err(failed)?;
            let key = match keys.entry(version) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.key_of(workspace, version, index).await?),
            };
            let content = with_place(workspace, &item.context, |place| {
                open(&key.key, &item.content, place)
            });
            opened.push(OpenedItem {
                content: content.map_err(failed)?,
                key_version: version,
            });
        }
        Ok(opened)
    }

    async fn key_of(
        &self,
        workspace: WorkspaceId,
        version: u32,
        index: usize,
    ) -> Result<UsableKey, TenancyError> {
        match self.keys.version(workspace, Ring::Transit, version).await {
            Err(TenancyError::NoSuchKey(_) | TenancyError::KeyDestroyed(_)) => {
                Err(Refusal::DecryptionFailed(index).into())
            }
            answer => answer,
        }
    }

    /// Keeps the fact that items under those versions were sealed or opened.
    async fn note(
        &self,
        ctx: &CallContext,
        versions: impl ExactSizeIterator<Item = u32>,
    ) -> Result<(), TenancyError> {
        let items = versions.len();
        let versions: Vec<u32> = versions.collect::<BTreeSet<_>>().into_iter().collect();
        let fact = OutboxEvent::of(ctx)?
            .target("workspace", ctx.workspace()?.to_string())
            .detail("items", items)
            .detail("key_versions", versions);
        let fact_id = fact.id;
        self.store.record(fact).await?;
        self.relay.delivered(fact_id).await;
        Ok(())
    }
}

fn sealed(
    workspace: WorkspaceId,
    newest: &UsableKey,
    content: &[u8],
    context: &[u8],
) -> Result<SealedItem, CryptoError> {
    let content = with_place(workspace, context, |place| {
        seal(&newest.key, newest.version, content, place)
    })?;
    Ok(SealedItem {
        content,
        key_version: newest.version,
    })
}

/// Calls `crypt` with the place to which a caller's bytes belong. What lies outside can never be sealed again for
/// another place: none of this may change. The context has one spelling here, whatever its spelling in the request was.
fn with_place<T>(workspace: WorkspaceId, context: &[u8], crypt: impl FnOnce(&Associated<'_>) -> T) -> T {
    let row = format!("context:{}", STANDARD.encode(context));
    crypt(&Associated {
        workspace: workspace.0,
        table: "tenancy.crypto",
        column: "ciphertext",
        row: &row,
        version: 1,
        purpose: "caller's data",
    })
}

#[cfg(test)]
mod tests;
