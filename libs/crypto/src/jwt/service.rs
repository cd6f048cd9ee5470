//! Service tokens: which service calls which, for one RPC, on whose behalf.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::compact::{MacKey, sign, verify};
use super::{Reason, Span, TokenError};
use crate::derive::{self, Purpose};

const TYP: &str = "svc+jwt";
/// The longest life of a service token (SVC-02).
const LONGEST_SECONDS: i64 = 60;
/// The issuer of tokens that people make for themselves; only it may name every method.
const OPERATOR: &str = "operator";
const EVERY_METHOD: &str = "*";

/// What a service token says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceClaims {
    /// The service that calls.
    pub iss: String,
    /// The service that is called.
    pub aud: String,
    /// The path of the RPC; `*` for every RPC of an operator.
    pub method: String,
    /// Its own id.
    pub jti: String,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// The request at the door.
    pub request_id: String,
    /// The end user on whose behalf, opaque here; null when the service acts for itself.
    pub caller: serde_json::Value,
}

/// Signs and verifies service tokens. Its keys follow from `INTERNAL_SERVICE_SECRET`, which itself is never a MAC key.
pub struct ServiceTokenKeys {
    current: MacKey,
    previous: Option<MacKey>,
}

impl ServiceTokenKeys {
    /// Keys of the current root, and of the previous one during a rotation. Only the current one signs.
    pub fn new(current: &SecretString, previous: Option<&SecretString>) -> Self {
        Self {
            current: mac_key(current),
            previous: previous.map(mac_key),
        }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`TokenError`] for claims that [`ServiceTokenKeys::verify`] would never accept.
    pub fn sign(&self, claims: &ServiceClaims) -> Result<String, TokenError> {
        span(claims).check_length(LONGEST_SECONDS)?;
        sign(&self.current, TYP, claims)
    }

    /// The claims of a token that is genuine, in force, and made for the RPC `method` of the service `audience`.
    ///
    /// # Errors
    /// [`TokenError`], which looks the same for every cause.
    pub fn verify(
        &self,
        token: &str,
        audience: &str,
        method: &str,
        now: DateTime<Utc>,
    ) -> Result<ServiceClaims, TokenError> {
        let keys = [Some(&self.current), self.previous.as_ref()];
        let claims: ServiceClaims = verify(keys.into_iter().flatten(), TYP, token)?;
        if claims.iss.is_empty() || claims.jti.is_empty() {
            return Err(Reason::Claims.into());
        }
        if claims.aud != audience {
            return Err(Reason::Audience.into());
        }
        let every = claims.method == EVERY_METHOD && claims.iss == OPERATOR;
        if !every && (claims.method != method || method == EVERY_METHOD) {
            return Err(Reason::Method.into());
        }
        span(&claims).check(LONGEST_SECONDS, now)?;
        Ok(claims)
    }
}

impl fmt::Debug for ServiceTokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenKeys").finish_non_exhaustive()
    }
}

fn mac_key(root: &SecretString) -> MacKey {
    MacKey::new(&*derive::key(
        root.expose_secret().as_bytes(),
        Purpose::ServiceTokens,
    ))
}

fn span(claims: &ServiceClaims) -> Span {
    Span {
        issued: claims.iat,
        from: claims.iat,
        until: claims.exp,
    }
}
