//! A code is tried: counted, compared, used up.

use causeway_context::{CallContext, UserId, WorkspaceId};
use causeway_outbox::{OutboxEvent, Outcome};

use super::parsed;
use crate::domain::{Admission, Code, Factor, Hash, Seed, recovery_hash};
use crate::error::AuthError;
use crate::service::AuthService;

/// The form of a code that was given.
enum Given {
    Totp(Code),
    Recovery(Hash),
}

/// By what a factor was passed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// A code of the authenticator.
    Totp,
    /// A recovery code.
    RecoveryCode,
}

impl Method {
    /// The word in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery_code",
        }
    }
}

impl AuthService {
    /// Uses up a code of a confirmed factor: of the authenticator, or a recovery code. `place` is the workspace in whose
    /// log a wrong one stands.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for what has not the form of a code, [`AuthError::InvalidCode`],
    /// [`AuthError::FactorLocked`], or a part that is away.
    pub(super) async fn use_code(
        &self,
        ctx: &CallContext,
        factor: &Factor,
        place: WorkspaceId,
        text: &str,
    ) -> Result<Method, AuthError> {
        let user = factor.user;
        let given = match Code::parse(text) {
            Some(code) => Given::Totp(code),
            None => Given::Recovery(parsed(recovery_hash(user, text))?),
        };
        self.admit(ctx, user, place).await?;
        let (right, method) = match given {
            Given::Totp(code) => (self.use_totp(ctx, factor, &code).await?, Method::Totp),
            Given::Recovery(hash) => {
                let used = self.use_recovery_code(ctx, user, place, &hash).await?;
                (used, Method::RecoveryCode)
            }
        };
        if right {
            Ok(method)
        } else {
            Err(self.wrong_code(ctx, user, place).await?)
        }
    }

    async fn use_totp(&self, ctx: &CallContext, factor: &Factor, code: &Code) -> Result<bool, AuthError> {
        let seed = self.seed_of(ctx, factor).await?;
        match seed.and_then(|seed| seed.step_of(code, ctx.now, self.mfa.window)) {
            Some(step) => Ok(self.store.use_step(factor, step).await?),
            None => Ok(false),
        }
    }

    async fn use_recovery_code(
        &self,
        ctx: &CallContext,
        user: UserId,
        place: WorkspaceId,
        hash: &Hash,
    ) -> Result<bool, AuthError> {
        let fact = happened(ctx, "mfa.recovery_code_used", user, place)?;
        let id = fact.id;
        let used = self.store.use_recovery_code(user, hash, ctx.now, fact).await?;
        if used {
            self.settle(id).await;
        }
        Ok(used)
    }

    /// The seed of a factor. Nothing when it is gone with its workspace: then a recovery code is what is left.
    pub(super) async fn seed_of(
        &self,
        ctx: &CallContext,
        factor: &Factor,
    ) -> Result<Option<Seed>, AuthError> {
        let mut read = None;
        loop {
            let Some(sealed) = self.store.find_seed(factor).await? else {
                tracing::warn!(user = %factor.user, "the seed of a second factor is gone with its workspace");
                return Ok(None);
            };
            // A rotation that ends between the reading and the opening has sealed the seed anew.
            if read.as_ref() == Some(&sealed) {
                tracing::warn!(user = %factor.user, "the seed of a second factor does not open");
                return Ok(None);
            }
            let opened = self
                .tenancy
                .open(&ctx.request_id, factor.workspace, factor.user, &sealed);
            if let Some(seed) = opened.await? {
                return Ok(Some(seed));
            }
            read = Some(sealed);
        }
    }

    /// Counts a try, before anything is compared.
    pub(super) async fn admit(
        &self,
        ctx: &CallContext,
        user: UserId,
        place: WorkspaceId,
    ) -> Result<(), AuthError> {
        let locks = happened(ctx, "mfa.locked", user, place)?.outcome(Outcome::Denied);
        let id = locks.id;
        let until = match self.store.admit_try(user, ctx.now, locks).await? {
            Admission::Admitted => return Ok(()),
            Admission::Locks(until) => {
                self.settle(id).await;
                self.close_guesser(ctx).await?;
                until
            }
            Admission::Locked(until) => until,
        };
        Err(AuthError::FactorLocked(
            (until - ctx.now).to_std().unwrap_or_default(),
        ))
    }

    /// Ends the session in which codes were tried until they locked: who has somebody's access token and not the
    /// authenticator is not to keep its owner out for ever longer.
    async fn close_guesser(&self, ctx: &CallContext) -> Result<(), AuthError> {
        match self.own_session(ctx).await {
            Ok(session) => self.close(ctx, &session, "mfa_locked").await,
            // A login that has begun is none.
            Err(_) => Ok(()),
        }
    }

    /// The answer to a wrong code; the fact that there was one is kept.
    pub(super) async fn wrong_code(
        &self,
        ctx: &CallContext,
        user: UserId,
        place: WorkspaceId,
    ) -> Result<AuthError, AuthError> {
        let fact = happened(ctx, "mfa.failed", user, place)?.outcome(Outcome::Denied);
        let id = fact.id;
        self.store.keep_fact(fact).await?;
        self.settle(id).await;
        Ok(AuthError::InvalidCode)
    }
}

/// A fact that is not what the RPC is for, about a person in a workspace.
fn happened(
    ctx: &CallContext,
    action: &str,
    user: UserId,
    place: WorkspaceId,
) -> Result<OutboxEvent, AuthError> {
    let fact = OutboxEvent::of(ctx)?
        .in_workspace(place)
        .by_user(user)
        .target("account", user.to_string());
    Ok(OutboxEvent {
        action: action.to_owned(),
        ..fact
    })
}
