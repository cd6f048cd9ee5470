//! Login: a password becomes a session.

use causeway_context::{CallContext, UserId, WorkspaceId};
use causeway_outbox::{OutboxEvent, Outcome};
use secrecy::SecretString;
use uuid::Uuid;

use super::limits::Target;
use super::session::{Assurance, Opening};
use super::{AuthService, Fields, Tokens};
use crate::domain::{Account, Email, Password, SignIn, Trace};
use crate::error::AuthError;
use crate::store::guesses::Failure;
use crate::tenancy::Membership;

/// A login as the client gave it.
pub(crate) struct LoginRequest {
    /// The address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
    /// The workspace to enter; the oldest when empty.
    pub(crate) workspace_id: String,
    /// What an earlier login told the device; empty when there was none.
    pub(crate) device_token: String,
}

/// How a login ended: the password was right.
pub(crate) enum LoggedIn {
    /// There is a session, and something for the device to show at the next login.
    Open(Tokens, Option<SecretString>),
    /// The person has a second factor: this token asks for it.
    SecondFactor(SecretString),
}

impl AuthService {
    /// Opens a session, or asks for a second factor.
    ///
    /// # Errors
    /// [`AuthError::TooManyGuesses`]; [`AuthError::InvalidCredentials`], which does not say which of the two is wrong, by time neither;
    /// [`AuthError::WorkspaceNotFound`], [`AuthError::WorkspaceMismatch`], [`AuthError::NoWorkspace`], or a part that is away.
    pub(crate) async fn login(
        &self,
        ctx: &CallContext,
        request: LoginRequest,
    ) -> Result<LoggedIn, AuthError> {
        let wanted = self.wanted_workspace(&request.workspace_id)?;
        let device = &request.device_token;
        let account = self.prove(ctx, request.email, request.password, device).await?;
        let membership = self.enter(ctx, account.user, wanted).await?;
        if let Some(token) = self.second_step(ctx, &account, &membership).await? {
            return Ok(LoggedIn::SecondFactor(token));
        }
        let refresh = self.refresh_key.first();
        let opening = Opening {
            user: account.user,
            membership: &membership,
            assurance: Assurance::default(),
            refresh: Some(&refresh),
            proof: None,
            password: Some(account.password.clone()),
            asks_factor: true,
        };
        let opened = self.open(ctx, opening, |fact| fact.detail("method", "password"));
        let (session, access) = opened.await?;
        let tokens = Tokens {
            access,
            access_life: self.access_life,
            refresh,
            workspace: membership.workspace,
            session,
        };
        Ok(LoggedIn::Open(tokens, self.new_device(ctx, &account.email)))
    }

    /// The account of an address and a password. An account whose registration did not end, or whose person is kept out, is
    /// as good as none.
    async fn prove(
        &self,
        ctx: &CallContext,
        email: String,
        password: String,
        device: &str,
    ) -> Result<Account, AuthError> {
        let target = Target::Password {
            email: &email,
            device,
        };
        let guess = self.may_guess(ctx, target).await?;
        let account = match Email::parse(&email) {
            Ok(email) => self.store.find_by_email(&email).await?,
            Err(_) => None,
        };
        let account = self.in_force(account).await?;
        let hash = account.as_ref().map(|account| account.password.clone());
        let right = self.passwords.verify(Password::given(password), hash).await?;
        match account {
            Some(account) if right => {
                self.was_right(ctx, &guess, Some(account.user)).await?;
                Ok(account)
            }
            account => {
                let failure = account.map(|account| failure(ctx, &account)).transpose()?;
                self.was_wrong(ctx, &guess, failure).await?;
                Err(AuthError::InvalidCredentials)
            }
        }
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

    /// The workspace that a way in names. With a single tenant that one is meant, and no other may be named.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::WorkspaceMismatch`].
    pub(super) fn wanted_workspace(&self, text: &str) -> Result<Option<WorkspaceId>, AuthError> {
        if text.is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::default();
        let named = WorkspaceId::named(text).map_err(|_| "must be a UUID, or default");
        match fields.take("workspace_id", named) {
            Some(other) if self.single_tenant && other != WorkspaceId::DEFAULT => {
                Err(AuthError::WorkspaceMismatch)
            }
            Some(workspace) => Ok(Some(workspace)),
            None => Err(fields.into_error()),
        }
    }
}

/// What a person sees of a wrong guess at the own password: in the history, and in the log of the first workspace.
fn failure(ctx: &CallContext, account: &Account) -> Result<Failure, AuthError> {
    let fact = OutboxEvent::of(ctx)?
        .in_workspace(account.home)
        .target("account", account.user.to_string())
        .outcome(Outcome::Denied)
        .detail("method", "password");
    Ok(Failure {
        sign_in: SignIn {
            id: Uuid::now_v7(),
            user: account.user,
            workspace: account.home,
            at: ctx.now,
            trace: Trace::of("password", ctx.remote.as_ref()),
            session: None,
        },
        fact: OutboxEvent {
            action: "login.failed".to_owned(),
            ..fact
        },
    })
}
