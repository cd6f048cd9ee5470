//! Sealing for other services: a data key never leaves this one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use causeway_context::{CallContext, WorkspaceId};
use causeway_crypto::{Associated, key_version_of, open, seal};
use zeroize::Zeroizing;

use super::Tenancy;
use crate::domain::Ring;
use crate::error::TenancyError;
use crate::keys::UsableKey;
use crate::refusal::Refusal;

/// To what a field belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The table with its schema, which is the calling service's.
    pub table: String,
    /// The column.
    pub column: String,
    /// The row's key.
    pub row: String,
    /// How often the row was written.
    pub version: u32,
    /// What the value is for.
    pub purpose: String,
}

impl Place {
    fn associated(&self, workspace: WorkspaceId) -> Associated<'_> {
        Associated {
            workspace: workspace.0,
            table: &self.table,
            column: &self.column,
            row: &self.row,
            version: self.version,
            purpose: &self.purpose,
        }
    }
}

/// A value or an envelope, and to what it belongs.
pub(crate) struct Field {
    /// To what it belongs.
    pub place: Place,
    /// What is to be sealed or opened.
    pub content: Zeroizing<Vec<u8>>,
}

/// A sealed field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedField {
    /// The envelope.
    pub sealed: Vec<u8>,
    /// The version of the data key.
    pub key_version: u32,
}

impl Tenancy {
    /// Seals the fields of the calling service under the newest data key of the workspace.
    pub(crate) async fn seal_fields(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
        fields: &[Field],
    ) -> Result<Vec<SealedField>, TenancyError> {
        own_tables(ctx, fields)?;
        let newest = self.keys.active(workspace, Ring::Data, ctx.now).await?;
        let mut sealed = Vec::with_capacity(fields.len());
        for field in fields {
            let place = field.place.associated(workspace);
            sealed.push(SealedField {
                sealed: seal(&newest.key, newest.version, &field.content, &place)?,
                key_version: newest.version,
            });
        }
        Ok(sealed)
    }

    /// Opens the fields of the calling service; nothing in place of those that do not open, whatever the cause. A key
    /// that cannot be had right now is an error: it says nothing about the field.
    pub(crate) async fn open_fields(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
        fields: &[Field],
    ) -> Result<Vec<Option<Zeroizing<Vec<u8>>>>, TenancyError> {
        own_tables(ctx, fields)?;
        let (mut keys, mut opened) = (BTreeMap::new(), Vec::with_capacity(fields.len()));
        for field in fields {
            let Ok(version) = key_version_of(&field.content) else {
                opened.push(None);
                continue;
            };
            let key = match keys.entry(version) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.readable(workspace, version).await?),
            };
            let place = field.place.associated(workspace);
            opened.push(
                key.as_ref()
                    .and_then(|key| open(&key.key, &field.content, &place).ok()),
            );
        }
        Ok(opened)
    }

    async fn readable(
        &self,
        workspace: WorkspaceId,
        version: u32,
    ) -> Result<Option<UsableKey>, TenancyError> {
        match self.keys.version(workspace, Ring::Data, version).await {
            Ok(key) => Ok(Some(key)),
            Err(TenancyError::NoSuchKey(_) | TenancyError::KeyDestroyed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A service may use what is its own and nothing else: the schema bears its name.
fn own_tables(ctx: &CallContext, fields: &[Field]) -> Result<(), Refusal> {
    let service = ctx.caller.id.as_str();
    let foreign = fields.iter().position(|field| {
        let schema = field.place.table.split_once('.').map(|(schema, _)| schema);
        service.is_empty() || schema != Some(service)
    });
    foreign.map_or(Ok(()), |index| Err(Refusal::ForeignTable(index)))
}

#[cfg(test)]
mod tests;
