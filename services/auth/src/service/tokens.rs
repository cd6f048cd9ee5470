//! Personal access tokens.

use causeway_context::{CallContext, Caller, TokenId};
use causeway_contracts::{CallerKind, Role};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{AuthService, Fields};
use crate::domain::{Invalid, PersonalToken, Revocation, Scopes, TokenName, lifetime};
use crate::error::AuthError;
use crate::page::Page;

/// A token as the client asks for it.
pub(crate) struct CreateTokenRequest {
    /// Its name.
    pub(crate) name: String,
    /// The permissions it may use; all of its person when empty.
    pub(crate) scopes: Vec<String>,
    /// When it ends; the default when absent.
    pub(crate) expires_at: Result<Option<DateTime<Utc>>, Invalid>,
}

/// A token with its secret, for this once.
pub(crate) struct CreatedToken {
    /// What is kept.
    pub(crate) token: PersonalToken,
    /// The secret.
    pub(crate) secret: SecretString,
}

/// Whom a token proves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The caller.
    pub(crate) caller: Caller,
    /// When the token ends.
    pub(crate) expires_at: DateTime<Utc>,
}

impl CreateTokenRequest {
    fn check(self, ctx: &CallContext) -> Result<(TokenName, Scopes, DateTime<Utc>), AuthError> {
        let mut fields = Fields::default();
        let name = fields.take("name", TokenName::parse(&self.name));
        let expires_at = fields.take(
            "expires_at",
            self.expires_at.and_then(|asked| lifetime(asked, ctx.now)),
        );
        let scopes = match Scopes::of(self.scopes, &ctx.caller.permissions) {
            Ok(scopes) => Some(scopes),
            Err(missing) => {
                for index in missing {
                    fields.wrong(format!("scopes[{index}]"), "is not a permission that you hold");
                }
                None
            }
        };
        match (name, scopes, expires_at) {
            (Some(name), Some(scopes), Some(expires_at)) => Ok((name, scopes, expires_at)),
            _ => Err(fields.into_error()),
        }
    }
}

impl AuthService {
    /// Makes a token for the caller in the workspace of the call.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], a caller who is no person, or a store that is away.
    pub(crate) async fn create_token(
        &self,
        ctx: &CallContext,
        request: CreateTokenRequest,
    ) -> Result<CreatedToken, AuthError> {
        let (workspace, user) = (ctx.workspace()?, ctx.user()?);
        let (name, Scopes(scopes), expires_at) = request.check(ctx)?;
        let minted = token::mint(token::PERSONAL_ACCESS_TOKEN);
        let token = PersonalToken {
            id: TokenId::generate(),
            workspace,
            user,
            name,
            scopes,
            created_at: ctx.now,
            expires_at,
            last_used_at: None,
            revoked_at: None,
            last_four: minted.last_four,
        };
        let fact = OutboxEvent::of(ctx)?
            .target("token", token.id.to_string())
            .detail("scopes", token.scopes.clone())
            .detail("expires_at", expires_at.to_rfc3339());
        let id = fact.id;
        self.store.insert_token(&token, &minted.hash, fact).await?;
        self.settle(id).await;
        Ok(CreatedToken {
            token,
            secret: minted.secret,
        })
    }

    /// A page of the caller's tokens, and where the next one starts.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], a caller who is no person, or a store that is away.
    pub(crate) async fn list_tokens(
        &self,
        ctx: &CallContext,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<PersonalToken>, String), AuthError> {
        let (workspace, user) = (ctx.workspace()?, ctx.user()?);
        let mut fields = Fields::default();
        let size = fields.take("page_size", Page::size(page_size));
        let after = fields.take("page_token", Page::place(page_token));
        let (Some(size), Some(after)) = (size, after) else {
            return Err(fields.into_error());
        };
        // One more than asked for shows whether another page follows.
        let page = Page {
            size: size + 1,
            after,
        };
        let mut tokens = self.store.list_tokens(workspace, user, page).await?;
        if tokens.len() <= size {
            return Ok((tokens, String::new()));
        }
        tokens.truncate(size);
        let next = tokens.last().map(|last| Page::word(last.id)).unwrap_or_default();
        Ok((tokens, next))
    }

    /// Revokes a token of the caller. A second time is as good as the first.
    ///
    /// # Errors
    /// [`AuthError::TokenNotFound`] for an id that is not one of the caller's tokens in this workspace.
    pub(crate) async fn delete_token(&self, ctx: &CallContext, id: &str) -> Result<(), AuthError> {
        let (workspace, user) = (ctx.workspace()?, ctx.user()?);
        let token: TokenId = id.parse().map_err(|_| AuthError::TokenNotFound)?;
        let fact = OutboxEvent::of(ctx)?.target("token", token.to_string());
        let id = fact.id;
        match self
            .store
            .revoke_token(workspace, user, token, ctx.now, fact)
            .await?
        {
            Revocation::Done => self.settle(id).await,
            Revocation::Before => {}
            Revocation::Missing => return Err(AuthError::TokenNotFound),
        }
        Ok(())
    }

    /// Whom an opaque credential proves: the person of the token, with what the person's role holds now, narrowed to
    /// the token's scopes.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] for every cause, or a part that is away.
    pub(crate) async fn authenticate_token(
        &self,
        ctx: &CallContext,
        text: &SecretString,
    ) -> Result<Proven, AuthError> {
        if !token::check(token::PERSONAL_ACCESS_TOKEN, text.expose_secret()) {
            return Err(AuthError::InvalidToken);
        }
        let found = self.store.find_token(&token::hash(text.expose_secret())).await?;
        let token = found
            .filter(|token| token.alive(ctx.now))
            .ok_or(AuthError::InvalidToken)?;
        let memberships = self.tenancy.memberships(&ctx.request_id, token.user).await?;
        let membership = memberships
            .into_iter()
            .find(|membership| membership.workspace == token.workspace)
            .ok_or(AuthError::InvalidToken)?;
        // A role that this version does not know holds nothing.
        let roles: Vec<Role> = Role::parse(&membership.role).into_iter().collect();
        self.note_use(ctx, &token).await;
        let (user, workspace, id) = (token.user, token.workspace, token.id.to_string());
        Ok(Proven {
            caller: Caller::person(CallerKind::Token, user, workspace, &roles, &token.scopes, id),
            expires_at: token.expires_at,
        })
    }

    /// A use that cannot be noted is still a use.
    async fn note_use(&self, ctx: &CallContext, token: &PersonalToken) {
        if !token.use_is_news(ctx.now) {
            return;
        }
        if let Err(error) = self.store.touch_token(token.workspace, token.id, ctx.now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, token = %token.id, "note the use of a token");
        }
    }
}
