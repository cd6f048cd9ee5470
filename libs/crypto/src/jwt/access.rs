//! Access tokens: whom the gateway lets in.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::compact::{MacKey, sign, verify};
use super::{Reason, Span, TokenError};

const TYP: &str = "at+jwt";
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// What an access token says (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it, when an issuer is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom, when an audience is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// The person.
    pub sub: String,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it begins.
    pub nbf: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own id.
    pub jti: String,
    /// The session it belongs to.
    pub sid: String,
    /// The workspace it is good for.
    pub workspace_id: String,
    /// The person's roles there.
    pub roles: Vec<String>,
    /// Permissions, separated by blanks, to which it is narrowed; empty narrows nothing.
    pub scope: String,
    /// Whether a second factor was passed.
    pub mfa: bool,
    /// Who really acts, where somebody acts in the name of the person (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

/// Who acts in the name of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who knows the actor by that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The actor.
    pub sub: String,
}

/// Signs and verifies access tokens. Changing the secret voids every token (B-AUTH-15).
pub struct AccessTokenKey {
    key: MacKey,
    issuer: Option<String>,
    audience: Option<String>,
    longest_seconds: i64,
}

impl AccessTokenKey {
    /// A key for tokens that live at most 15 minutes. An issuer or audience is demanded once it is given (B-AUTH-14).
    pub fn new(secret: &SecretString, issuer: Option<String>, audience: Option<String>) -> Self {
        let key = MacKey::new(secret.expose_secret().as_bytes());
        Self {
            key,
            issuer,
            audience,
            longest_seconds: DEFAULT_LIFETIME.num_seconds(),
        }
    }

    /// The same key for tokens that may live as long as `longest` (`AUTH_ACCESS_TOKEN_TTL_MINUTES`). Who signs and who
    /// verifies must agree on it.
    #[must_use]
    pub fn with_max_lifetime(mut self, longest: TimeDelta) -> Self {
        self.longest_seconds = longest.num_seconds();
        self
    }

    /// Signs a token. Issuer and audience are the key's, whatever the claims say.
    ///
    /// # Errors
    /// [`TokenError`] for claims that [`AccessTokenKey::verify`] would never accept.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, TokenError> {
        span(claims).check_length(self.longest_seconds)?;
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            ..claims.clone()
        };
        sign(&self.key, TYP, &claims)
    }

    /// The claims of a token that is genuine and in force.
    ///
    /// # Errors
    /// [`TokenError`], which looks the same for every cause.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<AccessClaims, TokenError> {
        let claims: AccessClaims = verify([&self.key], TYP, token)?;
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(Reason::Issuer.into());
        }
        if self.audience.is_some() && claims.aud != self.audience {
            return Err(Reason::Audience.into());
        }
        if claims.sub.is_empty() || claims.jti.is_empty() || claims.sid.is_empty() {
            return Err(Reason::Claims.into());
        }
        span(&claims).check(self.longest_seconds, now)?;
        Ok(claims)
    }
}

impl fmt::Debug for AccessTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenKey").finish_non_exhaustive()
    }
}

fn span(claims: &AccessClaims) -> Span {
    Span {
        issued: claims.iat,
        from: claims.nbf,
        until: claims.exp,
    }
}
