//! API keys: opaque tokens of a workspace, for programs.

use causeway_context::{CallContext, TokenId};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use secrecy::ExposeSecret as _;

use super::tokens::{CreateTokenRequest, CreatedToken};
use super::{AuthService, Fields};
use crate::domain::{PersonalToken, Revocation, TokenKind, Whose};
use crate::error::AuthError;

impl AuthService {
    /// Makes an API key of the workspace of the call.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], a caller who is no person, or a store that is away.
    pub(crate) async fn create_api_key(
        &self,
        ctx: &CallContext,
        request: CreateTokenRequest,
    ) -> Result<CreatedToken, AuthError> {
        let (workspace, user) = (ctx.workspace()?, ctx.user()?);
        if request.scopes.is_empty() {
            let mut fields = Fields::default();
            fields.wrong("scopes", "must name at least one permission");
            return Err(fields.into_error());
        }
        let (name, scopes, expires_at) = request.check(ctx)?;
        let minted = token::mint(token::API_KEY);
        let key = PersonalToken {
            kind: TokenKind::Key,
            id: TokenId::generate(),
            workspace,
            user,
            name,
            scopes: scopes.0,
            created_at: ctx.now,
            expires_at,
            last_used_at: None,
            revoked_at: None,
            last_four: minted.last_four,
        };
        let fact = OutboxEvent::of(ctx)?
            .target("api_key", key.id.to_string())
            .detail("scopes", key.scopes.clone())
            .detail("expires_at", expires_at.to_rfc3339());
        let id = fact.id;
        let forms = self.peppers.forms(minted.secret.expose_secret());
        self.store.insert_token(&key, forms.newest(), fact).await?;
        self.settle(id).await;
        Ok(CreatedToken {
            token: key,
            secret: minted.secret,
        })
    }

    /// A page of the workspace's API keys, and where the next one starts.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], or a store that is away.
    pub(crate) async fn list_api_keys(
        &self,
        ctx: &CallContext,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<PersonalToken>, String), AuthError> {
        self.tokens_of(ctx, Whose::Workspace, page_size, page_token).await
    }

    /// Revokes an API key. A second time is as good as the first.
    ///
    /// # Errors
    /// [`AuthError::ApiKeyNotFound`] for an id that is not one of the workspace's keys.
    pub(crate) async fn delete_api_key(&self, ctx: &CallContext, id: &str) -> Result<(), AuthError> {
        let workspace = ctx.workspace()?;
        let key: TokenId = id.parse().map_err(|_| AuthError::ApiKeyNotFound)?;
        let fact = OutboxEvent::of(ctx)?.target("api_key", key.to_string());
        let id = fact.id;
        let revoked = self
            .store
            .revoke_token(workspace, Whose::Workspace, key, ctx.now, fact)
            .await?;
        match revoked {
            Revocation::Done => self.settle(id).await,
            Revocation::Before => {}
            Revocation::Missing => return Err(AuthError::ApiKeyNotFound),
        }
        Ok(())
    }
}
