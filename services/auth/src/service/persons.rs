//! Who may come in at all. A person may be in many workspaces, so the platform's own one decides (B-TEN-16).

use causeway_context::{CallContext, UserId};
use causeway_outbox::OutboxEvent;
use uuid::Uuid;

use super::refresh::LOGOUT;
use super::{AuthService, Fields, as_rpc};
use crate::domain::{Account, AccountState, Disabled, Person, Reason};
use crate::error::AuthError;

impl AuthService {
    /// A person.
    ///
    /// # Errors
    /// [`AuthError::NotPlatformOwner`], [`AuthError::UserNotFound`], or a store that is away.
    pub(crate) async fn platform_user(&self, ctx: &CallContext, id: &str) -> Result<Person, AuthError> {
        // Whoever may not ask hears nothing of who there is.
        self.require_platform(ctx)?;
        let user: UserId = id.parse().map_err(|_| AuthError::UserNotFound)?;
        let found = self.store.find_person(user).await?;
        found.ok_or(AuthError::UserNotFound)
    }

    /// Keeps a person out. A second time is as good as the first.
    ///
    /// # Errors
    /// As [`AuthService::platform_user`], [`AuthError::OwnAccount`], or [`AuthError::Invalid`] for the reason.
    pub(crate) async fn disable_user(
        &self,
        ctx: &CallContext,
        id: &str,
        reason: &str,
    ) -> Result<Person, AuthError> {
        let person = self.platform_user(ctx, id).await?;
        if ctx.caller.user() == Some(person.user) {
            return Err(AuthError::OwnAccount);
        }
        let mut fields = Fields::default();
        let reason = fields.take("reason", Reason::parse(reason));
        let reason = reason.ok_or_else(|| fields.into_error())?;
        let facts = self.told(ctx, &person, |fact| fact.detail("reason", reason.as_str()))?;
        let closed = OutboxEvent::of(&as_rpc(ctx, LOGOUT))?.detail("cause", "account_disabled");
        let disabled = Disabled {
            at: ctx.now,
            by: ctx.caller.id.clone(),
            reason,
        };
        let done = self.store.disable_person(person.user, &disabled, &facts, closed);
        if done.await? {
            self.settle_all(&facts).await;
        }
        self.platform_user(ctx, id).await
    }

    /// Lets a person in again. A second time is as good as the first.
    ///
    /// # Errors
    /// As [`AuthService::platform_user`].
    pub(crate) async fn enable_user(&self, ctx: &CallContext, id: &str) -> Result<Person, AuthError> {
        let person = self.platform_user(ctx, id).await?;
        let facts = self.told(ctx, &person, |fact| fact)?;
        if self.store.enable_person(person.user, &facts).await? {
            self.settle_all(&facts).await;
        }
        self.platform_user(ctx, id).await
    }

    /// The account, if its person may come in by it. Of one that is not there as much is asked.
    pub(super) async fn in_force(&self, account: Option<Account>) -> Result<Option<Account>, AuthError> {
        let user = account
            .as_ref()
            .map_or(UserId(Uuid::nil()), |account| account.user);
        let disabled = self.store.is_disabled(user).await?;
        Ok(account.filter(|account| account.state == AccountState::Active && !disabled))
    }

    fn require_platform(&self, ctx: &CallContext) -> Result<(), AuthError> {
        match self.platform_owner {
            Some(owner) if ctx.caller.workspace == Some(owner) => Ok(()),
            _ => Err(AuthError::NotPlatformOwner),
        }
    }

    /// What the logs of the platform and of the person's first workspace are told; once, if those are one.
    fn told(
        &self,
        ctx: &CallContext,
        person: &Person,
        describe: impl Fn(OutboxEvent) -> OutboxEvent,
    ) -> Result<Vec<OutboxEvent>, AuthError> {
        let fact = || -> Result<OutboxEvent, AuthError> {
            let fact = OutboxEvent::of(ctx)?.target("user", person.user.to_string());
            Ok(describe(fact))
        };
        let mut facts = vec![fact()?];
        if ctx.caller.workspace != Some(person.home) {
            facts.push(fact()?.in_workspace(person.home));
        }
        Ok(facts)
    }

    async fn settle_all(&self, facts: &[OutboxEvent]) {
        for fact in facts {
            self.settle(fact.id).await;
        }
    }
}
