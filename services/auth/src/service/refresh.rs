//! Refresh and logout: the life of a session after its login.

use causeway_context::CallContext;
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use secrecy::{ExposeSecret as _, SecretString};

use super::session::Assurance;
use super::{AuthService, Tokens, as_rpc};
use crate::domain::{RefreshToken, Session, SessionToken};
use crate::error::AuthError;
use crate::tenancy::Membership;

/// The RPC under whose audit action the end of a session is recorded, whoever ends it.
const LOGOUT: &str = "/causeway.auth.v1.AuthService/Logout";

/// What may be done with a refresh token that was found.
enum Standing {
    /// It is the newest of its session.
    Newest,
    /// It was rotated a moment ago and its successor was not used: the answer may have been lost (REF-03).
    Again,
    /// It was used before: it, or its successor, is in the wrong hands.
    Reused,
    /// It, or its session, ended.
    Ended,
}

impl AuthService {
    /// New tokens for a refresh token, which is thereby used. Roles are asked for again.
    ///
    /// # Errors
    /// [`AuthError::InvalidRefreshToken`], or a part that is away; the token is then not used up.
    pub(crate) async fn refresh(&self, ctx: &CallContext, text: &SecretString) -> Result<Tokens, AuthError> {
        let found = self.find(text).await?.ok_or(AuthError::InvalidRefreshToken)?;
        let successor_text = self.refresh_key.successor(text.expose_secret());
        let session = &found.session;
        let successor = self.refresh_token(ctx, session.id, successor_text.expose_secret());
        match self.standing(ctx, &found, &successor).await? {
            Standing::Newest | Standing::Again => {}
            Standing::Reused => return Err(self.revoke_family(ctx, session).await?),
            Standing::Ended => return Err(AuthError::InvalidRefreshToken),
        }
        let membership = self.membership_of(ctx, session).await?;
        let access = self.access_token(ctx, session, &membership, Assurance::default())?;
        if !self.store.rotate(&found.token.hash, &successor).await? {
            self.after_lost_race(ctx, text, &successor).await?;
        }
        Ok(Tokens {
            access,
            access_life: self.access_life,
            refresh: successor_text,
            workspace: session.workspace,
            session: session.id,
        })
    }

    /// Ends the session of a refresh token. A token that is unknown or ended is no error (RFC 7009).
    ///
    /// # Errors
    /// A store that is away.
    pub(crate) async fn logout(&self, ctx: &CallContext, text: &SecretString) -> Result<(), AuthError> {
        match self.find(text).await? {
            Some(found) => self.close(ctx, &found.session, "logout").await,
            None => Ok(()),
        }
    }

    async fn find(&self, text: &SecretString) -> Result<Option<SessionToken>, AuthError> {
        if !token::check(token::REFRESH_TOKEN, text.expose_secret()) {
            return Ok(None);
        }
        Ok(self
            .store
            .find_refresh_token(&self.refresh_key.hash(text.expose_secret()))
            .await?)
    }

    async fn standing(
        &self,
        ctx: &CallContext,
        found: &SessionToken,
        successor: &RefreshToken,
    ) -> Result<Standing, AuthError> {
        if !found.alive(ctx.now) {
            return Ok(Standing::Ended);
        }
        if found.token.used_at.is_none() {
            return Ok(Standing::Newest);
        }
        let stored = self.store.find_refresh_token(&successor.hash).await?;
        let again = stored.is_some_and(|stored| found.token.may_retry(&stored.token, ctx.now));
        Ok(if again { Standing::Again } else { Standing::Reused })
    }

    /// The token was rotated already: before this call, or by another one that was faster. The loser of a race gets the
    /// winner's successor (REF-02).
    async fn after_lost_race(
        &self,
        ctx: &CallContext,
        text: &SecretString,
        successor: &RefreshToken,
    ) -> Result<(), AuthError> {
        let found = self.find(text).await?.ok_or(AuthError::InvalidRefreshToken)?;
        match self.standing(ctx, &found, successor).await? {
            Standing::Again => Ok(()),
            Standing::Reused => Err(self.revoke_family(ctx, &found.session).await?),
            Standing::Newest | Standing::Ended => Err(AuthError::InvalidRefreshToken),
        }
    }

    /// The person's membership in the session's workspace. Without one the session ends.
    async fn membership_of(&self, ctx: &CallContext, session: &Session) -> Result<Membership, AuthError> {
        let memberships = self.tenancy.memberships(&ctx.request_id, session.user).await?;
        match memberships
            .into_iter()
            .find(|membership| membership.workspace == session.workspace)
        {
            Some(membership) => Ok(membership),
            None => {
                self.close(ctx, session, "membership_lost").await?;
                Err(AuthError::InvalidRefreshToken)
            }
        }
    }

    async fn revoke_family(&self, ctx: &CallContext, session: &Session) -> Result<AuthError, AuthError> {
        tracing::warn!(session = %session.id, "a used refresh token came again, its session is closed");
        self.close(ctx, session, "refresh_token_reused").await?;
        Ok(AuthError::InvalidRefreshToken)
    }

    async fn close(&self, ctx: &CallContext, session: &Session, cause: &str) -> Result<(), AuthError> {
        let fact = OutboxEvent::of(&as_rpc(ctx, LOGOUT))?
            .in_workspace(session.workspace)
            .by_user(session.user)
            .target("session", session.id.to_string())
            .detail("cause", cause);
        let id = fact.id;
        if self.store.close_session(session.id, ctx.now, fact).await? {
            self.settle(id).await;
        }
        Ok(())
    }
}
