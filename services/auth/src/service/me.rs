//! The caller about itself.

use causeway_context::{CallContext, Caller};

use super::AuthService;
use crate::error::AuthError;
use crate::tenancy::Membership;

/// The caller as the platform sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Me {
    /// Who is calling and what is allowed.
    pub(crate) principal: Caller,
    /// The account's address; empty for a caller that is no person.
    pub(crate) email: String,
    /// Where the person belongs.
    pub(crate) workspaces: Vec<Membership>,
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
                workspaces: Vec::new(),
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
            workspaces,
        })
    }
}
