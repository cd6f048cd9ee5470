//! Service tokens: which service calls which, for one RPC, on whose behalf.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::compact::{Accepted, Signer, is_kind, payload, read_claims};
use super::key::SigningKey;
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
    signer: Signer,
    /// The signer's own, and the previous one during a rotation.
    accepted: Vec<Accepted>,
}

impl ServiceTokenKeys {
    /// Keys of the current root, and of the previous one during a rotation. Only the current one signs.
    pub fn new(current: &SecretString, previous: Option<&SecretString>) -> Self {
        let (signer, current) = keys_of(current);
        let previous = previous.map(|root| keys_of(root).1);
        Self {
            signer,
            accepted: std::iter::once(current).chain(previous).collect(),
        }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`TokenError`] for claims that [`ServiceTokenKeys::verify`] would never accept.
    pub fn sign(&self, claims: &ServiceClaims) -> Result<String, TokenError> {
        span(claims).check_length(LONGEST_SECONDS)?;
        self.signer.sign(claims)
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
        let claims: ServiceClaims = read_claims(&payload(&self.accepted, token, |typ| is_kind(typ, TYP))?)?;
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

fn keys_of(root: &SecretString) -> (Signer, Accepted) {
    let key = derive::key(root.expose_secret().as_bytes(), Purpose::Service);
    Signer::new(SigningKey::from_secret(&*key), TYP).expect("a secret needs no parsing")
}

fn span(claims: &ServiceClaims) -> Span {
    Span {
        issued: claims.iat,
        from: claims.iat,
        until: claims.exp,
    }
}
