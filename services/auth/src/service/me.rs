//! The caller about itself.

use causeway_context::{CallContext, Caller};

use super::{AuthService, FactorState};
use crate::error::AuthError;
use crate::tenancy::Membership;

/// The caller as the platform sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Me {
    /// Who is calling and what is allowed.
    pub(crate) principal: Caller,
    /// The account's address; empty for a caller that is no person.
    pub(crate) email: String,
    /// Whether the address is proven.
    pub(crate) email_verified: bool,
    /// Where the person belongs.
    pub(crate) workspaces: Vec<Membership>,
    /// The person's second factor; nothing for a caller that is no person.
    pub(crate) factor: Option<FactorState>,
}

impl AuthService {
    /// The caller, and for a person the address and the workspaces.
    ///
    /// # Errors
    /// A part that is away.
    pub(crate) async fn me(&self, ctx: &CallContext) -> Result<Me, AuthError> {
        let principal = ctx.caller.clone();
        let Some(user) = principal.user() else {
            return Ok(Me {
                principal,
                email: String::new(),
                email_verified: false,
                workspaces: Vec::new(),
                factor: None,
            });
        };
        let account = self.store.find_account(user).await?;
        let email = account
            .map(|account| account.email.as_str().to_owned())
            .unwrap_or_default();
        let workspaces = self.tenancy.memberships(&ctx.request_id, user).await?;
        Ok(Me {
            principal,
            email,
            email_verified: self.store.email_verified_at(user).await?.is_some(),
            workspaces,
            factor: Some(self.factor_state(user).await?),
        })
    }
}
