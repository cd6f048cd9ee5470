//! Access tokens: whom the gateway lets in.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::claims::AccessClaims;
use super::compact::{Accepted, Signer, is_kind, payload};
use super::key::{KeyTextError, SigningAlgorithm, SigningKey, VerifyingKey};
use super::private::{self, NamedKey};
use super::public::{JwkSet, PublicKey};
use super::{Reason, TokenError};

pub(super) const TYP: &str = "at+jwt";
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// The keys of access tokens: one that signs, or none, and those that verify, which include it. An issuer or audience
/// is demanded once it is given (B-AUTH-14). Changing a secret voids every token (B-AUTH-15); keys in pairs roll without
/// that (JWT-12):
///
/// 1. the next public key is published and accepted, by [`AccessTokenKeys::accepting`], for as long as others keep the
///    set;
/// 2. the next private key signs, the earlier public key stays accepted for the longest life of a token, and the
///    earlier private key is gone;
/// 3. the earlier public key is taken away.
pub struct AccessTokenKeys {
    signer: Option<Signer>,
    accepted: Vec<Accepted>,
    issuer: Option<String>,
    audience: Option<String>,
    longest_seconds: i64,
}

/// What the keys were called when there was one.
pub type AccessTokenKey = AccessTokenKeys;

impl AccessTokenKeys {
    /// A secret that signs and verifies (HS256) tokens that live at most 15 minutes.
    pub fn new(secret: &SecretString, issuer: Option<String>, audience: Option<String>) -> Self {
        let key = SigningKey::from_secret(secret.expose_secret().as_bytes());
        Self::verify_only(issuer, audience)
            .signed_by(NamedKey { key, kid: None })
            .expect("a secret needs no parsing")
    }

    /// A private key that signs: one `PRIVATE KEY` block (PKCS#8), whose line ends may be written as `\n`, or a JSON Web
    /// Key. Ed25519 gives EdDSA, P-256 gives ES256.
    ///
    /// # Errors
    /// [`KeyTextError`], which shows nothing of the text.
    pub fn from_private_key(
        text: &SecretString,
        issuer: Option<String>,
        audience: Option<String>,
    ) -> Result<Self, KeyTextError> {
        Self::verify_only(issuer, audience).signed_by(private::read(text)?)
    }

    /// No key yet, and none that signs: for who only verifies (JWT-14). Accepts nothing before
    /// [`AccessTokenKeys::accepting`].
    pub const fn verify_only(issuer: Option<String>, audience: Option<String>) -> Self {
        Self {
            signer: None,
            accepted: Vec::new(),
            issuer,
            audience,
            longest_seconds: DEFAULT_LIFETIME.num_seconds(),
        }
    }

    fn signed_by(mut self, NamedKey { key, kid }: NamedKey) -> Result<Self, KeyTextError> {
        let (signer, accepted) = Signer::named(key, kid, TYP)?;
        self.signer = Some(signer);
        self.accepted.push(accepted);
        Ok(self)
    }

    /// Accepts, and publishes, what `keys` signed too. A key that is there already is not added twice.
    ///
    /// # Errors
    /// [`KeyTextError::SameId`] for another key with the id of one that is there.
    pub fn accepting(mut self, keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeyTextError> {
        for key in keys {
            let same = self.public_keys().find(|known| known.kid() == key.kid());
            match same.map(|known| *known == key) {
                Some(true) => {}
                Some(false) => return Err(KeyTextError::SameId),
                None => self.accepted.push(Accepted::new(VerifyingKey::Public(key), TYP)),
            }
        }
        Ok(self)
    }

    /// The same keys for tokens that may live as long as `longest` (`AUTH_ACCESS_TOKEN_TTL_MINUTES`). Who signs and who
    /// verifies must agree on it.
    #[must_use]
    pub fn with_max_lifetime(mut self, longest: TimeDelta) -> Self {
        self.longest_seconds = longest.num_seconds();
        self
    }

    /// The same keys that parse every header, also the one that all our tokens have.
    #[cfg(test)]
    pub(super) fn without_a_usual_header(mut self) -> Self {
        let general = |one: Accepted| {
            let kid = one.key().kid().map(str::to_owned);
            one.named(kid.as_deref())
        };
        self.accepted = self.accepted.into_iter().map(general).collect();
        self
    }

    /// The algorithm of the key that signs, if there is one.
    pub fn signing_algorithm(&self) -> Option<SigningAlgorithm> {
        let own = self.accepted.first().filter(|_| self.signer.is_some());
        own.map(|own| own.key().algorithm())
    }

    /// The public keys, the signing one's first.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.accepted.iter().filter_map(|one| match one.key() {
            VerifyingKey::Public(key) => Some(key),
            VerifyingKey::Secret(_) => None,
        })
    }

    /// The document at `/.well-known/jwks.json`: public keys only, none for a secret.
    pub fn jwks(&self) -> JwkSet {
        JwkSet {
            keys: self.public_keys().map(PublicKey::jwk).collect(),
        }
    }

    /// Signs a token. Issuer and audience are the keys', whatever the claims say.
    ///
    /// # Errors
    /// [`TokenError`] for claims that [`AccessTokenKeys::verify`] would never accept, and without a key that signs.
    pub fn sign(&self, claims: &AccessClaims) -> Result<String, TokenError> {
        let signer = self.signer.as_ref().ok_or(Reason::Key)?;
        claims.span().check_length(self.longest_seconds)?;
        signer.sign(&AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            ..claims.clone()
        })
    }

    /// The claims of a token that is genuine and in force.
    ///
    /// # Errors
    /// [`TokenError`], which looks the same for every cause.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<AccessClaims, TokenError> {
        let claims = AccessClaims::read(&payload(&self.accepted, token, |typ| is_kind(typ, TYP))?)?;
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(Reason::Issuer.into());
        }
        if self.audience.is_some() && claims.aud != self.audience {
            return Err(Reason::Audience.into());
        }
        // Exactly one of both says what the token hangs on.
        let rootless = claims.sid.is_empty() == claims.client_id.as_deref().is_none_or(str::is_empty);
        if claims.sub.is_empty() || claims.jti.is_empty() || rootless {
            return Err(Reason::Claims.into());
        }
        claims.span().check(self.longest_seconds, now)?;
        Ok(claims)
    }
}

impl fmt::Debug for AccessTokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.accepted.iter().map(Accepted::key).collect();
        f.debug_struct("AccessTokenKeys")
            .field("accepted", &keys)
            .finish_non_exhaustive()
    }
}
