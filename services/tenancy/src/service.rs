//! The use cases.

mod crypto;
mod erasure;
mod export;
mod fields;
mod members;
mod modes;
mod roles;
mod rotation;
mod secrets;
mod settings;

use std::sync::Arc;

use causeway_context::{CallContext, RateTier, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, Role};
use causeway_crypto::KeyProvider;
use causeway_outbox::{OutboxEvent, RelayHandle};

use crate::domain::{Belonging, Member, Membership, Workspace, WorkspaceName};
use crate::error::TenancyError;
use crate::keys::DataKeys;
use crate::page::{self, Page, TimePlace};
use crate::store::{StoreError, TenancyStore};

pub use erasure::Lifecycle;
pub(crate) use erasure::{ErasureJob, MeshAddresses, OwnData, background_fact};
pub(crate) use export::ExportJob;

pub(crate) use crypto::{Item, OpenedItem, SealedItem};
pub(crate) use fields::{Field, Place as FieldPlace, SealedField};
pub use modes::Modes;
pub(crate) use rotation::Rotations;
pub(crate) use secrets::with_place;

const ALL: usize = 1000;
/// How often a write is tried again when others write the same row.
const ATTEMPTS: usize = 16;

/// What is true of every workspace of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The region this process serves, the home of workspaces made here.
    pub region: String,
    /// The rate tier of every workspace, in place of its own.
    pub rate_tier: Option<RateTier>,
    /// Whether new workspaces are filled with demonstration data.
    pub demo: bool,
    /// Which tenants there are, and who decides about them.
    pub modes: Modes,
}

/// The state of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantStatus {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its home region.
    pub region: String,
    /// Whether this is a demonstration.
    pub demo: bool,
    /// The rate tier that counts.
    pub rate_tier: RateTier,
}

/// Workspaces, members and secrets.
pub(crate) struct Tenancy {
    store: Arc<dyn TenancyStore>,
    keys: Arc<DataKeys>,
    relay: RelayHandle,
    rotations: Rotations,
    defaults: Defaults,
    lifecycle: Lifecycle,
}

impl Tenancy {
    /// The use cases over a store, with the keys that wrap data keys.
    pub(crate) fn new(
        store: Arc<dyn TenancyStore>,
        provider: Arc<dyn KeyProvider>,
        relay: RelayHandle,
        defaults: Defaults,
    ) -> Self {
        let keys = Arc::new(DataKeys::new(Arc::clone(&store), provider));
        Self {
            store,
            keys,
            rotations: Rotations::of(relay.clone()),
            relay,
            defaults,
            lifecycle: Lifecycle::default(),
        }
    }

    /// The data keys, for whoever works on them beside the calls.
    pub(crate) fn data_keys(&self) -> Arc<DataKeys> {
        Arc::clone(&self.keys)
    }

    /// The same with rotations that are worked on beside the calls, and a relay for facts about keys.
    #[must_use]
    pub(crate) fn rotating(mut self, rotations: Rotations) -> Self {
        self.rotations = rotations;
        self
    }

    /// The same with other times of grace and of backups.
    #[must_use]
    pub(crate) fn with_lifecycle(mut self, lifecycle: Lifecycle) -> Self {
        self.lifecycle = lifecycle;
        self
    }

    /// Makes a workspace that the calling person owns.
    pub(crate) async fn create_workspace(
        &self,
        ctx: &CallContext,
        name: WorkspaceName,
    ) -> Result<Workspace, TenancyError> {
        self.may_have_more_than_one()?;
        let (workspace, owner) = self.first_of(ctx, WorkspaceId::generate(), name, ctx.user()?);
        let fact = fact_of_creation(ctx, &workspace)?;
        self.create(&workspace, &owner, fact).await?;
        Ok(workspace)
    }

    /// Makes the workspace with that id. A repeat answers the same workspace and changes nothing.
    pub(crate) async fn provision_workspace(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
        name: WorkspaceName,
        owner: UserId,
    ) -> Result<Workspace, TenancyError> {
        if self.defaults.modes.single_tenant {
            return self.join_only_workspace(ctx, owner).await;
        }
        let (workspace, owner) = self.first_of(ctx, id, name, owner);
        let fact = fact_of_creation(ctx, &workspace)?.by_user(owner.user);
        match self.create(&workspace, &owner, fact).await {
            Ok(()) => Ok(workspace),
            Err(TenancyError::Store(StoreError::Conflict)) => self.provisioned(id, owner.user).await,
            Err(error) => Err(error),
        }
    }

    async fn provisioned(&self, id: WorkspaceId, owner: UserId) -> Result<Workspace, TenancyError> {
        let member = self.store.find_member(id, owner).await?;
        if member.is_none_or(|member| member.role != Role::Owner) {
            return Err(TenancyError::WorkspaceExists);
        }
        self.store
            .find_workspace(id)
            .await?
            .ok_or(TenancyError::WorkspaceExists)
    }

    fn first_of(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
        name: WorkspaceName,
        user: UserId,
    ) -> (Workspace, Member) {
        let region = self.defaults.region.clone();
        let workspace = Workspace {
            id,
            name,
            region,
            created_at: ctx.now,
            updated_at: ctx.now,
        };
        (
            workspace,
            Member {
                workspace: id,
                user,
                role: Role::Owner.into(),
                joined_at: ctx.now,
            },
        )
    }

    async fn create(
        &self,
        workspace: &Workspace,
        owner: &Member,
        fact: OutboxEvent,
    ) -> Result<(), TenancyError> {
        let fact_id = fact.id;
        self.store.create_workspace(workspace, owner, fact).await?;
        self.relay.delivered(fact_id).await;
        Ok(())
    }

    /// All workspaces of a person, oldest first.
    pub(crate) async fn memberships(&self, user: UserId) -> Result<Vec<Membership>, TenancyError> {
        if self.defaults.modes.single_tenant {
            return self.only_membership(user).await;
        }
        let mut all: Vec<Membership> = Vec::new();
        loop {
            let page = Page {
                size: ALL,
                after: all.last().map(Membership::place),
            };
            let more = self.store.list_memberships(user, &page).await?;
            let last = more.len() < ALL;
            all.extend(more);
            if last {
                return Ok(all);
            }
        }
    }

    /// What each person is in the workspace beside, in their order. With a single tenant nobody belongs to another.
    pub(crate) async fn belongings(
        &self,
        places: &[(WorkspaceId, UserId)],
    ) -> Result<Vec<Option<Belonging>>, TenancyError> {
        let mut found = self.store.find_belongings(places).await?;
        if self.defaults.modes.single_tenant {
            for (place, one) in places.iter().zip(&mut found) {
                one.take_if(|_| place.0 != WorkspaceId::DEFAULT);
            }
        }
        Ok(found)
    }

    /// The caller's workspaces. A person sees all of them; a token or a client only the one it was made for.
    pub(crate) async fn workspaces(
        &self,
        ctx: &CallContext,
        page: &Page<TimePlace>,
    ) -> Result<(Vec<Workspace>, String), TenancyError> {
        if ctx.caller.kind != CallerKind::User || self.defaults.modes.single_tenant {
            let only = self.own_workspace(ctx).await?;
            return Ok((vec![only], String::new()));
        }
        let mut memberships = self
            .store
            .list_memberships(ctx.user()?, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut memberships, page.size, Membership::place);
        Ok((
            memberships
                .into_iter()
                .map(|membership| membership.workspace)
                .collect(),
            next,
        ))
    }

    /// The workspace of the call, if that is the one with this id.
    pub(crate) async fn workspace(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
    ) -> Result<Workspace, TenancyError> {
        known(ctx, id)?;
        self.own_workspace(ctx).await
    }

    async fn own_workspace(&self, ctx: &CallContext) -> Result<Workspace, TenancyError> {
        self.store
            .find_workspace(ctx.workspace()?)
            .await?
            .ok_or(TenancyError::WorkspaceNotFound)
    }

    /// Gives the workspace of the call another name, if that is the one with this id.
    pub(crate) async fn rename_workspace(
        &self,
        ctx: &CallContext,
        id: WorkspaceId,
        name: &WorkspaceName,
    ) -> Result<Workspace, TenancyError> {
        known(ctx, id)?;
        let fact = OutboxEvent::of(ctx)?
            .target("workspace", id.to_string())
            .detail("field", "name");
        let fact_id = fact.id;
        let renamed = self.store.rename_workspace(id, name, ctx.now, fact).await?;
        let renamed = renamed.ok_or(TenancyError::WorkspaceNotFound)?;
        self.relay.delivered(fact_id).await;
        Ok(renamed)
    }

    /// The members of the workspace of the call.
    pub(crate) async fn members(
        &self,
        ctx: &CallContext,
        page: &Page<TimePlace>,
    ) -> Result<(Vec<Member>, String), TenancyError> {
        let mut members = self
            .store
            .list_members(ctx.workspace()?, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut members, page.size, Member::place);
        Ok((members, next))
    }
}

/// The workspace of the call is the only one that its caller may know of.
fn known(ctx: &CallContext, id: WorkspaceId) -> Result<(), TenancyError> {
    if ctx.workspace()? == id {
        Ok(())
    } else {
        Err(TenancyError::WorkspaceNotFound)
    }
}

fn fact_of_creation(ctx: &CallContext, workspace: &Workspace) -> Result<OutboxEvent, TenancyError> {
    let fact = OutboxEvent::of(ctx)?
        .in_workspace(workspace.id)
        .target("workspace", workspace.id.to_string());
    Ok(fact.detail("region", workspace.region.as_str()))
}

#[cfg(test)]
pub(crate) mod tests;
