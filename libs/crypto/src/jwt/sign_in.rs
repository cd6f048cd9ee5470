//! Tokens between the two halves of a sign-in at a provider (`sign-in+jwt`): the browser keeps one while its person is
//! away, so that nothing is kept here for somebody who may never come back. Auth alone makes and reads them.
//!
//! What the provider must echo or be shown (`state`, `nonce`, the PKCE verifier) is not in the token but follows from its
//! id and a key: whoever reads the token learns none of it.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::compact::{Accepted, Signer, is_kind, payload, read_claims};
use super::key::SigningKey;
use super::{Reason, Span, TokenError};
use crate::derive::{self, Purpose};

const TYP: &str = "sign-in+jwt";
const AUDIENCE: &str = "auth";

/// What the browser keeps of a sign-in that it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInClaims {
    /// For whom: always `auth`, whatever is given here.
    pub aud: String,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own id: it finishes one sign-in.
    pub jti: String,
    /// At which provider.
    pub provider: String,
    /// Where the person goes afterwards; checked before it was written here.
    pub return_to: Option<String>,
    /// The workspace to enter; empty for the oldest.
    pub workspace_id: String,
}

/// What belongs to one sign-in and to no other.
pub struct SignInSecrets {
    /// Comes back by way of the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Shown to the provider with the code (RFC 7636); 43 characters.
    pub verifier: SecretString,
}

impl fmt::Debug for SignInSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInSecrets").finish_non_exhaustive()
    }
}

/// The key of these tokens and of the secrets of each. It follows from a configured secret and is that of nothing else.
pub struct SignInKey {
    signer: Signer,
    accepted: [Accepted; 1],
    secrets: hmac::Key,
}

impl SignInKey {
    /// How long a person may take at the provider.
    pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

    /// The key that follows from `secret`.
    pub fn new(secret: &SecretString) -> Self {
        let root = secret.expose_secret().as_bytes();
        let key = derive::key(root, Purpose::SignIn);
        let (signer, accepted) =
            Signer::new(SigningKey::from_secret(&*key), TYP).expect("a secret needs no parsing");
        let secrets = derive::key(root, Purpose::SignInSecrets);
        Self {
            signer,
            accepted: [accepted],
            secrets: hmac::Key::new(hmac::HMAC_SHA256, &*secrets),
        }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`TokenError`] for claims that [`SignInKey::verify`] would never accept.
    pub fn sign(&self, claims: &SignInClaims) -> Result<String, TokenError> {
        span(claims).check_length(Self::LIFETIME.num_seconds())?;
        self.signer.sign(&SignInClaims {
            aud: AUDIENCE.to_owned(),
            ..claims.clone()
        })
    }

    /// The claims of a token that is genuine and in force.
    ///
    /// # Errors
    /// [`TokenError`], which looks the same for every cause.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<SignInClaims, TokenError> {
        let claims: SignInClaims = read_claims(&payload(&self.accepted, token, |typ| is_kind(typ, TYP))?)?;
        if claims.aud != AUDIENCE {
            return Err(Reason::Audience.into());
        }
        if claims.jti.is_empty() || claims.provider.is_empty() {
            return Err(Reason::Claims.into());
        }
        span(&claims).check(Self::LIFETIME.num_seconds(), now)?;
        Ok(claims)
    }

    /// What belongs to the sign-in of that id.
    pub fn secrets(&self, jti: &str) -> SignInSecrets {
        let derive = |purpose: &str| {
            let tag = hmac::sign(&self.secrets, format!("{purpose}\n{jti}").as_bytes());
            URL_SAFE_NO_PAD.encode(tag)
        };
        SignInSecrets {
            state: derive("state"),
            nonce: derive("nonce"),
            verifier: derive("verifier").into(),
        }
    }
}

impl fmt::Debug for SignInKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInKey").finish_non_exhaustive()
    }
}

const fn span(claims: &SignInClaims) -> Span {
    Span {
        issued: claims.iat,
        from: claims.iat,
        until: claims.exp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessTokenKey, MfaTokenKey};

    const SECRET: &str = "a secret of the tests, 32 bytes or more";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn claims() -> SignInClaims {
        SignInClaims {
            aud: "whatever".to_owned(),
            exp: at(600).timestamp(),
            iat: at(0).timestamp(),
            jti: "id".to_owned(),
            provider: "google".to_owned(),
            return_to: Some("https://app.example.com/".to_owned()),
            workspace_id: String::new(),
        }
    }

    fn key() -> SignInKey {
        SignInKey::new(&SECRET.into())
    }

    #[test]
    fn a_sign_in_may_take_ten_minutes() {
        let token = key().sign(&claims()).expect("signed");
        assert_eq!(key().verify(&token, at(0)).expect("genuine").aud, "auth");
        assert!(key().verify(&token, at(604)).is_ok());
        assert_eq!(
            key().verify(&token, at(605)).expect_err("refused").reason(),
            "expired"
        );
        let long = SignInClaims {
            exp: at(601).timestamp(),
            ..claims()
        };
        assert_eq!(key().sign(&long).expect_err("refused").reason(), "lifetime");
    }

    #[test]
    fn no_other_kind_of_token_is_taken_and_none_takes_this() {
        let token = key().sign(&claims()).expect("signed");
        assert!(MfaTokenKey::new(&SECRET.into()).verify(&token, at(0)).is_err());
        assert!(
            AccessTokenKey::new(&SECRET.into(), None, None)
                .verify(&token, at(0))
                .is_err()
        );
        let other = SignInKey::new(&"another secret".into());
        let foreign = other.sign(&claims()).expect("signed");
        assert_eq!(
            key().verify(&foreign, at(0)).expect_err("refused").reason(),
            "signature"
        );
    }

    #[test]
    fn the_secrets_of_a_sign_in_are_its_own_and_differ_from_each_other() {
        let (one, again, two) = (key().secrets("1"), key().secrets("1"), key().secrets("2"));
        let elsewhere = SignInKey::new(&"another secret".into()).secrets("1");
        assert_eq!((&one.state, &one.nonce), (&again.state, &again.nonce));
        let all: std::collections::BTreeSet<String> = [one, two, elsewhere]
            .into_iter()
            .flat_map(|secrets| {
                [
                    secrets.state,
                    secrets.nonce,
                    secrets.verifier.expose_secret().to_owned(),
                ]
            })
            .collect();
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(|text| text.len() == 43));
    }

    #[test]
    fn neither_the_secrets_nor_the_key_are_shown() {
        let secrets = key().secrets("1");
        let shown = format!("{secrets:?} {:?}", key());
        assert!(
            !shown.contains(&secrets.state) && !shown.contains(SECRET),
            "{shown}"
        );
    }
}
