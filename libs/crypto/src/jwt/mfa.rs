//! Tokens between the two steps of a login (`mfa+jwt`): the password was right, the second factor is to come. Auth alone
//! makes and reads them, under a key of their own, so nothing else ever takes one for an access token (MFA-06).

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::compact::{Accepted, Signer, is_kind, payload, read_claims};
use super::key::SigningKey;
use super::{Reason, Span, TokenError};
use crate::derive::{self, Purpose};

const TYP: &str = "mfa+jwt";
const AUDIENCE: &str = "auth";

/// What a token between the steps of a login says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MfaClaims {
    /// For whom: always `auth`, whatever is given here.
    pub aud: String,
    /// The person.
    pub sub: String,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it begins.
    pub nbf: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own id: it opens one session.
    pub jti: String,
    /// The workspace to enter.
    pub workspace_id: String,
    /// How the person was proven.
    pub method: String,
    /// A fingerprint of what the person was proven by: when that changes, the token proves nothing more.
    pub proof: String,
}

/// The key of these tokens. It follows from a configured secret and is that of nothing else.
pub struct MfaTokenKey {
    signer: Signer,
    accepted: [Accepted; 1],
}

impl MfaTokenKey {
    /// How long a token lives.
    pub const LIFETIME: TimeDelta = TimeDelta::minutes(5);

    /// The key that follows from `secret`.
    pub fn new(secret: &SecretString) -> Self {
        let key = derive::key(secret.expose_secret().as_bytes(), Purpose::Mfa);
        let (signer, accepted) =
            Signer::new(SigningKey::from_secret(&*key), TYP).expect("a secret needs no parsing");
        Self {
            signer,
            accepted: [accepted],
        }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`TokenError`] for claims that [`MfaTokenKey::verify`] would never accept.
    pub fn sign(&self, claims: &MfaClaims) -> Result<String, TokenError> {
        span(claims).check_length(Self::LIFETIME.num_seconds())?;
        self.signer.sign(&MfaClaims {
            aud: AUDIENCE.to_owned(),
            ..claims.clone()
        })
    }

    /// The claims of a token that is genuine and in force.
    ///
    /// # Errors
    /// [`TokenError`], which looks the same for every cause.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<MfaClaims, TokenError> {
        let claims: MfaClaims = read_claims(&payload(&self.accepted, token, |typ| is_kind(typ, TYP))?)?;
        if claims.aud != AUDIENCE {
            return Err(Reason::Audience.into());
        }
        if claims.sub.is_empty() || claims.jti.is_empty() {
            return Err(Reason::Claims.into());
        }
        span(&claims).check(Self::LIFETIME.num_seconds(), now)?;
        Ok(claims)
    }
}

impl fmt::Debug for MfaTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MfaTokenKey").finish_non_exhaustive()
    }
}

const fn span(claims: &MfaClaims) -> Span {
    Span {
        issued: claims.iat,
        from: claims.nbf,
        until: claims.exp,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::{AccessTokenKey, ServiceTokenKeys};

    const SECRET: &str = "a secret of the tests, 32 bytes or more";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn claims() -> MfaClaims {
        MfaClaims {
            aud: "whatever".to_owned(),
            sub: "person".to_owned(),
            exp: at(300).timestamp(),
            nbf: at(0).timestamp(),
            iat: at(0).timestamp(),
            jti: "id".to_owned(),
            workspace_id: "workspace".to_owned(),
            method: "password".to_owned(),
            proof: "fingerprint".to_owned(),
        }
    }

    fn key() -> MfaTokenKey {
        MfaTokenKey::new(&SECRET.into())
    }

    #[test]
    fn a_token_is_for_auth_and_for_five_minutes() {
        let token = key().sign(&claims()).expect("signed");
        assert_eq!(key().verify(&token, at(0)).expect("genuine").aud, "auth");
        assert!(key().verify(&token, at(304)).is_ok());
        let late = key().verify(&token, at(305)).expect_err("refused");
        assert_eq!(late.reason(), "expired");
        let long = MfaClaims {
            exp: at(301).timestamp(),
            ..claims()
        };
        assert_eq!(key().sign(&long).expect_err("refused").reason(), "lifetime");
    }

    #[test]
    fn another_audience_is_refused_under_the_right_key() {
        let signer = key().signer;
        let token = signer.sign(&claims()).expect("signed");
        let refused = key().verify(&token, at(0)).expect_err("refused");
        assert_eq!(refused.reason(), "audience");
    }

    #[test]
    fn no_other_kind_of_token_is_taken_and_none_takes_this() {
        let access = AccessTokenKey::new(&SECRET.into(), None, None);
        let service = ServiceTokenKeys::new(&SECRET.into(), None);
        let token = key().sign(&claims()).expect("signed");
        assert!(access.verify(&token, at(0)).is_err());
        assert!(service.verify(&token, "auth", "/x", at(0)).is_err());
        let (_, signature) = token.rsplit_once('.').expect("dots");
        let (_, body) = token.split_once('.').expect("dots");
        for typ in ["at+jwt", "svc+jwt", "JWT"] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#));
            let renamed = format!("{header}.{body}");
            assert!(key().verify(&renamed, at(0)).is_err(), "{typ} {signature}");
            assert!(access.verify(&renamed, at(0)).is_err(), "{typ}");
        }
    }

    #[test]
    fn another_secret_makes_another_key() {
        let other = MfaTokenKey::new(&"another secret".into());
        let token = other.sign(&claims()).expect("signed");
        assert_eq!(
            key().verify(&token, at(0)).expect_err("refused").reason(),
            "signature"
        );
    }
}
