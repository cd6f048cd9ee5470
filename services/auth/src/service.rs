//! Use cases: one method per RPC, over the ports to the store and to tenancy.

mod catalogue;
mod exchange;
mod login;
mod me;
mod refresh;
mod register;
mod session;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use causeway_context::{CallContext, SessionId, WorkspaceId};
use causeway_crypto::token::RefreshTokenKey;
use causeway_crypto::{AccessClaims, AccessTokenKey};
use causeway_errors::Violation;
use causeway_outbox::RelayHandle;
use chrono::TimeDelta;
use secrecy::SecretString;
use uuid::Uuid;

use crate::config::Config;
use crate::domain::{Invalid, RefreshToken, Session};
use crate::error::AuthError;
use crate::passwords::Passwords;
use crate::store::AuthStore;
use crate::subject::ClerkSessions;
use crate::tenancy::{Membership, Tenancy};

pub(crate) use catalogue::permissions;
pub(crate) use exchange::{ExchangeRequest, Exchanged};
pub(crate) use login::LoginRequest;
pub(crate) use register::RegisterRequest;
pub(crate) use tokens::CreateTokenRequest;

use session::Assurance;

/// The use cases.
pub(crate) struct AuthService {
    store: Arc<dyn AuthStore>,
    tenancy: Arc<dyn Tenancy>,
    /// Nothing when the exchange is switched off.
    clerk: Option<Arc<dyn ClerkSessions>>,
    relay: RelayHandle,
    passwords: Passwords,
    access_key: AccessTokenKey,
    refresh_key: RefreshTokenKey,
    access_life: TimeDelta,
    refresh_life: TimeDelta,
    registration_open: bool,
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
        let (issuer, audience) = (config.issuer.clone(), config.audience.clone());
        Self {
            store,
            tenancy,
            clerk,
            relay,
            passwords,
            access_key: AccessTokenKey::new(&config.signing_secret, issuer, audience)
                .with_max_lifetime(config.access_life),
            refresh_key: RefreshTokenKey::new(&config.refresh_secret),
            access_life: config.access_life,
            refresh_life: config.refresh_life,
            registration_open: config.registration_open,
        }
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
            exp: now + self.access_life.num_seconds(),
            nbf: now,
            iat: now,
            jti: Uuid::now_v7().to_string(),
            sid: session.id.to_string(),
            workspace_id: membership.workspace.to_string(),
            roles: vec![membership.role.clone()],
            scope: String::new(),
            mfa: assurance.mfa,
            act: assurance.act,
        };
        Ok(self.access_key.sign(&claims)?.into())
    }

    fn refresh_token(&self, ctx: &CallContext, session: SessionId, text: &str) -> RefreshToken {
        RefreshToken {
            hash: self.refresh_key.hash(text),
            session,
            issued_at: ctx.now,
            expires_at: ctx.now + self.refresh_life,
            used_at: None,
        }
    }
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

    fn into_error(self) -> AuthError {
        AuthError::Invalid(self.0)
    }
}
