//! Tokens of other identity providers.
//!
//! [`Jwks`] keeps the keys that a provider, or our own auth service, publishes: requests are answered from memory, one client fetches at a time, a
//! flood of unknown key ids makes one fetch, and an outage of the provider does not end anybody's session before its
//! keys are a day old. [`ClerkVerifier`] reads session tokens of one Clerk instance, more strictly than Clerk's own
//! libraries do; [`Provider`] signs people in at any provider of OpenID Connect. The types of the keys are openidconnect's; its verifier is not used, because it does not look at `nbf`.

mod clerk;
mod jwks;
mod provider;

pub use clerk::{ClerkOptions, ClerkSession, ClerkVerifier, Organization, Refusal, VerifyError};
pub use jwks::{
    Clock, FetchError, Jwks, JwksUrl, KeyError, KeySource, Keys, Published, UrlError, system_clock,
};
/// An address taken apart.
pub use openidconnect::url::Url;
pub use provider::{CallbackAnswer, Person, Provider, ProviderError, ProviderOptions, ProviderUrl};
