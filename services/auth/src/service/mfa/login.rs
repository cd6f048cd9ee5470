//! The second step of a login.

use causeway_context::{CallContext, UserId, WorkspaceId};
use causeway_crypto::{MfaClaims, MfaTokenKey, TokenError};
use chrono::DateTime;
use secrecy::SecretString;
use uuid::Uuid;

use crate::domain::{Account, PassedBy, Proof};
use crate::error::AuthError;
use crate::service::session::{Assurance, Opening};
use crate::service::{AuthService, Tokens};
use crate::tenancy::Membership;

/// The namespace of used tokens: a token opens one session.
const USED: &str = "mfa+jwt";
/// How a local account is proven; other methods are names of providers.
const PASSWORD: &str = "password";

/// A token between the steps, read.
struct FirstStep {
    user: UserId,
    workspace: WorkspaceId,
    claims: MfaClaims,
}

impl AuthService {
    /// What the client gets in the place of a session when the person has a second factor; nothing if not. The password
    /// was right.
    pub(in crate::service) async fn second_step(
        &self,
        ctx: &CallContext,
        account: &Account,
        membership: &Membership,
    ) -> Result<Option<SecretString>, AuthError> {
        let proof = self.fingerprint(account);
        self.second_step_of(ctx, account.user, membership, PASSWORD, proof)
            .await
    }

    /// The same for a person who was proven by `method`.
    pub(in crate::service) async fn second_step_of(
        &self,
        ctx: &CallContext,
        user: UserId,
        membership: &Membership,
        method: &str,
        proof: String,
    ) -> Result<Option<SecretString>, AuthError> {
        let factor = self.store.find_factor(user).await?;
        if factor.is_none_or(|factor| factor.confirmed_at.is_none()) {
            return Ok(None);
        }
        let now = ctx.now.timestamp();
        let token = self.mfa.key.sign(&MfaClaims {
            aud: String::new(),
            sub: user.to_string(),
            exp: now + MfaTokenKey::LIFETIME.num_seconds(),
            nbf: now,
            iat: now,
            jti: Uuid::now_v7().to_string(),
            workspace_id: membership.workspace.to_string(),
            method: method.to_owned(),
            proof,
        })?;
        Ok(Some(token.into()))
    }

    /// Finishes a login; answers also what the device shows at the next one.
    ///
    /// # Errors
    /// [`AuthError::InvalidMfaToken`], [`AuthError::Invalid`], [`AuthError::InvalidCode`], [`AuthError::FactorLocked`],
    /// or what can go wrong with a login.
    pub(crate) async fn verify_login(
        &self,
        ctx: &CallContext,
        token: &str,
        code: &str,
    ) -> Result<(Tokens, Option<SecretString>), AuthError> {
        let step = self.first_step(ctx, token)?;
        // A provider proved the person a moment ago, and has no say in what happens to its word here.
        let account = match step.claims.method == PASSWORD {
            true => Some(self.still_proven(&step).await?),
            false => None,
        };
        let device = account
            .as_ref()
            .and_then(|account| self.new_device(ctx, &account.email));
        let factor = self.store.find_factor(step.user).await?;
        let factor = factor
            .filter(|factor| factor.confirmed_at.is_some())
            .ok_or(AuthError::InvalidMfaToken)?;
        let membership = self.enter(ctx, step.user, Some(step.workspace)).await?;
        let used = self.use_code(ctx, &factor, step.workspace, code).await;
        let method = used.map_err(|error| match error {
            AuthError::InvalidCode => AuthError::LoginCodeRefused,
            other => other,
        })?;
        let refresh = self.refresh_key.first();
        let end = DateTime::from_timestamp(step.claims.exp, 0).ok_or(AuthError::InvalidMfaToken)?;
        let opening = Opening {
            user: step.user,
            membership: &membership,
            assurance: Assurance {
                factor: Some(PassedBy::Totp),
                ..Assurance::default()
            },
            refresh: Some(&refresh),
            proof: Some(Proof::new(USED, &step.claims.jti, end)),
            password: account.map(|account| account.password),
            asks_factor: true,
        };
        let opened = self.open(ctx, opening, |fact| {
            fact.detail("method", step.claims.method.as_str())
                .detail("factor", method.as_str())
        });
        let (session, access) = opened.await.map_err(|error| match error {
            AuthError::SubjectRefused | AuthError::InvalidCredentials => AuthError::InvalidMfaToken,
            other => other,
        })?;
        let tokens = Tokens {
            access,
            access_life: self.access_life,
            refresh,
            workspace: membership.workspace,
            session,
        };
        Ok((tokens, device))
    }

    fn first_step(&self, ctx: &CallContext, token: &str) -> Result<FirstStep, AuthError> {
        let claims = self.mfa.key.verify(token, ctx.now).map_err(refused)?;
        match (claims.sub.parse(), claims.workspace_id.parse()) {
            (Ok(user), Ok(workspace)) => Ok(FirstStep {
                user,
                workspace,
                claims,
            }),
            _ => Err(AuthError::InvalidMfaToken),
        }
    }

    /// The account, if the password with which the login began is still its own, and nobody keeps its person out.
    async fn still_proven(&self, step: &FirstStep) -> Result<Account, AuthError> {
        let account = self.store.find_account(step.user).await?;
        let account = self.in_force(account).await?;
        account
            .filter(|account| self.fingerprint(account) == step.claims.proof)
            .ok_or(AuthError::InvalidMfaToken)
    }

    /// Which password an account has, to somebody who knows the key.
    fn fingerprint(&self, account: &Account) -> String {
        let hash = self.refresh_key.hash(account.password.as_str());
        hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The reason is for the log alone (JWT-05).
fn refused(error: TokenError) -> AuthError {
    tracing::info!(reason = error.reason(), "a token of the second step was refused");
    AuthError::InvalidMfaToken
}
