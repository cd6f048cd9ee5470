//! Who proves a person for us: an identity provider whose tokens are taken.

use async_trait::async_trait;
use causeway_oidc::{ClerkSession, ClerkVerifier, VerifyError};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

/// The sessions of a Clerk instance.
#[async_trait]
pub(crate) trait ClerkSessions: Send + Sync + 'static {
    /// The session that a token proves.
    async fn prove(&self, token: &SecretString, now: DateTime<Utc>) -> Result<ClerkSession, VerifyError>;
}

#[async_trait]
impl ClerkSessions for ClerkVerifier {
    async fn prove(&self, token: &SecretString, now: DateTime<Utc>) -> Result<ClerkSession, VerifyError> {
        self.verify(token.expose_secret(), now).await
    }
}
