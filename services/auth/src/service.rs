//! Use cases: one method per RPC, over the ports to the store and to tenancy.

mod api_keys;
mod catalogue;
mod clients;
mod devices;
mod exchange;
mod introspect;
mod leaks;
mod limits;
mod login;
mod me;
mod metadata;
mod mfa;
mod oidc;
mod persons;
mod reclaim;
mod refresh;
mod register;
mod reset;
mod revoke;
mod scanned;
mod session;
mod sessions;
mod standing;
mod token_endpoint;
mod tokens;
mod verification;
mod verified;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_context::{CallContext, SessionId, WorkspaceId};
use causeway_crypto::token::RefreshTokenKey;
use causeway_crypto::{AccessClaims, AccessTokenKeys, JwkSet, Peppers};
use causeway_errors::Violation;
use causeway_outbox::RelayHandle;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::{NoContext, Timestamp, Uuid};

use crate::breached::{BreachedPasswords, CommonPasswords};
use crate::config::Config;
use crate::domain::{Invalid, RefreshToken, Scopes, Session};
use crate::error::AuthError;
use crate::mailer::Post;
use crate::oidc::SignIns;
use crate::passwords::Passwords;
use crate::scanning::ScanningKeys;
use crate::store::AuthStore;
use crate::subject::ClerkSessions;
use crate::tenancy::{Membership, Tenancy};

pub(crate) use catalogue::permissions;
pub(crate) use clients::{ClientChange, CreateClientRequest, RotationEnd, WithSecret};
pub(crate) use exchange::{ExchangeRequest, Exchanged};
pub(crate) use introspect::Introspected;
pub(crate) use login::{LoggedIn, LoginRequest};
pub(crate) use metadata::Metadata;
pub(crate) use mfa::{Elevated, FactorState};
pub(crate) use oidc::{FinishRequest, SignedIn, StartRequest};
pub(crate) use register::RegisterRequest;
pub(crate) use revoke::RevokeRequest;
pub(crate) use scanned::{ScanReport, Scanned};
pub(crate) use standing::Standing;
pub(crate) use token_endpoint::{ClientCredentials, Granted, TokenRequest};
pub(crate) use tokens::CreateTokenRequest;

pub(crate) use sessions::current;

use session::Assurance;
use verified::VerifiedClients;

/// The use cases.
pub(crate) struct AuthService {
    store: Arc<dyn AuthStore>,
    tenancy: Arc<dyn Tenancy>,
    /// Nothing when the exchange is switched off.
    clerk: Option<Arc<dyn ClerkSessions>>,
    relay: RelayHandle,
    passwords: Passwords,
    breached: Arc<dyn BreachedPasswords>,
    mail: Post,
    access_keys: Arc<AccessTokenKeys>,
    refresh_key: RefreshTokenKey,
    peppers: Peppers,
    verified: VerifiedClients,
    /// Whose reports of tokens that were found are believed; nobody's when absent.
    scanning: Option<Arc<ScanningKeys>>,
    metadata: Option<Metadata>,
    mfa: mfa::Factors,
    sign_ins: SignIns,
    /// Whom our tokens are for.
    audience: Option<String>,
    issuer: Option<String>,
    access_life: TimeDelta,
    refresh_life: TimeDelta,
    session_life: TimeDelta,
    refresh_grace: TimeDelta,
    device_life: Option<TimeDelta>,
    platform_owner: Option<WorkspaceId>,
    registration_open: bool,
    single_tenant: bool,
}

/// The tokens of a session, for the client.
pub(crate) struct Tokens {
    /// The JWT.
    pub(crate) access: SecretString,
    /// How long it lives.
    pub(crate) access_life: TimeDelta,
    /// What continues the session.
    pub(crate) refresh: SecretString,
    /// The workspace of the session.
    pub(crate) workspace: WorkspaceId,
    /// The session.
    pub(crate) session: SessionId,
}

impl AuthService {
    /// The use cases over those ports.
    pub(crate) fn new(
        config: &Config,
        store: Arc<dyn AuthStore>,
        tenancy: Arc<dyn Tenancy>,
        clerk: Option<Arc<dyn ClerkSessions>>,
        relay: RelayHandle,
        passwords: Passwords,
    ) -> Self {
        Self {
            store,
            tenancy,
            clerk,
            relay,
            passwords,
            breached: Arc::new(CommonPasswords),
            mail: Post::default(),
            access_keys: Arc::clone(&config.access_keys),
            refresh_key: RefreshTokenKey::new(&config.refresh_secret),
            peppers: Peppers::new(config.pepper.as_ref(), config.former_pepper.as_ref()),
            verified: VerifiedClients::default(),
            scanning: None,
            metadata: Metadata::of(config.mail.links.as_deref(), config.issuer.as_deref()),
            mfa: mfa::Factors::new(config),
            sign_ins: SignIns::new(config),
            audience: config.audience.clone(),
            issuer: config.issuer.clone(),
            access_life: config.access_life,
            refresh_life: config.refresh_life,
            session_life: config.session_life,
            refresh_grace: config.refresh_grace,
            device_life: config.device_life,
            platform_owner: config.platform_owner,
            registration_open: config.registration_open,
            single_tenant: config.single_tenant,
        }
    }

    /// The same use cases, whose mail goes that way.
    pub(crate) fn with_mail(self, mail: Post) -> Self {
        Self { mail, ..self }
    }

    /// The same use cases, which ask that list for passwords that others know.
    pub(crate) fn with_breached(self, breached: Arc<dyn BreachedPasswords>) -> Self {
        Self { breached, ..self }
    }

    /// The public keys of access tokens; none while a secret signs.
    pub(crate) fn jwks(&self) -> JwkSet {
        self.access_keys.jwks()
    }

    /// Lets the log have a fact before the answer goes out, if the log is quick. The fact is safe in the outbox anyway.
    async fn settle(&self, fact: Uuid) {
        if !self.relay.delivered(fact).await {
            tracing::debug!(%fact, "the audit log has a fact later than the client its answer");
        }
    }

    fn access_token(
        &self,
        ctx: &CallContext,
        session: &Session,
        membership: &Membership,
        assurance: Assurance,
    ) -> Result<SecretString, AuthError> {
        let now = ctx.now.timestamp();
        let claims = AccessClaims {
            iss: None,
            aud: None,
            sub: session.user.to_string(),
            exp: now + self.access_life_until(ctx, assurance.ends).num_seconds(),
            nbf: now,
            iat: now,
            jti: issued_id(ctx.now).to_string(),
            sid: session.id.to_string(),
            workspace_id: membership.workspace.to_string(),
            roles: vec![membership.role.clone()],
            perm: membership.claimed(),
            scope: assurance.scope.join(" "),
            mfa: assurance.factor.is_some(),
            mfa_required: self.mfa.enforced && membership.mfa_required,
            mfa_enrolled: self.mfa.enforced && assurance.enrolled,
            act: assurance.act,
            client_id: None,
        };
        Ok(self.access_keys.sign(&claims)?.into())
    }

    /// A refresh token that is issued now. It never outlives its session (REF-05).
    fn refresh_token(&self, ctx: &CallContext, session: &Session, text: &str) -> RefreshToken {
        RefreshToken {
            hash: self.refresh_key.hash(text),
            session: session.id,
            generation: 0,
            issued_at: ctx.now,
            expires_at: (ctx.now + self.refresh_life).min(session.expires_at),
            used_at: None,
        }
    }
}

/// An id that tells when it was made to the millisecond, where `iat` has seconds: gateways compare it with the time of a
/// revocation (REF-06).
fn issued_id(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let made = Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos());
    Uuid::new_v7(made)
}

/// The same call under the name of another RPC, whose audit action says what was done.
fn as_rpc(ctx: &CallContext, path: &str) -> CallContext {
    CallContext {
        method: causeway_contracts::method(path).unwrap_or(ctx.method),
        ..ctx.clone()
    }
}

/// Collects what is wrong with the fields of a request, so that a client hears all of it at once.
#[derive(Default)]
struct Fields(Vec<Violation>);

impl Fields {
    /// The value of a field, or nothing and a violation.
    fn take<T>(&mut self, field: &str, value: Result<T, Invalid>) -> Option<T> {
        value.map_err(|invalid| self.wrong(field, invalid)).ok()
    }

    fn wrong(&mut self, field: impl Into<String>, invalid: Invalid) {
        self.0.push(Violation {
            field: field.into(),
            description: invalid.to_owned(),
        });
    }

    /// Scopes that the caller holds: granting needs holding (RBAC-04).
    fn scopes(&mut self, field: &str, asked: Vec<String>, ctx: &CallContext) -> Option<Scopes> {
        match Scopes::of(asked, &ctx.caller.permissions) {
            Ok(scopes) => Some(scopes),
            Err(missing) => {
                for index in missing {
                    self.wrong(format!("{field}[{index}]"), "is not a permission that you hold");
                }
                None
            }
        }
    }

    fn into_error(self) -> AuthError {
        AuthError::Invalid(self.0)
    }
}
