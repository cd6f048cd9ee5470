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
pub(super) const LOGOUT: &str = "/causeway.auth.v1.AuthService/Logout";

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
        self.refresh_narrowed(ctx, text, &[], |_| true).await
    }

    /// The same with an access token that is narrowed to `scope`, and for a session that `allowed` allows.
    ///
    /// # Errors
    /// Those of [`AuthService::refresh`], and [`AuthError::Oauth`] for a scope that the person does not hold.
    pub(super) async fn refresh_narrowed(
        &self,
        ctx: &CallContext,
        text: &SecretString,
        scope: &[String],
        allowed: impl Fn(&Session) -> bool,
    ) -> Result<Tokens, AuthError> {
        let found = self
            .find(text)
            .await?
            .filter(|found| allowed(&found.session))
            .ok_or(AuthError::InvalidRefreshToken)?;
        let successor_text = self.refresh_key.successor(text.expose_secret());
        let session = &found.session;
        let successor = self.refresh_token(ctx, session, successor_text.expose_secret());
        match self.standing(ctx, &found, &successor).await? {
            Standing::Newest | Standing::Again => {}
            Standing::Reused => return Err(self.revoke_family(ctx, &found).await?),
            Standing::Ended => return Err(AuthError::InvalidRefreshToken),
        }
        let membership = self.membership_of(ctx, session).await?;
        let assurance = Assurance {
            factor: found.factor.passed,
            enrolled: found.factor.enrolled,
            scope: scope.to_vec(),
            // The last one ends with its session, and not a quarter of an hour later (REF-05).
            ends: Some(session.expires_at),
            ..Assurance::default()
        };
        assurance.is_held(&membership)?;
        let access = self.access_token(ctx, session, &membership, assurance)?;
        if !self.store.rotate(&found.token.hash, &successor).await? {
            self.after_lost_race(ctx, text, &successor).await?;
        }
        Ok(Tokens {
            access,
            access_life: self.access_life_until(ctx, Some(session.expires_at)),
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

    pub(super) async fn find(&self, text: &SecretString) -> Result<Option<SessionToken>, AuthError> {
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
        let again =
            stored.is_some_and(|stored| found.token.may_retry(&stored.token, self.refresh_grace, ctx.now));
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
            Standing::Reused => Err(self.revoke_family(ctx, &found).await?),
            Standing::Newest | Standing::Ended => Err(AuthError::InvalidRefreshToken),
        }
    }

    /// The person's membership in the session's workspace. Without one the session ends.
    pub(super) async fn membership_of(
        &self,
        ctx: &CallContext,
        session: &Session,
    ) -> Result<Membership, AuthError> {
        let found = self
            .tenancy
            .membership(&ctx.request_id, session.user, session.workspace);
        match found.await? {
            Some(membership) => Ok(membership),
            None => {
                self.close(ctx, session, "membership_lost").await?;
                Err(AuthError::InvalidRefreshToken)
            }
        }
    }

    /// Ends a session whose used token came again. Told once, however often it comes (REF-09).
    async fn revoke_family(&self, ctx: &CallContext, found: &SessionToken) -> Result<AuthError, AuthError> {
        let (session, generation) = (&found.session, found.token.generation);
        let closed = self.close_as(ctx, session, "refresh_token_reused", |fact| {
            let fact = fact.detail("generation", generation);
            self.described_remote(ctx, fact)
        });
        if closed.await? {
            tracing::warn!(
                session = %session.id,
                generation,
                "a used refresh token came again, its session is closed"
            );
        }
        Ok(AuthError::InvalidRefreshToken)
    }

    /// From where somebody came, so that one can be told from another and nobody is named.
    fn described_remote(&self, ctx: &CallContext, fact: OutboxEvent) -> OutboxEvent {
        let Some(remote) = &ctx.remote else { return fact };
        let hash = |kind: &str, text: &str| {
            let hash = self.refresh_key.hash(&format!("{kind} {text}"));
            hash[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        fact.detail("address_hash", hash("address", &remote.address.to_string()))
            .detail("agent_hash", hash("agent", &remote.agent))
    }

    pub(super) async fn close(
        &self,
        ctx: &CallContext,
        session: &Session,
        cause: &str,
    ) -> Result<(), AuthError> {
        self.close_as(ctx, session, cause, |fact| fact).await?;
        Ok(())
    }

    /// Ends a session; answers whether it was not ended before. `describe` adds to the fact.
    async fn close_as(
        &self,
        ctx: &CallContext,
        session: &Session,
        cause: &str,
        describe: impl FnOnce(OutboxEvent) -> OutboxEvent,
    ) -> Result<bool, AuthError> {
        let fact = OutboxEvent::of(&as_rpc(ctx, LOGOUT))?
            .in_workspace(session.workspace)
            .by_user(session.user)
            .target("session", session.id.to_string())
            .detail("cause", cause);
        let fact = describe(fact);
        let id = fact.id;
        let closed = self.store.close_session(session.id, ctx.now, fact).await?;
        if closed {
            self.settle(id).await;
        }
        Ok(closed)
    }
}
