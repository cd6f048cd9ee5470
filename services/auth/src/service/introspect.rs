//! Introspection (RFC 7662): what a token is worth, for who may ask. Whatever is in doubt is not active (INT-01).

use causeway_context::{CallContext, SessionId, WorkspaceId};
use causeway_crypto::{AccessClaims, fits_jwt, token};
use causeway_errors::ApiError;
use secrecy::{ExposeSecret as _, SecretString};

use super::token_endpoint::ClientCredentials;
use super::{AuthService, Standing};
use crate::domain::{PersonalToken, Session, SessionToken, TokenKind};
use crate::error::AuthError;
use crate::oauth::OauthError;

/// What a person must hold to ask.
const PERMISSION: &str = "clients.read";

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenType {
    Access,
    Refresh,
    Personal,
    ApiKey,
    ClientSecret,
}

impl TokenType {
    /// The word in answers and in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
            Self::Personal => "personal_access_token",
            Self::ApiKey => "api_key",
            Self::ClientSecret => "client_secret",
        }
    }
}

impl TokenType {
    /// What it is called in a mail.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Access => "An access token",
            Self::Refresh => "A refresh token of a session",
            Self::Personal => "A personal access token",
            Self::ApiKey => "An API key that you made",
            Self::ClientSecret => "The secret of an OAuth client that you made",
        }
    }
}

impl From<TokenKind> for TokenType {
    fn from(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Personal => Self::Personal,
            TokenKind::Key => Self::ApiKey,
        }
    }
}

/// A token that is in force. What does not apply is empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introspected {
    pub(crate) kind: TokenType,
    pub(crate) scope: String,
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) issued_at: i64,
    pub(crate) not_before: i64,
    pub(crate) expires_at: i64,
    pub(crate) audience: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) jti: String,
    pub(crate) workspace: WorkspaceId,
}

/// A genuine token, in force or not.
pub(super) enum Presented {
    /// A refresh token.
    Refresh(SessionToken),
    /// A personal access token or an API key.
    Opaque(PersonalToken),
    /// The access token of a session.
    OfSession(AccessClaims, Session),
    /// An access token that hangs on a machine's credential.
    OfMachine(AccessClaims, WorkspaceId),
}

impl Presented {
    /// What it is.
    pub(super) fn kind(&self) -> TokenType {
        match self {
            Self::Refresh(_) => TokenType::Refresh,
            Self::Opaque(token) => token.kind.into(),
            Self::OfSession(..) | Self::OfMachine(..) => TokenType::Access,
        }
    }

    /// The workspace that it is good for.
    pub(super) fn workspace(&self) -> WorkspaceId {
        match self {
            Self::Refresh(found) => found.session.workspace,
            Self::Opaque(token) => token.workspace,
            Self::OfSession(_, session) => session.workspace,
            Self::OfMachine(_, workspace) => *workspace,
        }
    }
}

impl AuthService {
    /// What a token of the caller's own workspace is worth; nothing when that is in doubt.
    ///
    /// # Errors
    /// [`OauthError::InvalidClient`] for who may not ask, or a part that is away.
    pub(crate) async fn introspect(
        &self,
        ctx: &CallContext,
        client: &ClientCredentials,
        text: &SecretString,
    ) -> Result<Option<Introspected>, AuthError> {
        let workspace = self.asking_workspace(ctx, client).await?;
        if text.expose_secret().is_empty() {
            return Err(OauthError::InvalidRequest("token is missing").into());
        }
        match self.presented(ctx, text).await? {
            Some(presented) if presented.workspace() == workspace => self.worth(ctx, presented).await,
            _ => Ok(None),
        }
    }

    async fn asking_workspace(
        &self,
        ctx: &CallContext,
        client: &ClientCredentials,
    ) -> Result<WorkspaceId, AuthError> {
        let shown = self.client_shown(ctx, client).await?;
        match (shown, ctx.caller.is_anonymous()) {
            (Some(_), false) => Err(OauthError::InvalidRequest("give one credential").into()),
            (Some(client), true) => Ok(client.workspace),
            (None, true) => Err(OauthError::InvalidClient.into()),
            (None, false) if ctx.caller.holds(PERMISSION) => Ok(ctx.workspace()?),
            (None, false) => Err(ApiError::forbidden(
                "PERMISSION_DENIED",
                format!("the permission {PERMISSION} is missing"),
            )
            .into()),
        }
    }

    /// The genuine token that a text is.
    pub(super) async fn presented(
        &self,
        ctx: &CallContext,
        text: &SecretString,
    ) -> Result<Option<Presented>, AuthError> {
        let shown = text.expose_secret();
        if fits_jwt(shown) {
            return match self.access_keys.verify(shown, ctx.now) {
                Ok(claims) => self.presented_access(claims).await,
                Err(_) => Ok(None),
            };
        }
        if token::check(token::REFRESH_TOKEN, shown) {
            return Ok(self.find(text).await?.map(Presented::Refresh));
        }
        Ok(self.opaque_token(text).await?.map(Presented::Opaque))
    }

    async fn presented_access(&self, claims: AccessClaims) -> Result<Option<Presented>, AuthError> {
        let Ok(workspace) = claims.workspace_id.parse::<WorkspaceId>() else {
            return Ok(None);
        };
        if claims.client_id.is_some() {
            return Ok(Some(Presented::OfMachine(claims, workspace)));
        }
        let Ok(session) = claims.sid.parse::<SessionId>() else {
            return Ok(None);
        };
        let found = self.store.find_session(session).await?;
        let own = found.filter(|found| found.workspace == workspace && found.user.to_string() == claims.sub);
        Ok(own.map(|session| Presented::OfSession(claims, session)))
    }

    async fn worth(
        &self,
        ctx: &CallContext,
        presented: Presented,
    ) -> Result<Option<Introspected>, AuthError> {
        match presented {
            Presented::Refresh(found) => self.worth_of_refresh(ctx, found).await,
            Presented::Opaque(token) => self.worth_of_opaque(ctx, token).await,
            Presented::OfSession(claims, session) => self.worth_of_session(ctx, claims, session).await,
            Presented::OfMachine(claims, workspace) => {
                let credential = claims.client_id.clone().unwrap_or_default();
                let standing = self
                    .describe_credential(ctx, &credential, &claims.workspace_id)
                    .await?;
                Ok(of_machine(standing, &claims).map(|scope| self.of_claims(claims, workspace, scope)))
            }
        }
    }

    /// A refresh token is worth nothing once its person has left the workspace: it would be refused.
    async fn worth_of_refresh(
        &self,
        ctx: &CallContext,
        found: SessionToken,
    ) -> Result<Option<Introspected>, AuthError> {
        if !found.alive(ctx.now) || found.token.used_at.is_some() {
            return Ok(None);
        }
        let SessionToken { session, token, .. } = found;
        let held = self.held_in(ctx, session.user, session.workspace).await?;
        Ok(held.map(|_| Introspected {
            subject: session.user.to_string(),
            issued_at: token.issued_at.timestamp(),
            expires_at: token.expires_at.timestamp(),
            ..nothing(TokenType::Refresh, session.workspace)
        }))
    }

    async fn worth_of_opaque(
        &self,
        ctx: &CallContext,
        token: PersonalToken,
    ) -> Result<Option<Introspected>, AuthError> {
        if !token.alive(ctx.now) {
            return Ok(None);
        }
        let caller = self.caller_of(ctx, &token).await?;
        Ok(caller.map(|caller| Introspected {
            scope: caller.permissions.join(" "),
            subject: caller.id,
            issued_at: token.created_at.timestamp(),
            expires_at: token.expires_at.timestamp(),
            jti: token.id.to_string(),
            ..nothing(token.kind.into(), token.workspace)
        }))
    }

    async fn worth_of_session(
        &self,
        ctx: &CallContext,
        claims: AccessClaims,
        session: Session,
    ) -> Result<Option<Introspected>, AuthError> {
        if session.closed_at.is_some() {
            return Ok(None);
        }
        let held = self.held_in(ctx, session.user, session.workspace).await?;
        Ok(held.map(|held| {
            let scope = kept(&claims.scope, |scope| held.contains(scope), || held.join(" "));
            self.of_claims(claims, session.workspace, scope)
        }))
    }

    fn of_claims(&self, claims: AccessClaims, workspace: WorkspaceId, scope: String) -> Introspected {
        Introspected {
            scope,
            client_id: claims.client_id.unwrap_or_default(),
            subject: claims.sub,
            issued_at: claims.iat,
            not_before: claims.nbf,
            expires_at: claims.exp,
            audience: self.audience.clone(),
            issuer: self.issuer.clone(),
            jti: claims.jti,
            ..nothing(TokenType::Access, workspace)
        }
    }
}

/// What a machine's token may do now; nothing when it is not in force.
fn of_machine(standing: Standing, claims: &AccessClaims) -> Option<String> {
    let caller = standing.caller.filter(|caller| caller.id == claims.sub)?;
    if standing.revoked.contains(&claims.jti) {
        return None;
    }
    let held = |scope: &str| caller.holds(scope);
    Some(kept(&claims.scope, held, String::new))
}

/// The scopes of a token that are held now; `all` for a token that has none.
fn kept(scope: &str, held: impl Fn(&str) -> bool, all: impl FnOnce() -> String) -> String {
    if scope.is_empty() {
        return all();
    }
    let kept: Vec<&str> = scope.split_whitespace().filter(|scope| held(scope)).collect();
    kept.join(" ")
}

fn nothing(kind: TokenType, workspace: WorkspaceId) -> Introspected {
    Introspected {
        kind,
        scope: String::new(),
        client_id: String::new(),
        subject: String::new(),
        issued_at: 0,
        not_before: 0,
        expires_at: 0,
        audience: None,
        issuer: None,
        jti: String::new(),
        workspace,
    }
}
