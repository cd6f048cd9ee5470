//! Registration: an account and its workspace, which lie in two services. With a single tenant no workspace is made:
//! tenancy lets the person into the one that there is, the first as its owner.
//!
//! The address is claimed first, in a pending account that holds the ids of person and workspace. Then tenancy makes
//! the workspace under that id. Then the account becomes active, in one step with its fact. A crash between two steps
//! leaves a pending account, which cannot log in: the same registration (same address and password) goes on with the
//! same ids, and tenancy makes nothing twice. If nobody comes back, the address is free again after a quarter of an
//! hour, and the next one takes the ids over, so that no workspace is left without an owner. The other order would leave
//! an ownerless workspace behind each crash.

use causeway_context::{CallContext, UserId, WorkspaceId};
use causeway_outbox::OutboxEvent;

use super::limits::Target;
use super::{AuthService, Fields};
use crate::domain::{Account, AccountState, Claim, Email, Password, WorkspaceName};
use crate::error::AuthError;

/// The RPC under whose audit action a new person is recorded, however the person came.
pub(super) const REGISTER: &str = "/causeway.auth.v1.AuthService/Register";

const UNUSED_NAME: &str = "unused";

/// A registration as the client gave it.
pub(crate) struct RegisterRequest {
    /// The address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
    /// The name of the workspace; with a single tenant it is not looked at.
    pub(crate) workspace_name: String,
}

/// What was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// The person.
    pub(crate) user: UserId,
    /// The workspace in which the person is.
    pub(crate) workspace: WorkspaceId,
    /// The address as it is stored.
    pub(crate) email: Email,
}

impl RegisterRequest {
    fn check(self, single_tenant: bool) -> Result<(Email, Password, WorkspaceName), AuthError> {
        let mut fields = Fields::default();
        // Whatever was sent: with a single tenant nothing is called by it.
        let workspace_name = if single_tenant {
            UNUSED_NAME
        } else {
            &self.workspace_name
        };
        let email = fields.take("email", Email::parse(&self.email));
        let password = fields.take("password", Password::choose(self.password));
        let name = fields.take("workspace_name", WorkspaceName::parse(workspace_name));
        match (email, password, name) {
            (Some(email), Some(password), Some(name)) => Ok((email, password, name)),
            _ => Err(fields.into_error()),
        }
    }
}

impl AuthService {
    /// Makes an account and its workspace.
    ///
    /// # Errors
    /// [`AuthError::RegistrationClosed`], [`AuthError::Invalid`], [`AuthError::EmailTaken`], or a part that is away; the
    /// same registration may then be sent again.
    pub(crate) async fn register(
        &self,
        ctx: &CallContext,
        request: RegisterRequest,
    ) -> Result<Registered, AuthError> {
        if !self.registration_open {
            return Err(AuthError::RegistrationClosed);
        }
        let (email, password, name) = request.check(self.single_tenant)?;
        let guess = self.may_guess(ctx, Target::Registration).await?;
        self.refuse_breached("password", &password).await?;
        let claimed = self.claim(ctx, email, password).await;
        if matches!(claimed, Err(AuthError::EmailTaken)) {
            // Who asks who has an account here asks a few times.
            self.was_wrong(ctx, &guess, None).await?;
        }
        let account = claimed?;
        let workspace = self
            .tenancy
            .provision(&ctx.request_id, account.home, &name, account.user)
            .await?;
        let fact = OutboxEvent::of(ctx)?
            .in_workspace(workspace)
            .by_user(account.user)
            .target("account", account.user.to_string());
        let id = fact.id;
        if self
            .store
            .activate_account(account.user, account.claimed_at, fact)
            .await?
        {
            self.welcome(ctx, &account.email, account.user).await;
            self.settle(id).await;
        } else {
            self.must_be_active_twin(&account).await?;
        }
        Ok(Registered {
            user: account.user,
            workspace,
            email: account.email,
        })
    }

    /// The pending account under which to go on: a new one, or that of the same registration, sent before.
    async fn claim(&self, ctx: &CallContext, email: Email, password: Password) -> Result<Account, AuthError> {
        if let Some(found) = self.store.find_by_email(&email).await?
            && !found.lapsed(ctx.now)
        {
            return self.resume(ctx, found, password).await;
        }
        let account = Account {
            user: UserId::generate(),
            email,
            password: self.passwords.hash(password.clone()).await?,
            state: AccountState::Pending,
            home: WorkspaceId::generate(),
            claimed_at: ctx.now,
        };
        match self.store.claim_address(&account).await? {
            Claim::Made(account) => Ok(account),
            // Another came in between; it may have been the same person's second click.
            Claim::Taken(found) => self.resume(ctx, found, password).await,
        }
    }

    /// The pending account, if its password is the one that was given: a guess at what will be the account's.
    async fn resume(
        &self,
        ctx: &CallContext,
        found: Account,
        password: Password,
    ) -> Result<Account, AuthError> {
        if found.state != AccountState::Pending {
            return Err(AuthError::EmailTaken);
        }
        let target = Target::Password {
            email: found.email.as_str(),
            device: "",
        };
        let guess = self.may_guess(ctx, target).await?;
        let hash = Some(found.password.clone());
        if self.passwords.verify(password, hash).await? {
            return Ok(found);
        }
        self.was_wrong(ctx, &guess, None).await?;
        Err(AuthError::EmailTaken)
    }

    /// The account was not pending any more: right if the same registration, sent twice, finished it meanwhile.
    async fn must_be_active_twin(&self, account: &Account) -> Result<(), AuthError> {
        let now = self.store.find_account(account.user).await?;
        let twin = now.is_some_and(|now| {
            now.state == AccountState::Active
                && now.claimed_at == account.claimed_at
                && now.password == account.password
        });
        if twin { Ok(()) } else { Err(AuthError::EmailTaken) }
    }
}
