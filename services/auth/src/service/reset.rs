//! The way back to an account whose password is lost, and a new password for one that is not.

use causeway_context::{CallContext, UserId};
use causeway_outbox::OutboxEvent;

use super::limits::Target;
use super::refresh::LOGOUT;
use super::sessions::current;
use super::verification::address;
use super::{AuthService, Fields, as_rpc};
use crate::domain::{AccountState, MailPurpose, Password, PasswordHash};
use crate::error::AuthError;
use crate::store::recovery::NewPassword;

/// What the present password is given as.
const CURRENT: &str = "current_password";

impl AuthService {
    /// Mails a token by which the password can be set; does the same work for an address without an account.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::TooManyGuesses`] for an address that asks too often, or a store that is away.
    pub(crate) async fn forgot_password(&self, ctx: &CallContext, email: &str) -> Result<(), AuthError> {
        self.reserve_guess(ctx, Target::MailToken).await?;
        let email = address(email)?;
        self.mail_token(ctx, &email, MailPurpose::Reset).await
    }

    /// Sets the password by a mailed token, and ends every session of the person. Where this is the first proof that the
    /// person reads the mail of the address, whoever registered it may be another: what they left goes as well.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a password that may not be chosen, [`AuthError::InvalidMailToken`] for every other
    /// cause, [`AuthError::TooManyGuesses`], or a part that is away.
    pub(crate) async fn reset_password(
        &self,
        ctx: &CallContext,
        text: &str,
        password: String,
    ) -> Result<(), AuthError> {
        // The token first: who has none hears nothing of what a list says of passwords, and makes nobody ask one.
        let (hash, holder) = self.holder(ctx, text, MailPurpose::Reset).await?;
        let password = self.chosen("password", password).await?;
        let new = NewPassword {
            user: holder.user,
            hash: self.passwords.hash(password).await?,
            instead_of: None,
            keep: None,
            token: Some(hash),
        };
        let told = |rpc: &CallContext, cause: &str| -> Result<OutboxEvent, AuthError> {
            Ok(OutboxEvent::of(rpc)?
                .in_workspace(holder.home)
                .by_user(holder.user)
                .target("account", holder.user.to_string())
                .detail("cause", cause))
        };
        let fact = told(ctx, "reset")?;
        let closed = told(&as_rpc(ctx, LOGOUT), "password_reset")?;
        let id = fact.id;
        // Before, while the token can be shown again if this is not finished; and after, when nobody else is in.
        let unproven = self.is_unproven(&holder).await?;
        if unproven {
            self.reclaim(ctx, &holder).await?;
        }
        let done = self.store.set_password(&new, ctx.now, fact, closed).await?;
        done.ok_or(AuthError::InvalidMailToken)?;
        if unproven {
            self.reclaim(ctx, &holder).await?;
        }
        self.know_place(ctx, holder.email.as_str(), holder.user).await?;
        self.settle(id).await;
        Ok(())
    }

    /// Sets the caller's password, which takes the present one, and ends every other session of the caller.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a password that may not be chosen or is not the present one,
    /// [`AuthError::NoPassword`] for a person who comes in another way, [`AuthError::TooManyGuesses`], or a part that is
    /// away.
    pub(crate) async fn change_password(
        &self,
        ctx: &CallContext,
        present: String,
        password: String,
    ) -> Result<(), AuthError> {
        let user = ctx.user()?;
        let password = self.chosen("new_password", password).await?;
        let old = self.prove_present(ctx, user, present, CURRENT).await?;
        let new = NewPassword {
            user,
            hash: self.passwords.hash(password).await?,
            instead_of: Some(old),
            keep: current(ctx),
            token: None,
        };
        let fact = OutboxEvent::of(ctx)?
            .target("account", user.to_string())
            .detail("cause", "changed");
        let closed = OutboxEvent::of(&as_rpc(ctx, LOGOUT))?.detail("cause", "password_changed");
        let id = fact.id;
        let done = self.store.set_password(&new, ctx.now, fact, closed).await?;
        done.ok_or_else(|| wrong_present(CURRENT))?;
        self.settle(id).await;
        Ok(())
    }

    /// Compares the password of an open session's person with the one that `field` gave; answers its hash.
    ///
    /// # Errors
    /// Those of [`AuthService::change_password`].
    pub(super) async fn prove_present(
        &self,
        ctx: &CallContext,
        user: UserId,
        present: String,
        field: &str,
    ) -> Result<PasswordHash, AuthError> {
        let guess = self.may_guess(ctx, Target::PresentPassword(user)).await?;
        let account = self.store.find_account(user).await?;
        let account = account
            .filter(|account| account.state == AccountState::Active)
            .ok_or(AuthError::NoPassword)?;
        let hash = account.password;
        let right = self
            .passwords
            .verify(Password::given(present), Some(hash.clone()))
            .await?;
        if !right {
            self.was_wrong(ctx, &guess, None).await?;
            return Err(wrong_present(field));
        }
        self.was_right(ctx, &guess, None).await?;
        Ok(hash)
    }

    /// A password that may be chosen: long enough, and none that everybody tries first.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with that field.
    pub(super) async fn chosen(&self, field: &str, text: String) -> Result<Password, AuthError> {
        let mut fields = Fields::default();
        let password = fields.take(field, Password::choose(text));
        let password = password.ok_or_else(|| fields.into_error())?;
        self.refuse_breached(field, &password).await?;
        Ok(password)
    }

    /// Refuses a password that is known to others. A list that cannot be asked refuses nobody.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] with that field.
    pub(super) async fn refuse_breached(&self, field: &str, password: &Password) -> Result<(), AuthError> {
        if !self.breached.knows(password.expose()).await {
            return Ok(());
        }
        let mut fields = Fields::default();
        fields.wrong(field, "is a password that is known from breaches: choose another");
        Err(fields.into_error())
    }
}

fn wrong_present(field: &str) -> AuthError {
    let mut fields = Fields::default();
    fields.wrong(field, "is not the present password");
    fields.into_error()
}
