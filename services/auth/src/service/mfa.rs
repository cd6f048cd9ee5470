//! Second factors: enrolment, removal, and codes in the place where one is asked for.

mod codes;
mod login;

use causeway_context::{CallContext, Caller, SessionId, TokenId, UserId, WorkspaceId};
use causeway_crypto::MfaTokenKey;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::refresh::LOGOUT;
use super::session::Assurance;
use super::sessions::current;
use super::{AuthService, Fields, as_rpc};
use crate::config::Config;
use crate::domain::{
    Code, Factor, Hash, NewFactor, PassedBy, SealedSeed, Seed, Session, Window, recovery_codes, recovery_hash,
};
use crate::error::AuthError;
use crate::store::StoreError;
use crate::store::history::Closing;
use crate::tenancy::Membership;

/// How often a seed is sealed anew when the data key is rotated in between.
const SEALINGS: usize = 3;

/// For how long a sign-in proves that it is the person who calls.
const FRESH: TimeDelta = TimeDelta::minutes(10);

/// What second factors need beside store and tenancy.
pub(super) struct Factors {
    /// Signs the tokens between the two steps of a login.
    key: MfaTokenKey,
    /// What an authenticator calls this installation.
    issuer: String,
    /// For how long a code is taken.
    window: Window,
    /// Whether tokens say that a factor is demanded, which is what the gate goes by.
    pub(super) enforced: bool,
}

impl Factors {
    /// As the service is set.
    pub(super) fn new(config: &Config) -> Self {
        if !config.mfa_enforced {
            tracing::warn!("MFA_ENFORCEMENT_DISABLED: no call asks for a second factor");
        }
        Self {
            key: MfaTokenKey::new(&config.refresh_secret),
            issuer: config.mfa_issuer.clone(),
            window: match config.mfa_strict {
                true => Window::OneStep,
                false => Window::TwoSteps,
            },
            enforced: config.mfa_enforced,
        }
    }
}

/// What an authenticator is told, for this once.
pub(crate) struct Enrolled {
    /// For a QR code.
    pub(crate) uri: SecretString,
    /// For hands.
    pub(crate) secret: SecretString,
    /// Each takes the place of a code once.
    pub(crate) recovery_codes: Vec<SecretString>,
}

/// A session that has passed its factor.
pub(crate) struct Elevated {
    /// The JWT that says so.
    pub(crate) access: SecretString,
    /// How long it lives.
    pub(crate) access_life: TimeDelta,
}

/// How a person and the caller stand to the second factor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FactorState {
    /// Since when the person has one.
    pub(crate) confirmed_at: Option<DateTime<Utc>>,
    /// Recovery codes that were not used.
    pub(crate) recovery_codes_left: usize,
}

impl AuthService {
    /// Makes a seed and recovery codes. They count for nothing before they are confirmed. Takes a session that was opened a
    /// moment ago, or the password (MFA-07): who came by an access token alone is not to keep its owner out.
    ///
    /// # Errors
    /// [`AuthError::FactorEnrolled`] for who has a factor, [`AuthError::Reauthenticate`],
    /// [`AuthError::Invalid`] for a password that is not the present one, [`AuthError::TooManyGuesses`], or a part that is
    /// away.
    pub(crate) async fn enrol_totp(
        &self,
        ctx: &CallContext,
        password: String,
    ) -> Result<Enrolled, AuthError> {
        let (user, here) = (ctx.user()?, ctx.workspace()?);
        self.whole_session(ctx).await?;
        let found = self.store.find_factor(user).await?;
        if found.is_some_and(|factor| factor.confirmed_at.is_some()) {
            return Err(AuthError::FactorEnrolled);
        }
        self.reauthenticated(ctx, user, password).await?;
        let (home, label) = self.home_of(ctx, user, here).await?;
        let (seed, codes) = (Seed::generate(), recovery_codes());
        let factor = Factor {
            user,
            enrolment: Uuid::new_v4(),
            workspace: home,
            enrolled_at: ctx.now,
            confirmed_at: None,
        };
        self.keep_factor(ctx, factor, &seed, hashes(user, &codes)).await?;
        Ok(Enrolled {
            uri: seed.uri(&self.mfa.issuer, &label).into(),
            secret: seed.base32().into(),
            recovery_codes: codes,
        })
    }

    /// Whether it is the person who calls, and not somebody with an access token of theirs: by a session that was opened a
    /// moment ago, which a refresh does not make younger, or else by the password.
    async fn reauthenticated(
        &self,
        ctx: &CallContext,
        user: UserId,
        password: String,
    ) -> Result<(), AuthError> {
        let session = self.own_session(ctx).await?;
        if session.opened_at > ctx.now - FRESH {
            return Ok(());
        }
        if password.is_empty() {
            return Err(AuthError::Reauthenticate);
        }
        self.prove_present(ctx, user, password, "password").await?;
        Ok(())
    }

    /// Seals the seed and keeps the factor. A rotation of the data key may come in between: then it is sealed anew.
    async fn keep_factor(
        &self,
        ctx: &CallContext,
        factor: Factor,
        seed: &Seed,
        recovery_codes: Vec<Hash>,
    ) -> Result<(), AuthError> {
        let fact = OutboxEvent::of(ctx)?.target("account", factor.user.to_string());
        let id = fact.id;
        let mut new = NewFactor {
            seed: self.sealed(ctx, &factor, seed).await?,
            factor,
            recovery_codes,
        };
        for _ in 1..SEALINGS {
            match self.store.enrol_factor(&new, fact.clone()).await {
                Err(StoreError::Fenced) => new.seed = self.sealed(ctx, &new.factor, seed).await?,
                Err(error) => return Err(error.into()),
                Ok(false) => return Err(AuthError::FactorEnrolled),
                Ok(true) => {
                    self.settle(id).await;
                    return Ok(());
                }
            }
        }
        Err(StoreError::Fenced.into())
    }

    async fn sealed(&self, ctx: &CallContext, factor: &Factor, seed: &Seed) -> Result<SealedSeed, AuthError> {
        Ok(self
            .tenancy
            .seal(&ctx.request_id, factor.workspace, factor.user, seed)
            .await?)
    }

    /// The workspace under whose key the person's seed lies, and what the person is called. It is the person's first one,
    /// as long as the person belongs there: its key would be gone with it.
    async fn home_of(
        &self,
        ctx: &CallContext,
        user: UserId,
        here: WorkspaceId,
    ) -> Result<(WorkspaceId, String), AuthError> {
        let account = self.store.find_account(user).await?;
        let memberships = self.tenancy.memberships(&ctx.request_id, user).await?;
        let home = account.as_ref().map(|account| account.home);
        let home = memberships
            .iter()
            .map(|membership| membership.workspace)
            .find(|workspace| Some(*workspace) == home)
            .or(memberships.first().map(|oldest| oldest.workspace))
            .unwrap_or(here);
        let label = account.map(|account| account.email.as_str().to_owned());
        Ok((home, label.unwrap_or_else(|| user.to_string())))
    }

    /// Confirms the enrolment by a code, which is thereby used. The caller's session has passed the factor; every other
    /// one ends, for it was opened by less (REF-06).
    ///
    /// # Errors
    /// [`AuthError::NoFactor`], [`AuthError::FactorEnrolled`], [`AuthError::InvalidCode`], [`AuthError::FactorLocked`],
    /// or a part that is away.
    pub(crate) async fn confirm_totp(&self, ctx: &CallContext, code: &str) -> Result<Elevated, AuthError> {
        let user = ctx.user()?;
        self.whole_session(ctx).await?;
        let code = parsed(Code::parse(code))?;
        let factor = self.store.find_factor(user).await?.ok_or(AuthError::NoFactor)?;
        if factor.confirmed_at.is_some() {
            return Err(AuthError::FactorEnrolled);
        }
        let session = self.own_session(ctx).await?;
        self.admit(ctx, user, session.workspace).await?;
        let seed = self.seed_of(ctx, &factor).await?;
        let Some(step) = seed.and_then(|seed| seed.step_of(&code, ctx.now, self.mfa.window)) else {
            return Err(self.wrong_code(ctx, user, session.workspace).await?);
        };
        let fact = OutboxEvent::of(ctx)?.target("account", user.to_string());
        let id = fact.id;
        let others = others(ctx, "mfa_enrolled")?;
        let confirmed = self
            .store
            .confirm_factor(&factor, step, session.id.0, fact, &others);
        if !confirmed.await? {
            return Err(AuthError::FactorEnrolled);
        }
        self.settle(id).await;
        self.elevated(ctx, &session).await
    }

    /// Removes the factor, which takes a fresh code of it (MFA-07), and ends every other session (REF-06). An enrolment
    /// that was not confirmed goes without a code, and ends nothing.
    ///
    /// # Errors
    /// [`AuthError::NoFactor`], [`AuthError::InvalidCode`], [`AuthError::FactorLocked`], or a part that is away.
    pub(crate) async fn remove_totp(&self, ctx: &CallContext, code: &str) -> Result<(), AuthError> {
        let (user, here) = (ctx.user()?, ctx.workspace()?);
        self.whole_session(ctx).await?;
        let factor = self.store.find_factor(user).await?.ok_or(AuthError::NoFactor)?;
        let mut closing = None;
        if factor.confirmed_at.is_some() {
            self.use_code(ctx, &factor, here, code).await?;
            closing = Some(others(ctx, "mfa_removed")?);
        }
        let fact = OutboxEvent::of(ctx)?.target("account", user.to_string());
        let id = fact.id;
        if !self.store.remove_factor(&factor, fact, closing.as_ref()).await? {
            return Err(AuthError::NoFactor);
        }
        self.settle(id).await;
        Ok(())
    }

    /// Makes new recovery codes; the old ones are void.
    ///
    /// # Errors
    /// As [`AuthService::remove_totp`].
    pub(crate) async fn regenerate_recovery_codes(
        &self,
        ctx: &CallContext,
        code: &str,
    ) -> Result<Vec<SecretString>, AuthError> {
        let (user, here) = (ctx.user()?, ctx.workspace()?);
        self.whole_session(ctx).await?;
        let factor = self.confirmed_factor(user).await?;
        self.use_code(ctx, &factor, here, code).await?;
        let codes = recovery_codes();
        let fact = OutboxEvent::of(ctx)?.target("account", user.to_string());
        let id = fact.id;
        if !self
            .store
            .replace_recovery_codes(&factor, &hashes(user, &codes), fact)
            .await?
        {
            return Err(AuthError::NoFactor);
        }
        self.settle(id).await;
        Ok(codes)
    }

    /// Passes the factor in the caller's session.
    ///
    /// # Errors
    /// As [`AuthService::remove_totp`].
    pub(crate) async fn verify_session(&self, ctx: &CallContext, code: &str) -> Result<Elevated, AuthError> {
        let user = ctx.user()?;
        self.whole_session(ctx).await?;
        let session = self.own_session(ctx).await?;
        let factor = self.confirmed_factor(user).await?;
        let method = self.use_code(ctx, &factor, session.workspace, code).await?;
        self.store
            .pass_factor(user, session.id.0, PassedBy::Totp, ctx.now)
            .await?;
        let fact = OutboxEvent::of(ctx)?
            .target("session", session.id.to_string())
            .detail("factor", method.as_str());
        let id = fact.id;
        self.store.keep_fact(fact).await?;
        self.settle(id).await;
        self.elevated(ctx, &session).await
    }

    /// What `GET /v1/me` says of the factor.
    pub(super) async fn factor_state(&self, user: UserId) -> Result<FactorState, AuthError> {
        let factor = self.store.find_factor(user).await?;
        let Some(confirmed_at) = factor.and_then(|factor| factor.confirmed_at) else {
            return Ok(FactorState::default());
        };
        Ok(FactorState {
            confirmed_at: Some(confirmed_at),
            recovery_codes_left: self.store.count_recovery_codes(user).await?,
        })
    }

    /// The caller that a personal access token proves, with how it stands to the second factor.
    pub(super) async fn with_factor(
        &self,
        caller: Caller,
        user: UserId,
        token: TokenId,
        membership: &Membership,
    ) -> Result<Caller, AuthError> {
        let standing = self.store.standing(user, token.0).await?;
        Ok(Caller {
            mfa: standing.passed.is_some(),
            mfa_required: self.mfa.enforced && membership.mfa_required,
            mfa_enrolled: self.mfa.enforced && standing.enrolled,
            ..caller
        })
    }

    /// A personal access token that is made in a session which passed a factor has passed it too; no other has.
    pub(super) async fn inherit_factor(
        &self,
        ctx: &CallContext,
        user: UserId,
        token: TokenId,
    ) -> Result<(), AuthError> {
        let Ok(session) = ctx.caller.credential_id.parse::<SessionId>() else {
            return Ok(());
        };
        let standing = self.store.standing(user, session.0).await?;
        if let Some(by) = standing.passed.filter(|_| ctx.caller.mfa) {
            self.store.pass_factor(user, token.0, by, ctx.now).await?;
        }
        Ok(())
    }

    async fn confirmed_factor(&self, user: UserId) -> Result<Factor, AuthError> {
        let factor = self.store.find_factor(user).await?;
        factor
            .filter(|factor| factor.confirmed_at.is_some())
            .ok_or(AuthError::NoFactor)
    }

    /// The caller's session, which is still open: its access token may outlive it (REF-05).
    pub(super) async fn own_session(&self, ctx: &CallContext) -> Result<Session, AuthError> {
        let (user, id) = (ctx.user()?, ctx.caller.credential_id.parse::<SessionId>());
        let Ok(id) = id else {
            return Err(AuthError::NoSession);
        };
        let session = self.store.find_session(id).await?;
        session
            .filter(|session| session.user == user && session.alive(ctx.now))
            .ok_or(AuthError::NoSession)
    }

    /// Refuses a session that is narrowed to a part of what its person may do: it has no say over second factors, and would
    /// come back whole from one (RBAC-04).
    async fn whole_session(&self, ctx: &CallContext) -> Result<(), AuthError> {
        let whole = self.whole(ctx).await?;
        match whole.is_some_and(|whole| ctx.caller.permissions.includes(&whole)) {
            true => Ok(()),
            false => Err(AuthError::ScopesNotHeld),
        }
    }

    async fn elevated(&self, ctx: &CallContext, session: &Session) -> Result<Elevated, AuthError> {
        let membership = self.membership_of(ctx, session).await?;
        let assurance = Assurance {
            factor: Some(PassedBy::Totp),
            enrolled: true,
            ends: Some(session.expires_at),
            ..Assurance::default()
        };
        Ok(Elevated {
            access: self.access_token(ctx, session, &membership, assurance)?,
            access_life: self.access_life_until(ctx, Some(session.expires_at)),
        })
    }
}

/// The end of every session of the caller but the one that asks.
fn others(ctx: &CallContext, cause: &str) -> Result<Closing, AuthError> {
    Ok(Closing {
        keep: current(ctx),
        at: ctx.now,
        fact: OutboxEvent::of(&as_rpc(ctx, LOGOUT))?.detail("cause", cause),
    })
}

/// The code as it was given, or what is wrong with its form. A code of no form is no try.
fn parsed<T>(code: Option<T>) -> Result<T, AuthError> {
    let mut fields = Fields::default();
    match fields.take(
        "code",
        code.ok_or("must be a code of your authenticator or a recovery code"),
    ) {
        Some(code) => Ok(code),
        None => Err(fields.into_error()),
    }
}

fn hashes(user: UserId, codes: &[SecretString]) -> Vec<Hash> {
    codes
        .iter()
        .filter_map(|code| recovery_hash(user, code.expose_secret()))
        .collect()
}
