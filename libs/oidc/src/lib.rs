//! Tokens of other identity providers.
//!
//! [`Jwks`] keeps the keys that a provider publishes: requests are answered from memory, one client fetches at a time, a
//! flood of unknown key ids makes one fetch, and an outage of the provider does not end anybody's session before its
//! keys are a day old. [`ClerkVerifier`] reads session tokens of one Clerk instance, more strictly than Clerk's own
//! libraries do. The types of the keys are openidconnect's; its verifier is not used, because it does not look at `nbf`.

mod clerk;
mod jwks;

pub use clerk::{ClerkOptions, ClerkSession, ClerkVerifier, Organization, Refusal, VerifyError};
pub use jwks::{Clock, Jwks, JwksUrl, KeyError, UrlError, system_clock};
