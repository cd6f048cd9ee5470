//! Sign-in at providers of OpenID Connect: which there are, and where people may go afterwards.

mod config;
mod returns;

use std::collections::BTreeMap;
use std::sync::Arc;

use causeway_crypto::SignInKey;
use causeway_errors::{ApiError, Code};
use causeway_oidc::{Provider, system_clock};

pub use config::OidcConfig;
pub(crate) use returns::Returns;

use crate::config::Config;

/// The providers of this installation, and what a sign-in needs beside them.
pub(crate) struct SignIns {
    providers: BTreeMap<String, Arc<Provider>>,
    /// Signs what the browser keeps meanwhile.
    pub(crate) key: SignInKey,
    /// Where people may go afterwards.
    pub(crate) returns: Returns,
    /// Whether a first sign-in makes the person.
    pub(crate) open: bool,
}

impl SignIns {
    /// Those of the settings. Nothing is asked of a provider yet.
    pub(crate) fn new(config: &Config) -> Self {
        let OidcConfig {
            providers,
            returns,
            open,
        } = &config.oidc;
        let providers = providers.iter().map(|(name, options)| {
            let provider = Provider::new(options.clone(), options.issuer.egress(), system_clock());
            (name.clone(), Arc::new(provider))
        });
        Self {
            providers: providers.collect(),
            key: SignInKey::new(&config.refresh_secret),
            returns: returns.clone(),
            open: open.unwrap_or(config.registration_open),
        }
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Arc<Provider>)> {
        self.providers
            .iter()
            .map(|(name, provider)| (name.as_str(), provider))
    }

    /// The provider of that name.
    ///
    /// # Errors
    /// [`SignInError::UnknownProvider`].
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Provider>, SignInError> {
        self.providers.get(name).ok_or(SignInError::UnknownProvider)
    }
}

/// A sign-in that did not succeed for a reason of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignInError {
    /// No such provider is set up.
    #[error("there is no such provider")]
    UnknownProvider,
    /// It was begun in another browser or too long ago, or is finished.
    #[error("the sign-in is not under way")]
    Expired,
    /// The person, or the provider, said no.
    #[error("the provider signed nobody in")]
    Denied,
    /// What the provider answered proves nothing.
    #[error("the provider's answer proves nothing")]
    Refused,
}

impl SignInError {
    /// Whether it may have been an attempt at somebody else's session.
    pub(crate) const fn is_guess(self) -> bool {
        match self {
            Self::Expired | Self::Refused => true,
            Self::UnknownProvider | Self::Denied => false,
        }
    }

    /// What of it a client sees.
    pub(crate) fn shown(self) -> ApiError {
        match self {
            Self::UnknownProvider => ApiError::not_found(
                "PROVIDER_NOT_FOUND",
                "no identity provider of that name is set up here",
            ),
            Self::Expired => ApiError::new(
                Code::InvalidArgument,
                "SIGN_IN_EXPIRED",
                "the sign-in took too long, was finished, or began in another browser: please start again",
            ),
            Self::Denied => ApiError::forbidden(
                "SIGN_IN_DENIED",
                "the identity provider signed nobody in: the person declined, or may not use it here",
            ),
            Self::Refused => ApiError::new(
                Code::Unauthenticated,
                "SIGN_IN_REFUSED",
                "the identity provider's answer is not accepted: please start again",
            ),
        }
    }
}
