//! An account that its address never agreed to. Whoever registers an address need not read its mail; what was made in the
//! account until somebody does is not to outlive the moment in which its owner takes it over.

use causeway_context::{CallContext, TokenId, UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation as Revoked};

use super::refresh::LOGOUT;
use super::revoke::DELETE_API_KEY;
use super::{AuthService, as_rpc};
use crate::domain::{TokenKind, Whose};
use crate::error::AuthError;
use crate::page::Page;
use crate::store::history::Closing;
use crate::store::recovery::Holder;

const DELETE_CLIENT: &str = "/causeway.auth.v1.ClientService/DeleteClient";
const DELETE_TOKEN: &str = "/causeway.auth.v1.AuthService/DeleteToken";
const REMOVE_TOTP: &str = "/causeway.auth.v1.MfaService/RemoveTotp";

/// What is told of each thing that goes.
const CAUSE: &str = "address_proven";

const PAGE: usize = 100;

impl AuthService {
    /// Whether nobody has shown yet to read the mail of that address.
    pub(super) async fn is_unproven(&self, holder: &Holder) -> Result<bool, AuthError> {
        Ok(self.store.email_verified_at(holder.user).await?.is_none())
    }

    /// Takes from an account what whoever registered it may have left there to come back by: the second factor, personal
    /// access tokens, API keys, OAuth clients.
    ///
    /// # Errors
    /// A part that is away. What went is gone; a second time goes on with the rest.
    pub(super) async fn reclaim(&self, ctx: &CallContext, holder: &Holder) -> Result<(), AuthError> {
        self.drop_factor(ctx, holder).await?;
        for membership in self.tenancy.memberships(&ctx.request_id, holder.user).await? {
            let workspace = membership.workspace;
            self.drop_tokens(ctx, Whose::Person(holder.user), holder.user, workspace)
                .await?;
            self.drop_tokens(ctx, Whose::Workspace, holder.user, workspace)
                .await?;
            self.drop_clients(ctx, holder.user, workspace).await?;
        }
        Ok(())
    }

    async fn drop_factor(&self, ctx: &CallContext, holder: &Holder) -> Result<(), AuthError> {
        let Some(factor) = self.store.find_factor(holder.user).await? else {
            return Ok(());
        };
        let told = |rpc| -> Result<OutboxEvent, AuthError> {
            let fact = fact(ctx, rpc, holder.home, holder.user)?;
            Ok(fact.target("account", holder.user.to_string()))
        };
        let removed = told(REMOVE_TOTP)?;
        let closing = Closing {
            keep: None,
            at: ctx.now,
            fact: told(LOGOUT)?,
        };
        let id = removed.id;
        if self.store.remove_factor(&factor, removed, Some(&closing)).await? {
            self.settle(id).await;
        }
        Ok(())
    }

    async fn drop_tokens(
        &self,
        ctx: &CallContext,
        whose: Whose,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<(), AuthError> {
        let mut after = None;
        loop {
            let page = Page { size: PAGE, after };
            let tokens = self.store.list_tokens(workspace, whose, page).await?;
            for token in tokens.iter().filter(|token| token.user == user) {
                let (rpc, kind) = match token.kind {
                    TokenKind::Personal => (DELETE_TOKEN, "token"),
                    TokenKind::Key => (DELETE_API_KEY, "api_key"),
                };
                let fact = fact(ctx, rpc, workspace, user)?.target(kind, token.id.to_string());
                let revoked = self.store.revoke_token(workspace, whose, token.id, ctx.now, fact);
                revoked.await?;
            }
            match tokens.last() {
                Some(last) if tokens.len() == PAGE => after = Some(last.id),
                _ => return Ok(()),
            }
        }
    }

    async fn drop_clients(
        &self,
        ctx: &CallContext,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<(), AuthError> {
        let mut after = None;
        loop {
            let page = Page { size: PAGE, after };
            let clients = self.store.list_clients(workspace, page).await?;
            let last = clients.last().map(|client| TokenId(client.id.0));
            let full = clients.len() == PAGE;
            for mut client in clients.into_iter().filter(|client| client.granted_by == user) {
                client.deleted_at = Some(ctx.now);
                client.secrets.clear();
                let fact = fact(ctx, DELETE_CLIENT, workspace, user)?.target("client", client.id.to_string());
                let ended = Revoked::of(Ended::Client(client.id.0), ctx.now, self.access_life);
                self.keep_client(client, Some(ended), fact).await?;
            }
            match last.filter(|_| full) {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }
}

fn fact(
    ctx: &CallContext,
    rpc: &str,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<OutboxEvent, AuthError> {
    let fact = OutboxEvent::of(&as_rpc(ctx, rpc))?;
    Ok(fact.in_workspace(workspace).by_user(user).detail("cause", CAUSE))
}
