//! Personal access tokens, and whom an opaque token proves.

use causeway_context::{CallContext, Caller, TokenId, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, PermissionSet, Role};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{AuthService, Fields};
use crate::domain::{Invalid, PersonalToken, Revocation, Scopes, TokenKind, TokenName, Whose, lifetime};
use crate::error::AuthError;
use crate::page::Page;
use crate::tenancy::Membership;

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
    pub(super) fn check(self, ctx: &CallContext) -> Result<(TokenName, Scopes, DateTime<Utc>), AuthError> {
        let mut fields = Fields::default();
        let name = fields.take("name", TokenName::parse(&self.name));
        let expires_at = fields.take(
            "expires_at",
            self.expires_at.and_then(|asked| lifetime(asked, ctx.now)),
        );
        let scopes = fields.scopes("scopes", self.scopes, ctx);
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
        let scopes = self.no_wider(ctx, scopes).await?;
        let minted = token::mint(token::PERSONAL_ACCESS_TOKEN);
        let token = PersonalToken {
            kind: TokenKind::Personal,
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
        let forms = self.peppers.forms(minted.secret.expose_secret());
        self.store.insert_token(&token, forms.newest(), fact).await?;
        self.inherit_factor(ctx, user, token.id).await?;
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
        self.tokens_of(ctx, Whose::Person(ctx.user()?), page_size, page_token)
            .await
    }

    /// A page of tokens, and where the next one starts.
    pub(super) async fn tokens_of(
        &self,
        ctx: &CallContext,
        whose: Whose,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<PersonalToken>, String), AuthError> {
        let workspace = ctx.workspace()?;
        let page = one_more(page_size, page_token)?;
        let mut tokens = self.store.list_tokens(workspace, whose, page).await?;
        if tokens.len() < page.size {
            return Ok((tokens, String::new()));
        }
        tokens.truncate(page.size - 1);
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
            .revoke_token(workspace, Whose::Person(user), token, ctx.now, fact)
            .await?
        {
            Revocation::Done => self.settle(id).await,
            Revocation::Before => {}
            Revocation::Missing => return Err(AuthError::TokenNotFound),
        }
        Ok(())
    }

    /// Whom an opaque credential proves: the person of the token, or the program of the key, with what the person may do
    /// now, narrowed to the scopes.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] for every cause, or a part that is away.
    pub(crate) async fn authenticate_token(
        &self,
        ctx: &CallContext,
        text: &SecretString,
    ) -> Result<Proven, AuthError> {
        let token = self
            .opaque_token(text)
            .await?
            .filter(|token| token.alive(ctx.now))
            .ok_or(AuthError::InvalidToken)?;
        let caller = self
            .caller_of(ctx, &token)
            .await?
            .ok_or(AuthError::InvalidToken)?;
        self.note_use(ctx, &token).await;
        Ok(Proven {
            caller,
            expires_at: token.expires_at,
        })
    }

    /// The token that a text is, in force or not. Its stored form is renewed where it is an old one (C-8).
    pub(super) async fn opaque_token(&self, text: &SecretString) -> Result<Option<PersonalToken>, AuthError> {
        let text = text.expose_secret();
        let known = [token::PERSONAL_ACCESS_TOKEN, token::API_KEY];
        if !known.into_iter().any(|prefix| token::check(prefix, text)) {
            return Ok(None);
        }
        let forms = self.peppers.forms(text);
        let Some((token, stored)) = self.store.find_token(&forms.hashes()).await? else {
            return Ok(None);
        };
        if !forms.include(&stored) {
            return Ok(None);
        }
        if stored != *forms.newest()
            && let Err(error) = self.store.rehash_token(&stored.hash, forms.newest()).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, token = %token.id, "renew the hash of a token");
        }
        Ok(Some(token))
    }

    /// Whom a token that is in force stands for; nobody once its person is gone or kept out.
    pub(super) async fn caller_of(
        &self,
        ctx: &CallContext,
        token: &PersonalToken,
    ) -> Result<Option<Caller>, AuthError> {
        let Some(membership) = self.membership_in(ctx, token.user, token.workspace).await? else {
            return Ok(None);
        };
        let held = membership.held();
        let (user, workspace, id) = (token.user, token.workspace, token.id.to_string());
        Ok(Some(match token.kind {
            TokenKind::Personal => {
                let caller = Caller::member(CallerKind::Token, user, workspace, held, &token.scopes, id);
                self.with_factor(caller, user, token.id, &membership).await?
            }
            TokenKind::Key => program(id.clone(), workspace, held.permissions, &token.scopes, id),
        }))
    }

    /// What a person may do in a workspace now; nothing for one who does not belong there.
    pub(super) async fn held_in(
        &self,
        ctx: &CallContext,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<Option<PermissionSet>, AuthError> {
        let found = self.membership_in(ctx, user, workspace).await?;
        Ok(found.map(|membership| membership.permissions()))
    }

    /// The scopes of a token that is made in a session. No scope narrows nothing, so a session that is narrowed itself
    /// names what it holds: its token would hold more than it does (RBAC-04).
    async fn no_wider(&self, ctx: &CallContext, scopes: Vec<String>) -> Result<Vec<String>, AuthError> {
        let own = ctx.caller.permissions;
        let whole = self.whole(ctx).await?;
        let narrowed = whole.is_none_or(|whole| !own.includes(&whole));
        Ok(match scopes.is_empty() && narrowed {
            true => own.names(),
            false => scopes,
        })
    }

    /// What the roles of the calling person hold, whatever its credential is narrowed to; nothing for a program, which has
    /// no role.
    pub(super) async fn whole(&self, ctx: &CallContext) -> Result<Option<PermissionSet>, AuthError> {
        let (roles, Some(user), Some(workspace)) =
            (&ctx.caller.roles, ctx.caller.user(), ctx.caller.workspace)
        else {
            return Ok(None);
        };
        let built_in: Option<Vec<Role>> = roles.iter().map(|role| Role::parse(role)).collect();
        match built_in {
            Some(roles) => Ok(roles.into_iter().max().map(PermissionSet::of_role)),
            None => self.held_in(ctx, user, workspace).await,
        }
    }

    async fn membership_in(
        &self,
        ctx: &CallContext,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<Option<Membership>, AuthError> {
        // Of a person who is kept out nothing is left to give (TOK-03).
        if self.store.is_disabled(user).await? {
            return Ok(None);
        }
        let memberships = self.tenancy.memberships(&ctx.request_id, user).await?;
        Ok(memberships
            .into_iter()
            .find(|membership| membership.workspace == workspace))
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

/// A program: what it may do is what its scopes say and the person who granted them holds (RBAC-04).
pub(super) fn program(
    id: String,
    workspace: WorkspaceId,
    held: PermissionSet,
    scopes: &[String],
    credential_id: String,
) -> Caller {
    Caller {
        kind: CallerKind::Client,
        id,
        workspace: Some(workspace),
        permissions: held & scopes.iter().collect(),
        credential_id,
        ..Caller::anonymous()
    }
}

/// A page with one more than asked for, which shows whether another one follows.
pub(super) fn one_more(page_size: i32, page_token: &str) -> Result<Page, AuthError> {
    let mut fields = Fields::default();
    let size = fields.take("page_size", Page::size(page_size));
    let after = fields.take("page_token", Page::place(page_token));
    match (size, after) {
        (Some(size), Some(after)) => Ok(Page {
            size: size + 1,
            after,
        }),
        _ => Err(fields.into_error()),
    }
}
