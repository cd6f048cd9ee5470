//! Login: a password becomes a session.

use causeway_context::{CallContext, UserId, WorkspaceId};

use super::session::{Assurance, Opening};
use super::{AuthService, Fields, Tokens};
use crate::domain::{Account, AccountState, Email, Password};
use crate::error::AuthError;
use crate::tenancy::Membership;

/// A login as the client gave it.
pub(crate) struct LoginRequest {
    /// The address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
    /// The workspace to enter; the oldest when empty.
    pub(crate) workspace_id: String,
}

impl AuthService {
    /// Opens a session.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], which does not say which of the two is wrong, by time neither;
    /// [`AuthError::WorkspaceNotFound`], [`AuthError::NoWorkspace`], or a part that is away.
    pub(crate) async fn login(&self, ctx: &CallContext, request: LoginRequest) -> Result<Tokens, AuthError> {
        let wanted = wanted_workspace(&request.workspace_id)?;
        let account = self.prove(request.email, request.password).await?;
        let membership = self.enter(ctx, account.user, wanted).await?;
        let refresh = self.refresh_key.first();
        let opening = Opening {
            user: account.user,
            membership: &membership,
            assurance: Assurance::default(),
            refresh: Some(&refresh),
            proof: None,
        };
        let opened = self.open(ctx, opening, |fact| fact.detail("method", "password"));
        let (session, access) = opened.await?;
        Ok(Tokens {
            access,
            access_life: self.access_life,
            refresh,
            workspace: membership.workspace,
            session,
        })
    }

    /// The account of an address and a password. An account whose registration did not end is as good as none.
    async fn prove(&self, email: String, password: String) -> Result<Account, AuthError> {
        let account = match Email::parse(&email) {
            Ok(email) => self.store.find_by_email(&email).await?,
            Err(_) => None,
        };
        let account = account.filter(|account| account.state == AccountState::Active);
        let hash = account.as_ref().map(|account| account.password.clone());
        let right = self.passwords.verify(Password::given(password), hash).await?;
        account.filter(|_| right).ok_or(AuthError::InvalidCredentials)
    }

    pub(super) async fn enter(
        &self,
        ctx: &CallContext,
        user: UserId,
        wanted: Option<WorkspaceId>,
    ) -> Result<Membership, AuthError> {
        let mut memberships = self.tenancy.memberships(&ctx.request_id, user).await?.into_iter();
        match wanted {
            None => memberships.next().ok_or(AuthError::NoWorkspace),
            Some(wanted) => memberships
                .find(|membership| membership.workspace == wanted)
                .ok_or(AuthError::WorkspaceNotFound),
        }
    }
}

pub(super) fn wanted_workspace(text: &str) -> Result<Option<WorkspaceId>, AuthError> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields::default();
    match fields.take("workspace_id", text.parse().map_err(|_| "must be a UUID")) {
        Some(workspace) => Ok(Some(workspace)),
        None => Err(fields.into_error()),
    }
}
