//! The proof of an address: by a token that was mailed to it.

use causeway_context::{CallContext, UserId};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;

use super::limits::Target;
use super::{AuthService, Fields};
use crate::domain::{Email, MailPurpose};
use crate::error::AuthError;
use crate::mailer::Letter;
use crate::store::recovery::{Holder, MailToken};

impl AuthService {
    /// Proves an address.
    ///
    /// # Errors
    /// [`AuthError::InvalidMailToken`] for every cause, [`AuthError::TooManyGuesses`], or a store that is away.
    pub(crate) async fn verify_email(&self, ctx: &CallContext, text: &str) -> Result<(), AuthError> {
        let (hash, holder) = self.holder(ctx, text, MailPurpose::Verify).await?;
        let fact = OutboxEvent::of(ctx)?
            .in_workspace(holder.home)
            .by_user(holder.user)
            .target("account", holder.user.to_string());
        let id = fact.id;
        if !self.store.verify_email(&hash, ctx.now, fact).await? {
            return Err(AuthError::InvalidMailToken);
        }
        self.settle(id).await;
        Ok(())
    }

    /// Mails a token to an address whose account has to prove it; does the same work for any other.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::TooManyGuesses`] for an address that asks too often, or a store that is away.
    pub(crate) async fn resend_verification(&self, ctx: &CallContext, email: &str) -> Result<(), AuthError> {
        self.reserve_guess(ctx, Target::MailToken).await?;
        let email = address(email)?;
        self.mail_token(ctx, &email, MailPurpose::Verify).await
    }

    /// Mails the first token to a new account. A mail that cannot be sent is no reason to refuse the account.
    pub(super) async fn welcome(&self, ctx: &CallContext, email: &Email, user: UserId) {
        if let Err(error) = self.mail_token(ctx, email, MailPurpose::Verify).await {
            tracing::warn!(error = &error as &dyn std::error::Error, %user, "mail a proof of an address");
        }
    }

    /// Whose token that is. Only what has the shape of one is looked up, and not too often.
    pub(super) async fn holder(
        &self,
        ctx: &CallContext,
        text: &str,
        purpose: MailPurpose,
    ) -> Result<([u8; 32], Holder), AuthError> {
        if !token::check(purpose.prefix(), text) {
            return Err(AuthError::InvalidMailToken);
        }
        self.reserve_guess(ctx, Target::MailToken).await?;
        let hash = token::hash(text);
        let holder = self.store.find_mail_token(&hash, purpose, ctx.now).await?;
        let holder = holder.ok_or(AuthError::InvalidMailToken)?;
        Ok((hash, holder))
    }

    /// Mails a token if there is an account for it. The work up to here is the same if there is none, and the mail goes
    /// out beside the call.
    pub(super) async fn mail_token(
        &self,
        ctx: &CallContext,
        email: &Email,
        purpose: MailPurpose,
    ) -> Result<(), AuthError> {
        let minted = token::mint(purpose.prefix());
        let row = MailToken {
            hash: minted.hash,
            purpose,
            created_at: ctx.now,
            expires_at: ctx.now + purpose.life(),
        };
        if !self.may_mail(ctx, purpose.as_str(), email.as_str()).await? {
            return Ok(());
        }
        if self.store.issue_mail_token(email, &row).await? {
            self.mail.post(Letter {
                to: email.clone(),
                purpose,
                token: minted.secret,
            });
        }
        Ok(())
    }
}

pub(super) fn address(text: &str) -> Result<Email, AuthError> {
    let mut fields = Fields::default();
    let email = fields.take("email", Email::parse(text));
    email.ok_or_else(|| fields.into_error())
}
