//! What an ID token says (OpenID Connect Core §2, §3.1.3.7).

use causeway_crypto::{Validity, half_hash, same_text};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Person;
use crate::clerk::{Audience, MAX_ID_BYTES, Refusal, VerifyError};

#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    azp: Option<String>,
    nonce: Option<String>,
    at_hash: Option<String>,
    email_verified: Option<Said>,
}

/// A boolean, which some providers write as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Flag(bool),
    Text(String),
}

/// What came beside a token and must fit it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected<'a> {
    /// The nonce of the sign-in that the token answers; none for a token that answers none.
    pub(super) nonce: Option<&'a str>,
    /// The access token that came with it.
    pub(super) access_token: Option<&'a str>,
}

impl Claims {
    /// The person, if the token is `issuer`'s, for `client`, in force, and fits what came beside it.
    pub(super) fn person(
        self,
        issuer: &str,
        client: &str,
        expected: Expected<'_>,
        now: DateTime<Utc>,
    ) -> Result<Person, VerifyError> {
        let refuse = |refusal: Refusal| Err(VerifyError::Refused(refusal));
        if self.iss != issuer {
            return refuse(Refusal::ISSUER);
        }
        if !self.aud.names(client) {
            return refuse(Refusal::AUDIENCE);
        }
        // With several audiences the token says who may use it; whenever it says so, that is us.
        let party = self.azp.as_deref();
        if party.is_some_and(|party| party != client) || (party.is_none() && self.aud.len() > 1) {
            return refuse(Refusal::PARTY);
        }
        Validity {
            issued: Some(self.iat),
            from: self.nbf,
            until: self.exp,
        }
        .check(now)?;
        if let Some(nonce) = expected.nonce
            && !self.nonce.is_some_and(|said| same_text(&said, nonce))
        {
            return refuse(Refusal::NONCE);
        }
        if let (Some(said), Some(token)) = (&self.at_hash, expected.access_token)
            && !same_text(said, &half_hash(token))
        {
            return refuse(Refusal::ACCESS_TOKEN);
        }
        if !(1..=MAX_ID_BYTES).contains(&self.sub.len()) {
            return refuse(Refusal::CLAIMS);
        }
        let email_verified = match self.email_verified {
            Some(Said::Flag(flag)) => flag,
            Some(Said::Text(text)) => text == "true",
            None => false,
        };
        Ok(Person {
            issuer: self.iss,
            subject: self.sub,
            email_verified,
        })
    }
}
