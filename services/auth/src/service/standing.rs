//! What a machine's credential is worth now. A token that hangs on one says which; the gateway asks every few seconds,
//! so that what is revoked or narrowed holds for tokens that were given before (TOK-04, RBAC-04).

use std::fmt;
use std::str::FromStr;

use causeway_context::{CallContext, Caller, TokenId, WorkspaceId};
use uuid::Uuid;

use super::AuthService;
use super::tokens::program;
use crate::domain::{Client, ClientId, Invalid};
use crate::error::AuthError;

const TOKEN_PREFIX: &str = "cw_token_";

/// A machine's credential, as the `client_id` of an access token names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    /// An OAuth client.
    Client(ClientId),
    /// A personal access token or an API key.
    Token(TokenId),
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => id.fmt(f),
            Self::Token(id) => write!(f, "{TOKEN_PREFIX}{}", id.0.as_simple()),
        }
    }
}

impl FromStr for Credential {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix(TOKEN_PREFIX) {
            Some(digits) if digits.len() == 32 => Uuid::try_parse(digits)
                .map(|id| Self::Token(TokenId(id)))
                .map_err(|_| "is not a credential"),
            Some(_) => Err("is not a credential"),
            None => text.parse().map(Self::Client),
        }
    }
}

/// What a credential is worth.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whom it proves; nobody when it is not in force.
    pub(crate) caller: Option<Caller>,
    /// Its access tokens that were revoked.
    pub(crate) revoked: Vec<String>,
}

impl AuthService {
    /// What a credential is worth now.
    ///
    /// # Errors
    /// A part that is away. A credential that is unknown is worth nothing.
    pub(crate) async fn describe_credential(
        &self,
        ctx: &CallContext,
        credential: &str,
        workspace: &str,
    ) -> Result<Standing, AuthError> {
        let (Ok(known), Ok(workspace)) = (credential.parse::<Credential>(), workspace.parse::<WorkspaceId>())
        else {
            return Ok(Standing::default());
        };
        let caller = match known {
            Credential::Client(id) => {
                let client = self.store.find_client(workspace, id).await?;
                self.caller_of_client(ctx, client.filter(Client::alive)).await?
            }
            Credential::Token(id) => match self.store.token_by_id(workspace, id).await? {
                Some(token) if token.alive(ctx.now) => self.caller_of(ctx, &token).await?,
                _ => None,
            },
        };
        if caller.is_none() {
            return Ok(Standing::default());
        }
        let revoked = self
            .store
            .revoked_access_tokens(workspace, credential, ctx.now)
            .await?;
        Ok(Standing { caller, revoked })
    }

    async fn caller_of_client(
        &self,
        ctx: &CallContext,
        client: Option<Client>,
    ) -> Result<Option<Caller>, AuthError> {
        let Some(client) = client else { return Ok(None) };
        let held = self.held_in(ctx, client.granted_by, client.workspace).await?;
        Ok(held.map(|held| {
            let id = client.id.to_string();
            program(id.clone(), client.workspace, held, &client.scopes, id)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_survives_its_name() {
        for credential in [
            Credential::Client(ClientId::generate()),
            Credential::Token(TokenId::generate()),
        ] {
            assert_eq!(credential.to_string().parse(), Ok(credential));
        }
        for bad in ["", "cw_token_", "cw_token_1", "cw_pat_x", "session"] {
            assert!(bad.parse::<Credential>().is_err(), "{bad}");
        }
    }
}
