//! Sign-in at a provider of OpenID Connect. Between its two halves nothing is kept here: the browser has a signed token,
//! and the secrets of the sign-in follow from it.

use std::sync::Arc;

use causeway_context::{CallContext, UserId};
use causeway_crypto::{SignInClaims, SignInKey, same_text};
use causeway_oidc::{CallbackAnswer, Person, Provider, ProviderError};
use chrono::DateTime;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::limits::Target;
use super::session::{Assurance, Opening};
use super::{AuthService, Fields, Tokens};
use crate::domain::{Identity, Proof, Provider as ProviderKind};
use crate::error::AuthError;
use crate::oidc::SignInError;
use crate::tenancy::Membership;

/// The namespace of finished sign-ins: each opens one session.
const USED: &str = "sign-in+jwt";
/// How a refusal of the person, or of the provider in the person's name, is written (RFC 6749 §4.1.2.1, OpenID Connect
/// Core §3.1.2.6). Other words say that something is wrong with the provider, or with what it was asked.
const DENIALS: [&str; 5] = [
    "access_denied",
    "login_required",
    "consent_required",
    "interaction_required",
    "account_selection_required",
];

/// A sign-in to begin.
pub(crate) struct StartRequest {
    /// At which provider.
    pub(crate) provider: String,
    /// Where the browser goes afterwards; nowhere when empty.
    pub(crate) return_to: String,
    /// The workspace to enter; the oldest when empty.
    pub(crate) workspace_id: String,
}

/// A sign-in that began.
pub(crate) struct Started {
    /// Where the browser goes now.
    pub(crate) location: String,
    /// What it keeps meanwhile.
    pub(crate) token: SecretString,
}

/// What the browser came back with. What was not given is empty.
#[derive(Default)]
pub(crate) struct FinishRequest {
    pub(crate) provider: String,
    pub(crate) code: SecretString,
    pub(crate) state: SecretString,
    pub(crate) issuer: String,
    pub(crate) error: String,
    /// What the browser kept meanwhile.
    pub(crate) token: SecretString,
}

/// A sign-in that is finished, as far as the provider goes.
pub(crate) enum SignedIn {
    /// There is a session.
    Open(Tokens),
    /// The token for the second step.
    SecondFactor(SecretString),
}

impl AuthService {
    /// The providers that must be kept fresh.
    pub(crate) fn providers(&self) -> Vec<Arc<Provider>> {
        self.sign_ins
            .all()
            .map(|(_, provider)| Arc::clone(provider))
            .collect()
    }

    /// The names of the providers.
    pub(crate) fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.sign_ins.names()
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`SignInError::UnknownProvider`], [`AuthError::Invalid`], [`AuthError::KeysAway`].
    pub(crate) async fn start_sign_in(
        &self,
        ctx: &CallContext,
        request: StartRequest,
    ) -> Result<Started, AuthError> {
        let provider = self.sign_ins.find(&request.provider)?;
        self.wanted_workspace(&request.workspace_id)?;
        let mut fields = Fields::default();
        let return_to = self.sign_ins.returns.check(&request.return_to);
        let Some(return_to) = fields.take("return_to", return_to) else {
            return Err(fields.into_error());
        };
        let now = ctx.now.timestamp();
        let claims = SignInClaims {
            aud: String::new(),
            exp: now + SignInKey::LIFETIME.num_seconds(),
            iat: now,
            jti: Uuid::new_v4().to_string(),
            provider: request.provider,
            return_to,
            workspace_id: request.workspace_id,
        };
        let secrets = self.sign_ins.key.secrets(&claims.jti);
        let location = provider.authorization_url(&secrets).await.map_err(refused)?;
        Ok(Started {
            location,
            token: self.sign_ins.key.sign(&claims)?.into(),
        })
    }

    /// Finishes a sign-in; answers also where the browser was to go.
    ///
    /// # Errors
    /// [`AuthError::SignIn`], [`AuthError::KeysAway`], [`AuthError::TooManyGuesses`], [`AuthError::RegistrationClosed`] for
    /// a person who is not known, or what can go wrong with a login.
    pub(crate) async fn finish_sign_in(
        &self,
        ctx: &CallContext,
        request: FinishRequest,
    ) -> Result<(SignedIn, Option<String>), AuthError> {
        let provider = self.sign_ins.find(&request.provider)?;
        // Shows nothing, so guesses at nothing: a page elsewhere can make any browser send it.
        if request.token.expose_secret().is_empty() {
            return Err(SignInError::Expired.into());
        }
        let guess = self.may_guess(ctx, Target::SignIn).await?;
        let answer = self.finish(ctx, provider, request).await;
        if let Err(AuthError::SignIn(error)) = &answer
            && error.is_guess()
        {
            self.was_wrong(ctx, &guess, None).await?;
        }
        answer
    }

    async fn finish(
        &self,
        ctx: &CallContext,
        provider: &Provider,
        request: FinishRequest,
    ) -> Result<(SignedIn, Option<String>), AuthError> {
        let under_way = self.under_way(ctx, &request)?;
        let issuer = (!request.issuer.is_empty()).then_some(request.issuer.as_str());
        provider.check_issuer(issuer).await.map_err(refused)?;
        if !request.error.is_empty() {
            return Err(denied(&request.error));
        }
        let code = request.code.expose_secret();
        if code.is_empty() {
            return Err(SignInError::Refused.into());
        }
        self.use_up(ctx, &under_way).await?;
        let secrets = self.sign_ins.key.secrets(&under_way.jti);
        let answer = CallbackAnswer { code, issuer };
        let person = provider
            .redeem(answer, &secrets, ctx.now)
            .await
            .map_err(refused)?;
        let signed_in = self.come_in(ctx, &under_way, person).await?;
        Ok((signed_in, under_way.return_to))
    }

    /// The sign-in that this browser began at this provider, if it is the one that is being finished.
    fn under_way(&self, ctx: &CallContext, request: &FinishRequest) -> Result<SignInClaims, SignInError> {
        let claims = self.sign_ins.key.verify(request.token.expose_secret(), ctx.now);
        let claims = claims.map_err(|error| {
            tracing::info!(
                reason = error.reason(),
                "what a browser kept of a sign-in was refused"
            );
            SignInError::Expired
        })?;
        let own = self.sign_ins.key.secrets(&claims.jti).state;
        let answered = same_text(&own, request.state.expose_secret());
        match answered && claims.provider == request.provider {
            true => Ok(claims),
            false => {
                tracing::info!(reason = "state", "the answer to another sign-in was refused");
                Err(SignInError::Expired)
            }
        }
    }

    /// Notes that the sign-in is finished, before its code goes anywhere: whoever comes with it again is refused.
    async fn use_up(&self, ctx: &CallContext, claims: &SignInClaims) -> Result<(), AuthError> {
        let end = DateTime::from_timestamp(claims.exp, 0).ok_or(SignInError::Expired)?;
        let proof = Proof::new(USED, &claims.jti, end);
        match self.store.use_proof(&proof, ctx.now).await? {
            true => Ok(()),
            false => {
                tracing::info!(
                    reason = "used",
                    "a sign-in that was finished came again and was refused"
                );
                Err(SignInError::Expired.into())
            }
        }
    }

    /// Opens the session of a person whom a provider proved, or asks for the second factor.
    async fn come_in(
        &self,
        ctx: &CallContext,
        claims: &SignInClaims,
        person: Person,
    ) -> Result<SignedIn, AuthError> {
        let email_verified = person.email_verified;
        let wanted = self.wanted_workspace(&claims.workspace_id)?;
        let user = self.person(ctx, person).await?;
        // Before anything is said of workspaces: whoever is kept out hears what a stranger hears (EXC-07).
        if self.store.is_disabled(user).await? {
            return Err(SignInError::Refused.into());
        }
        let membership = self.enter(ctx, user, wanted).await?;
        let method = claims.provider.as_str();
        let second = self.second_step_of(ctx, user, &membership, method, String::new());
        if let Some(token) = second.await? {
            return Ok(SignedIn::SecondFactor(token));
        }
        let tokens = self.open_tokens(ctx, user, &membership, |fact| {
            fact.detail("method", method)
                .detail("email_verified", email_verified)
        });
        tokens.await.map(SignedIn::Open)
    }

    async fn open_tokens(
        &self,
        ctx: &CallContext,
        user: UserId,
        membership: &Membership,
        describe: impl FnOnce(causeway_outbox::OutboxEvent) -> causeway_outbox::OutboxEvent,
    ) -> Result<Tokens, AuthError> {
        let refresh = self.refresh_key.first();
        let opening = Opening {
            user,
            membership,
            assurance: Assurance::default(),
            refresh: Some(&refresh),
            proof: None,
            password: None,
            asks_factor: true,
        };
        let opened = self.open(ctx, opening, describe).await;
        let (session, access) = opened.map_err(|error| match error {
            AuthError::SubjectRefused => SignInError::Refused.into(),
            other => other,
        })?;
        Ok(Tokens {
            access,
            access_life: self.access_life,
            refresh,
            workspace: membership.workspace,
            session,
        })
    }

    /// The person whom a provider proved; made if this is the first time and anybody may come (EXC-07).
    pub(super) async fn person(&self, ctx: &CallContext, person: Person) -> Result<UserId, AuthError> {
        let identity = Identity {
            provider: ProviderKind::Oidc,
            issuer: person.issuer,
            subject: person.subject,
        };
        self.member(ctx, identity, self.sign_ins.open).await
    }
}

/// What an `error` of the provider means. It comes by way of the browser: nothing of it is shown or kept.
fn denied(word: &str) -> AuthError {
    match DENIALS.contains(&word) {
        true => SignInError::Denied.into(),
        false => {
            tracing::warn!("an identity provider answered a sign-in with an error of its own");
            SignInError::Refused.into()
        }
    }
}

/// The reason is for the log alone (JWT-05). A provider that cannot be asked calls nobody a liar (EXC-08).
pub(super) fn refused(error: ProviderError) -> AuthError {
    match error {
        ProviderError::Refused(refusal) => {
            tracing::info!(reason = refusal.reason(), "an ID token was refused");
            SignInError::Refused.into()
        }
        ProviderError::Code => {
            tracing::info!(reason = "code", "an identity provider did not take a code");
            SignInError::Refused.into()
        }
        ProviderError::Away { retry_after } => AuthError::KeysAway(retry_after),
    }
}
