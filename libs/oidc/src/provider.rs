//! Sign-in at a provider of OpenID Connect: the authorization code flow with PKCE, `state` and `nonce`, and the strict
//! reading of ID tokens.
//!
//! Requests and answers of the protocol are openidconnect's; what an ID token is worth is decided here, under the keys of
//! this provider alone. What the provider publishes about itself is kept as its keys are: fresh for an hour, good for a
//! day while the provider is away.

mod claims;
mod code;
mod discovery;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use causeway_crypto::{ForeignAlgorithm, ForeignToken, SignInSecrets};
use causeway_egress::{Egress, EgressOptions, Reach};
use chrono::{DateTime, Utc};
use openidconnect::IssuerUrl;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::clerk::{Refusal, VerifyError};
use crate::jwks::{Clock, UrlError, url};
use claims::{Claims, Expected};
use discovery::{Discovery, Document};

/// With what ID tokens may be signed.
const ALGORITHMS: [ForeignAlgorithm; 2] = [ForeignAlgorithm::Rs256, ForeignAlgorithm::Es256];

/// An issuer of ID tokens: its text is what they carry as `iss`, exactly.
#[derive(Debug, Clone)]
pub struct ProviderUrl {
    issuer: IssuerUrl,
    development: bool,
}

impl ProviderUrl {
    /// The issuer of a text. Outside of development it must be https and no host of the inside.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str, development: bool) -> Result<Self, UrlError> {
        let issuer = IssuerUrl::new(text.to_owned()).map_err(|_| UrlError::Malformed)?;
        url::check(issuer.url(), development)?;
        if issuer.url().query().is_some() || issuer.url().fragment().is_some() {
            return Err(UrlError::Malformed);
        }
        Ok(Self { issuer, development })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.issuer.as_str()
    }

    /// A way to the provider. The addresses of its endpoints come from the provider itself, so outside of development only
    /// public ones are reached.
    pub fn egress(&self) -> Egress {
        Egress::new(EgressOptions {
            reach: if self.development {
                Reach::Anywhere
            } else {
                Reach::Public
            },
            ..EgressOptions::default()
        })
    }
}

/// A provider and what it knows this installation as.
#[derive(Debug, Clone)]
pub struct ProviderOptions {
    /// The provider.
    pub issuer: ProviderUrl,
    /// Our id there.
    pub client_id: String,
    /// Our secret there; a client without one is proven by PKCE alone.
    pub client_secret: Option<SecretString>,
    /// Where the provider sends people back to.
    pub redirect_url: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
}

/// What the provider sent the browser back with.
#[derive(Debug, Clone, Copy)]
pub struct CallbackAnswer<'a> {
    /// The code.
    pub code: &'a str,
    /// Which issuer says to have answered (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// A person whom the provider proved. Two providers never have the same one (EXC-07).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The provider.
    pub issuer: String,
    /// The person, unique within the provider.
    pub subject: String,
    /// Whether the provider says to have proven an address of mail. The address itself is not read: it proves nobody.
    pub email_verified: bool,
}

/// A sign-in that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The ID token, or who answered, proves nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The provider does not take the code: it was used, is too old, belongs to another client, or to another verifier.
    #[error("the provider does not take the code")]
    Code,
    /// The provider cannot be asked, or answers what no provider answers: nobody can tell now (EXC-08).
    #[error("the provider cannot be asked")]
    Away {
        /// When it is asked again.
        retry_after: Duration,
    },
}

impl From<VerifyError> for ProviderError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Refused(refusal) => Self::Refused(refusal),
            VerifyError::Pending => Self::Refused(Refusal::CLAIMS),
            VerifyError::KeysAway { retry_after } => Self::Away { retry_after },
        }
    }
}

/// One provider.
pub struct Provider {
    options: ProviderOptions,
    egress: Egress,
    discovery: Discovery,
}

impl Provider {
    /// A provider of which nothing is known yet; [`Provider::run`] asks it and keeps the answer fresh.
    pub fn new(options: ProviderOptions, egress: Egress, clock: Clock) -> Self {
        let discovery = Discovery::new(options.issuer.clone(), egress.clone(), clock);
        Self {
            options,
            egress,
            discovery,
        }
    }

    /// Keeps what is known of the provider, and its keys, fresh until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        stop.run_until_cancelled(self.discovery.run()).await;
    }

    /// Where a browser goes to sign in.
    ///
    /// # Errors
    /// [`ProviderError::Away`].
    pub async fn authorization_url(&self, secrets: &SignInSecrets) -> Result<String, ProviderError> {
        let document = self.discovery.document().await?;
        code::authorization_url(&self.options, &document, secrets)
    }

    /// Checks who says to have answered: an answer of another provider is refused before its code goes anywhere
    /// (RFC 9207).
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn check_issuer(&self, issuer: Option<&str>) -> Result<(), ProviderError> {
        let document = self.discovery.document().await?;
        self.answered(&document, issuer)
    }

    fn answered(&self, document: &Document, issuer: Option<&str>) -> Result<(), ProviderError> {
        let own = issuer.is_some_and(|issuer| issuer == self.options.issuer.as_str());
        match own || (issuer.is_none() && !document.names_itself) {
            true => Ok(()),
            false => Err(Refusal::ISSUER.into()),
        }
    }

    /// The person whom a code proves.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn redeem(
        &self,
        answer: CallbackAnswer<'_>,
        secrets: &SignInSecrets,
        now: DateTime<Utc>,
    ) -> Result<Person, ProviderError> {
        let document = self.discovery.document().await?;
        self.answered(&document, answer.issuer)?;
        let tokens = code::redeem(&self.options, &self.egress, &document, answer.code, secrets).await?;
        let expected = Expected {
            nonce: Some(&secrets.nonce),
            access_token: Some(&tokens.access),
        };
        self.read(&document, &tokens.id, expected, now).await
    }

    /// The person whom an ID token proves that was made for us, whoever brings it (RFC 8693).
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Person, ProviderError> {
        // What is no token needs no provider.
        ForeignToken::read_any_of(token, &ALGORITHMS).map_err(VerifyError::from)?;
        let document = self.discovery.document().await?;
        self.read(&document, token, Expected::default(), now).await
    }

    async fn read(
        &self,
        document: &Document,
        token: &str,
        expected: Expected<'_>,
        now: DateTime<Utc>,
    ) -> Result<Person, ProviderError> {
        let token = ForeignToken::read_any_of(token, &ALGORITHMS).map_err(VerifyError::from)?;
        let key = document.keys.find(token.kid()).await.map_err(VerifyError::from)?;
        let claims: Claims = token.verify(&key).map_err(VerifyError::from)?;
        let issuer = self.options.issuer.as_str();
        Ok(claims.person(issuer, &self.options.client_id, expected, now)?)
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.options.issuer.as_str())
            .finish_non_exhaustive()
    }
}

type Shared = Arc<Document>;
