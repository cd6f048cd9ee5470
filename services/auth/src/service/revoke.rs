//! Revocation (RFC 7009).

use causeway_context::{CallContext, Caller, WorkspaceId};
use causeway_crypto::AccessClaims;
use causeway_outbox::OutboxEvent;
use chrono::DateTime;
use secrecy::{ExposeSecret as _, SecretString};

use super::introspect::{Presented, TokenType};
use super::refresh::LOGOUT;
use super::token_endpoint::ClientCredentials;
use super::verified::VerifiedClient;
use super::{AuthService, as_rpc};
use crate::domain::{PersonalToken, Revocation, Session, TokenKind, Whose};
use crate::error::AuthError;
use crate::oauth::OauthError;
use crate::store::RevokedAccess;

/// The RPC under whose audit action the end of an API key is recorded.
pub(super) const DELETE_API_KEY: &str = "/causeway.auth.v1.ClientService/DeleteApiKey";
/// What a person must hold to end a client's token.
const PERMISSION: &str = "clients.write";

/// A token to revoke.
pub(crate) struct RevokeRequest {
    /// The token.
    pub(crate) token: SecretString,
    /// The client that asks.
    pub(crate) client: ClientCredentials,
}

/// Why a token ends.
#[derive(Clone, Copy)]
pub(super) enum Because<'a> {
    /// Its holder says so.
    Revoked,
    /// It was found there.
    Leaked(&'a str),
}

impl AuthService {
    /// Revokes a token. One that is unknown or ended is no error (REV-01). Whoever holds a person's token or a key may
    /// end it, for it could do worse; the token of a client is ended by that client, or by who manages clients.
    ///
    /// # Errors
    /// [`AuthError::Oauth`] for a wrong client, or a part that is away.
    pub(crate) async fn revoke(&self, ctx: &CallContext, request: RevokeRequest) -> Result<(), AuthError> {
        let client = self.client_shown(ctx, &request.client).await?;
        if client.is_some() && !ctx.caller.is_anonymous() {
            return Err(OauthError::InvalidRequest("give one credential").into());
        }
        if request.token.expose_secret().is_empty() {
            return Err(OauthError::InvalidRequest("token is missing").into());
        }
        let Some(presented) = self.presented(ctx, &request.token).await? else {
            return Ok(());
        };
        allowed(&ctx.caller, client.as_deref(), &presented)?;
        self.end(ctx, presented, Because::Revoked).await.map(drop)
    }

    /// Ends what was presented; answers whether it was in force until now.
    pub(super) async fn end(
        &self,
        ctx: &CallContext,
        presented: Presented,
        because: Because<'_>,
    ) -> Result<bool, AuthError> {
        match presented {
            Presented::Refresh(found) => {
                self.end_session(ctx, &found.session, TokenType::Refresh, because)
                    .await
            }
            Presented::OfSession(_, session) => {
                self.end_session(ctx, &session, TokenType::Access, because).await
            }
            Presented::Opaque(token) => self.end_opaque(ctx, &token, because).await,
            Presented::OfMachine(claims, workspace) => {
                let fact = told(OutboxEvent::of(ctx)?, TokenType::Access, because)
                    .in_workspace(workspace)
                    .target("access_token", claims.jti.clone());
                self.end_access_token(ctx, claims, workspace, fact).await
            }
        }
    }

    async fn end_session(
        &self,
        ctx: &CallContext,
        session: &Session,
        kind: TokenType,
        because: Because<'_>,
    ) -> Result<bool, AuthError> {
        let ctx = match because {
            Because::Revoked => as_rpc(ctx, LOGOUT),
            Because::Leaked(_) => ctx.clone(),
        };
        let fact = told(OutboxEvent::of(&ctx)?, kind, because)
            .in_workspace(session.workspace)
            .by_user(session.user)
            .target("session", session.id.to_string());
        let id = fact.id;
        let ended = self.store.close_session(session.id, ctx.now, fact).await?;
        if ended {
            self.settle(id).await;
        }
        Ok(ended)
    }

    async fn end_opaque(
        &self,
        ctx: &CallContext,
        token: &PersonalToken,
        because: Because<'_>,
    ) -> Result<bool, AuthError> {
        let (whose, target) = match token.kind {
            TokenKind::Personal => (Whose::Person(token.user), "token"),
            TokenKind::Key => (Whose::Workspace, "api_key"),
        };
        let ctx = match (token.kind, because) {
            (TokenKind::Key, Because::Revoked) => as_rpc(ctx, DELETE_API_KEY),
            _ => ctx.clone(),
        };
        let fact = told(OutboxEvent::of(&ctx)?, token.kind.into(), because)
            .in_workspace(token.workspace)
            .by_user(token.user)
            .target(target, token.id.to_string());
        let id = fact.id;
        let revoked = self
            .store
            .revoke_token(token.workspace, whose, token.id, ctx.now, fact)
            .await?;
        let ended = revoked == Revocation::Done;
        if ended {
            self.settle(id).await;
        }
        Ok(ended)
    }

    async fn end_access_token(
        &self,
        ctx: &CallContext,
        claims: AccessClaims,
        workspace: WorkspaceId,
        fact: OutboxEvent,
    ) -> Result<bool, AuthError> {
        let id = fact.id;
        let revoked = RevokedAccess {
            workspace,
            jti: claims.jti,
            credential: claims.client_id.unwrap_or_default(),
            expires_at: DateTime::from_timestamp(claims.exp, 0).unwrap_or(ctx.now),
        };
        let ended = self.store.revoke_access_token(&revoked, ctx.now, fact).await?;
        if ended {
            self.settle(id).await;
        }
        Ok(ended)
    }
}

pub(super) fn told(fact: OutboxEvent, kind: TokenType, because: Because<'_>) -> OutboxEvent {
    let fact = fact.detail("kind", kind.as_str());
    match because {
        Because::Revoked => fact.detail("cause", "revoked"),
        Because::Leaked("") => fact.detail("cause", "leaked"),
        Because::Leaked(place) => fact.detail("cause", "leaked").detail("found_at", place),
    }
}

fn allowed(
    caller: &Caller,
    client: Option<&VerifiedClient>,
    presented: &Presented,
) -> Result<(), OauthError> {
    let asker = client.map(|client| client.workspace).or(caller.workspace);
    if asker.is_some_and(|workspace| workspace != presented.workspace()) {
        return Err(OauthError::UnauthorizedClient);
    }
    let Presented::OfMachine(claims, _) = presented else {
        return Ok(());
    };
    // A token that hangs on an opaque one belongs to whoever holds it, as that one does.
    let owner = claims
        .client_id
        .as_deref()
        .filter(|credential| credential.starts_with("cw_client_"));
    let manages = caller.holds(PERMISSION);
    match (owner, client) {
        (None, _) => Ok(()),
        (Some(_), None) if manages => Ok(()),
        (Some(_), None) => Err(OauthError::InvalidClient),
        (Some(owner), Some(client)) if client.id.to_string() == owner => Ok(()),
        (Some(_), Some(_)) => Err(OauthError::UnauthorizedClient),
    }
}
