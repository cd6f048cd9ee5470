//! The token endpoint: client credentials (RFC 6749 §4.4), refresh tokens (§6), token exchange (RFC 8693).

use std::sync::Arc;

use causeway_context::{CallContext, WorkspaceId};
use causeway_contracts::PermissionSet;
use causeway_crypto::AccessClaims;
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};

use super::standing::Credential;
use super::verified::VerifiedClient;
use super::{AuthService, ExchangeRequest, as_rpc, issued_id};
use crate::domain::Grant;
use crate::error::AuthError;
use crate::oauth::OauthError;

/// The RPC under whose audit action a session is recorded that somebody else's token opens.
const EXCHANGE: &str = "/causeway.auth.v1.AuthService/Exchange";

const OF_TYPE: &str = "urn:ietf:params:oauth:token-type:";

/// A request as the client made it. What was not given is empty.
#[derive(Default)]
pub(crate) struct TokenRequest {
    pub(crate) grant_type: String,
    pub(crate) client: ClientCredentials,
    pub(crate) scope: String,
    pub(crate) refresh_token: SecretString,
    pub(crate) subject_token: SecretString,
    pub(crate) subject_token_type: String,
    pub(crate) actor_token: SecretString,
    pub(crate) actor_token_type: String,
    pub(crate) requested_token_type: String,
    pub(crate) targets: Vec<String>,
    pub(crate) workspace_id: String,
}

/// How a client shows itself.
#[derive(Default, Clone)]
pub(crate) struct ClientCredentials {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
}

/// A token that was granted.
pub(crate) struct Granted {
    pub(crate) access: SecretString,
    pub(crate) access_life: TimeDelta,
    pub(crate) exchanged: bool,
    pub(crate) scope: String,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) workspace: WorkspaceId,
}

impl AuthService {
    /// Grants a token.
    ///
    /// # Errors
    /// [`AuthError::Oauth`], or a part that is away.
    pub(crate) async fn grant(&self, ctx: &CallContext, request: TokenRequest) -> Result<Granted, AuthError> {
        if request.grant_type.is_empty() {
            return Err(OauthError::InvalidRequest("grant_type is missing").into());
        }
        let grant = Grant::parse(&request.grant_type).ok_or(OauthError::UnsupportedGrantType)?;
        let client = self.client_shown(ctx, &request.client).await?;
        if let Some(client) = &client {
            client.may(grant)?;
        }
        match (grant, client) {
            (Grant::ClientCredentials, Some(client)) => {
                self.serves(&request.targets)?;
                self.grant_to_client(ctx, &client, &request.scope)
            }
            (Grant::ClientCredentials, None) => Err(OauthError::InvalidClient.into()),
            (Grant::RefreshToken, client) => self.grant_by_refresh(ctx, client.as_deref(), &request).await,
            (Grant::TokenExchange, client) => self.grant_by_exchange(ctx, client.as_deref(), request).await,
        }
    }

    /// The client that a request shows; nothing when it shows none.
    pub(super) async fn client_shown(
        &self,
        ctx: &CallContext,
        shown: &ClientCredentials,
    ) -> Result<Option<Arc<VerifiedClient>>, AuthError> {
        match (shown.id.is_empty(), shown.secret.expose_secret().is_empty()) {
            // A public client may say its name (RFC 6749 §3.2.1), which proves nothing.
            (_, true) => Ok(None),
            (true, false) => Err(OauthError::InvalidClient.into()),
            (false, false) => self.prove_client(ctx, &shown.id, &shown.secret).await.map(Some),
        }
    }

    fn grant_to_client(
        &self,
        ctx: &CallContext,
        client: &VerifiedClient,
        scope: &str,
    ) -> Result<Granted, AuthError> {
        let id = client.id.to_string();
        let narrowed = narrowed(scope, &client.permissions)?;
        self.machine_token(ctx, id.clone(), id, client.workspace, narrowed)
    }

    async fn grant_by_refresh(
        &self,
        ctx: &CallContext,
        client: Option<&VerifiedClient>,
        request: &TokenRequest,
    ) -> Result<Granted, AuthError> {
        if request.refresh_token.expose_secret().is_empty() {
            return Err(OauthError::InvalidRequest("refresh_token is missing").into());
        }
        self.serves(&request.targets)?;
        let scope: Vec<String> = request.scope.split_whitespace().map(str::to_owned).collect();
        let tokens = self
            .refresh_narrowed(ctx, &request.refresh_token, &scope, |session| {
                client.is_none_or(|client| client.workspace == session.workspace)
            })
            .await;
        let tokens = tokens.map_err(|error| match error {
            AuthError::InvalidRefreshToken => OauthError::InvalidGrant.into(),
            other => other,
        })?;
        Ok(Granted {
            access: tokens.access,
            access_life: tokens.access_life,
            exchanged: false,
            scope: scope.join(" "),
            refresh: Some(tokens.refresh),
            workspace: tokens.workspace,
        })
    }

    /// A client exchanges what is good in its own workspace, and nothing else.
    async fn grant_by_exchange(
        &self,
        ctx: &CallContext,
        client: Option<&VerifiedClient>,
        mut request: TokenRequest,
    ) -> Result<Granted, AuthError> {
        let invalid = |what| Err(AuthError::from(OauthError::InvalidRequest(what)));
        if request.subject_token.expose_secret().is_empty() || request.subject_token_type.is_empty() {
            return invalid("subject_token and subject_token_type are needed");
        }
        if !request.actor_token.expose_secret().is_empty() || !request.actor_token_type.is_empty() {
            return invalid("an actor_token is not taken here");
        }
        let wanted = request.requested_token_type.strip_prefix(OF_TYPE);
        if !request.requested_token_type.is_empty() && wanted != Some("access_token") {
            return invalid("only access tokens are given here");
        }
        self.serves(&request.targets)?;
        let home = client.map(|client| client.workspace);
        if let Some(home) = home {
            if !request.workspace_id.is_empty()
                && request.workspace_id.parse::<WorkspaceId>().ok() != Some(home)
            {
                return invalid("the workspace is not the client's");
            }
            request.workspace_id = home.to_string();
        }
        match request.subject_token_type.strip_prefix(OF_TYPE) {
            Some("jwt" | "id_token") => self.exchange_identity(ctx, request).await,
            Some("access_token") => {
                self.exchange_opaque(ctx, home, &request.subject_token, &request.scope)
                    .await
            }
            _ => invalid("subject_token_type is not one that is taken here"),
        }
    }

    /// A token of an identity provider becomes a session.
    async fn exchange_identity(
        &self,
        ctx: &CallContext,
        request: TokenRequest,
    ) -> Result<Granted, AuthError> {
        let scope: Vec<String> = request.scope.split_whitespace().map(str::to_owned).collect();
        let asked = ExchangeRequest {
            token: request.subject_token,
            workspace_id: request.workspace_id,
            refresh: false,
            scope: scope.clone(),
        };
        let exchanged = self.exchange_any(&as_rpc(ctx, EXCHANGE), asked).await;
        let exchanged = exchanged.map_err(|error| match error {
            AuthError::SubjectRefused => OauthError::InvalidRequest("the subject_token is not valid").into(),
            AuthError::SessionPending => {
                OauthError::InvalidRequest("the session at the identity provider is not finished").into()
            }
            AuthError::ExchangeDisabled => {
                OauthError::InvalidRequest("no identity provider is configured here").into()
            }
            AuthError::WorkspaceNotFound | AuthError::NoWorkspace => {
                OauthError::InvalidRequest("the person is in no such workspace").into()
            }
            other => other,
        })?;
        Ok(Granted {
            access: exchanged.access,
            access_life: exchanged.access_life,
            exchanged: true,
            scope: scope.join(" "),
            refresh: None,
            workspace: exchanged.workspace,
        })
    }

    /// A personal access token or an API key becomes a short token that is worth no more, and dies with it.
    async fn exchange_opaque(
        &self,
        ctx: &CallContext,
        home: Option<WorkspaceId>,
        subject: &SecretString,
        scope: &str,
    ) -> Result<Granted, AuthError> {
        let refused = || OauthError::InvalidRequest("the subject_token is not valid");
        let proven = self.authenticate_token(ctx, subject).await;
        let proven = proven.map_err(|error| match error {
            AuthError::InvalidToken => refused().into(),
            other => other,
        })?;
        let caller = proven.caller;
        if home.is_some() && home != caller.workspace {
            return Err(refused().into());
        }
        let (Some(workspace), Ok(token)) = (caller.workspace, caller.credential_id.parse()) else {
            return Err(AuthError::InvalidToken);
        };
        let narrowed = narrowed(scope, &caller.permissions)?;
        let left = (proven.expires_at - ctx.now).min(self.access_life);
        let credential = Credential::Token(token).to_string();
        let granted =
            self.machine_token_for(ctx, caller.id.clone(), credential, workspace, narrowed, left)?;
        Ok(Granted {
            exchanged: true,
            ..granted
        })
    }

    fn machine_token(
        &self,
        ctx: &CallContext,
        subject: String,
        credential: String,
        workspace: WorkspaceId,
        scope: String,
    ) -> Result<Granted, AuthError> {
        self.machine_token_for(ctx, subject, credential, workspace, scope, self.access_life)
    }

    /// A token that hangs on a machine's credential, whose scope is all that it may do.
    fn machine_token_for(
        &self,
        ctx: &CallContext,
        subject: String,
        credential: String,
        workspace: WorkspaceId,
        scope: String,
        life: TimeDelta,
    ) -> Result<Granted, AuthError> {
        let now = ctx.now.timestamp();
        let claims = AccessClaims {
            iss: None,
            aud: None,
            sub: subject,
            exp: now + life.num_seconds().max(1),
            nbf: now,
            iat: now,
            jti: issued_id(ctx.now).to_string(),
            sid: String::new(),
            workspace_id: workspace.to_string(),
            roles: Vec::new(),
            perm: None,
            scope,
            mfa: false,
            mfa_required: false,
            mfa_enrolled: false,
            act: None,
            client_id: Some(credential),
        };
        Ok(Granted {
            access: self.access_keys.sign(&claims)?.into(),
            access_life: life,
            exchanged: false,
            scope: claims.scope,
            refresh: None,
            workspace,
        })
    }

    /// Checks that tokens for those targets are what is given here (RFC 8693 §2.2.2).
    fn serves(&self, targets: &[String]) -> Result<(), OauthError> {
        let own = self.audience.as_deref();
        match targets.iter().all(|target| Some(target.as_str()) == own) {
            true => Ok(()),
            false => Err(OauthError::InvalidTarget),
        }
    }
}

/// The scopes that were asked for, all of which are held; all that are held when none was asked for.
fn narrowed(asked: &str, held: &PermissionSet) -> Result<String, OauthError> {
    let mut scopes: Vec<&str> = asked.split_whitespace().collect();
    if scopes.is_empty() {
        return Ok(held.join(" "));
    }
    if !scopes.iter().all(|scope| held.contains(scope)) {
        return Err(OauthError::InvalidScope);
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes.join(" "))
}
