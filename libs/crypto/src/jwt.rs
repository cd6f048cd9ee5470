//! Our kinds of JWT: access tokens (`at+jwt`), service tokens (`svc+jwt`) and those between the two steps of a login
//! (`mfa+jwt`) or before a sign-in elsewhere (`sign-in+jwt`), and the strict reading of each; and the same strictness for tokens that others signed.

mod access;
mod claims;
mod compact;
mod foreign;
mod key;
mod mfa;
mod pem;
mod private;
mod public;
mod service;
mod sign_in;
mod unique;

pub use access::{AccessTokenKey, AccessTokenKeys};
pub use claims::{AccessClaims, Actor};
pub use compact::{fits_jwt, fits_kid, named_key};
pub use foreign::{ForeignAlgorithm, ForeignKey, ForeignToken, RsaKey, RsaKeyError, Validity, half_hash};
pub use key::{KeyTextError, SigningAlgorithm};
pub use mfa::{MfaClaims, MfaTokenKey};
pub use public::{Jwk, JwkSet, PublicKey};
pub use service::{ServiceClaims, ServiceTokenKeys};
pub use sign_in::{SignInClaims, SignInKey, SignInSecrets};

use chrono::{DateTime, Utc};

/// By how many seconds the clocks of two machines may differ.
const SKEW_SECONDS: i64 = 5;

/// A token that proves nothing. One text for every cause (JWT-05); [`TokenError::reason`] is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error)]
#[error("invalid token")]
pub struct TokenError(Reason);

impl TokenError {
    /// What was wrong, as a stable word for the log.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            Reason::Unspecified => "unspecified",
            Reason::Shape => "shape",
            Reason::Signature => "signature",
            Reason::Header => "header",
            Reason::Key => "key",
            Reason::Algorithm => "algorithm",
            Reason::Kind => "kind",
            Reason::Claims => "claims",
            Reason::Issuer => "issuer",
            Reason::Audience => "audience",
            Reason::Method => "method",
            Reason::NotYet => "not_yet",
            Reason::Expired => "expired",
            Reason::Lifetime => "lifetime",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reason {
    #[default]
    Unspecified,
    Shape,
    Signature,
    Header,
    Key,
    Algorithm,
    Kind,
    Claims,
    Issuer,
    Audience,
    Method,
    NotYet,
    Expired,
    Lifetime,
}

impl From<Reason> for TokenError {
    fn from(reason: Reason) -> Self {
        Self(reason)
    }
}

/// From when to when a token proves anything.
#[derive(Clone, Copy)]
struct Span {
    issued: i64,
    from: i64,
    until: i64,
}

impl Span {
    /// Whether the token may exist at all: it lives, and not longer than it may.
    fn check_length(self, longest: i64) -> Result<(), Reason> {
        let counted = self.issued >= 0 && self.from >= 0;
        let length = self.until.checked_sub(self.issued).filter(|_| counted);
        match length {
            Some(length) if length > 0 && length <= longest => Ok(()),
            Some(_) | None => Err(Reason::Lifetime),
        }
    }

    /// Whether it proves something now (JWT-09).
    fn check(self, longest: i64, now: DateTime<Utc>) -> Result<(), Reason> {
        let now = now.timestamp();
        self.check_length(longest)?;
        if self.issued > now + SKEW_SECONDS || self.from > now + SKEW_SECONDS {
            return Err(Reason::NotYet);
        }
        if self.until <= now - SKEW_SECONDS {
            return Err(Reason::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
