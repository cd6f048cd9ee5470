//! Session tokens of one Clerk instance, versions 1 and 2.
//!
//! Stricter than Clerk's own verifier: the issuer is compared, `azp` must be there and be listed, a pending session is
//! refused, a key belongs to its issuer.

mod claims;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use causeway_crypto::{Actor, ForeignToken, TokenError, Validity};
use causeway_egress::Egress;
use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::jwks::{Clock, Jwks, JwksUrl, KeyError};
use claims::Claims;
pub(crate) use claims::{Audience, MAX_ID_BYTES};

/// By how much Clerk's clock and ours may differ (JWT-09).
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// Which Clerk instance is trusted, and with what.
#[derive(Debug, Clone)]
pub struct ClerkOptions {
    /// Where its keys are.
    pub keys: JwksUrl,
    /// What its tokens carry as `iss`, exactly.
    pub issuer: String,
    /// What its tokens must carry as `aud`; not looked at when absent.
    pub audience: Option<String>,
    /// The frontends that a token may be made for (`azp`). None is accepted when empty.
    pub authorized_parties: Vec<String>,
    /// How much of its life a token may have before it (EXC-06): sessions have a minute, templates may have years.
    pub longest: TimeDelta,
    /// Whether a token counts with which somebody acts in the name of the person (EXC-04).
    pub actors: bool,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClerkSession {
    /// The instance.
    pub issuer: String,
    /// The person, unique within the instance.
    pub subject: String,
    /// The session at Clerk.
    pub session: Option<String>,
    /// The frontend that the token was made for.
    pub party: String,
    /// The token's own id.
    pub token: Option<String>,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
    /// Who really acts: a person of support in the name of the user, or an agent.
    pub actor: Option<Actor>,
    /// The organization that is active.
    pub organization: Option<Organization>,
    /// Whether a second factor was passed in this session (EXC-05).
    pub second_factor: bool,
}

/// An organization at Clerk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// The person's role there, without the prefix `org:`.
    pub role: Option<String>,
}

/// Why a token proves nothing. One text for every cause; [`Refusal::reason`] is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid token")]
pub struct Refusal(Cause);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Token(TokenError),
    UnknownKey,
    Issuer,
    Party,
    Audience,
    Version,
    State,
    Life,
    Actor,
    Claims,
    Nonce,
    AccessToken,
}

impl Refusal {
    pub(crate) const ISSUER: Self = Self(Cause::Issuer);
    pub(crate) const AUDIENCE: Self = Self(Cause::Audience);
    pub(crate) const PARTY: Self = Self(Cause::Party);
    pub(crate) const CLAIMS: Self = Self(Cause::Claims);
    pub(crate) const NONCE: Self = Self(Cause::Nonce);
    pub(crate) const ACCESS_TOKEN: Self = Self(Cause::AccessToken);

    /// What was wrong, as a stable word for the log.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            Cause::Token(error) => error.reason(),
            Cause::UnknownKey => "unknown_key",
            Cause::Issuer => "issuer",
            Cause::Party => "authorized_party",
            Cause::Audience => "audience",
            Cause::Version => "version",
            Cause::State => "state",
            Cause::Life => "lifetime",
            Cause::Actor => "actor",
            Cause::Claims => "claims",
            Cause::Nonce => "nonce",
            Cause::AccessToken => "at_hash",
        }
    }
}

/// A token that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It proves nothing.
    #[error(transparent)]
    Refused(Refusal),
    /// It is genuine, but the person has something to do at Clerk before the session counts (EXC-03).
    #[error("the session is pending")]
    Pending,
    /// Nobody can tell now: the keys cannot be had (EXC-08).
    #[error("the keys of the issuer cannot be had")]
    KeysAway {
        /// When they are asked for again.
        retry_after: Duration,
    },
}

impl From<TokenError> for VerifyError {
    fn from(error: TokenError) -> Self {
        Self::Refused(Refusal(Cause::Token(error)))
    }
}

impl From<Cause> for VerifyError {
    fn from(cause: Cause) -> Self {
        Self::Refused(Refusal(cause))
    }
}

impl From<KeyError> for VerifyError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Cause::UnknownKey.into(),
            KeyError::Away { retry_after } => Self::KeysAway { retry_after },
        }
    }
}

/// Verifies session tokens of one Clerk instance.
#[derive(Debug)]
pub struct ClerkVerifier {
    keys: Arc<Jwks>,
    issuer: String,
    audience: Option<String>,
    authorized_parties: Vec<String>,
    longest: TimeDelta,
    actors: bool,
}

impl ClerkVerifier {
    /// A verifier without keys; [`ClerkVerifier::run`] fetches them and keeps them fresh.
    pub fn new(options: ClerkOptions, egress: Egress, clock: Clock) -> Self {
        Self {
            keys: Arc::new(Jwks::new(options.keys, egress, clock)),
            issuer: options.issuer,
            audience: options.audience,
            authorized_parties: options.authorized_parties,
            longest: options.longest,
            actors: options.actors,
        }
    }

    /// Keeps the keys fresh until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        Arc::clone(&self.keys).run(stop).await;
    }

    /// The session of a token that is genuine, in force and meant for us.
    ///
    /// # Errors
    /// [`VerifyError`]; every refusal looks the same.
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<ClerkSession, VerifyError> {
        let token = ForeignToken::read(token)?;
        let key = self.keys.find(token.kid()).await?;
        self.accept(token.verify(&key)?, now)
    }

    fn accept(&self, claims: Claims, now: DateTime<Utc>) -> Result<ClerkSession, VerifyError> {
        if claims.iss != self.issuer {
            return Err(Cause::Issuer.into());
        }
        let version = claims.version().ok_or(Cause::Version)?;
        Validity {
            issued: claims.iat,
            from: claims.nbf,
            until: claims.exp,
        }
        .check(now)?;
        if claims.exp.saturating_sub(now.timestamp()) > (self.longest + SKEW).num_seconds() {
            return Err(Cause::Life.into());
        }
        if !self.actors && claims.is_by_another() {
            return Err(Cause::Actor.into());
        }
        let party = claims
            .azp
            .as_ref()
            .filter(|azp| self.authorized_parties.contains(azp));
        let party = party.ok_or(Cause::Party)?.clone();
        if let Some(audience) = &self.audience
            && !claims.is_for(audience)
        {
            return Err(Cause::Audience.into());
        }
        match claims.sts.as_deref() {
            None | Some("active") => claims.session(version, party),
            Some("pending") => Err(VerifyError::Pending),
            Some(_) => Err(Cause::State.into()),
        }
    }
}
