//! The errors of OAuth (RFC 6749 §5.2, RFC 8693 §2.2.2). The gateway writes the reason in small letters as `error`.

use causeway_errors::{ApiError, Code};

/// A request at an OAuth endpoint that is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OauthError {
    /// A parameter is missing, wrong, or too much.
    #[error("the request is invalid: {0}")]
    InvalidRequest(&'static str),
    /// No client, or not this one. The same for an unknown client and a wrong secret (CC-02).
    #[error("the client is not proven")]
    InvalidClient,
    /// The refresh token is not in force, or belongs to somebody else.
    #[error("the grant is not in force")]
    InvalidGrant,
    /// The client may not get tokens that way, or not touch that token.
    #[error("the client may not do that")]
    UnauthorizedClient,
    /// There is no such way to get a token.
    #[error("the grant type is not known")]
    UnsupportedGrantType,
    /// A scope that is not held.
    #[error("the scope is not held")]
    InvalidScope,
    /// Tokens for somebody else are not given.
    #[error("the target is not served")]
    InvalidTarget,
}

impl OauthError {
    /// What of it a client sees.
    pub(crate) fn shown(self) -> ApiError {
        let bad = |reason, message| ApiError::new(Code::InvalidArgument, reason, message);
        match self {
            Self::InvalidRequest(what) => bad("INVALID_REQUEST", what),
            Self::InvalidClient => ApiError::new(
                Code::Unauthenticated,
                "INVALID_CLIENT",
                "client authentication failed",
            ),
            Self::InvalidGrant => bad("INVALID_GRANT", "the grant is not valid for this client"),
            Self::UnauthorizedClient => bad("UNAUTHORIZED_CLIENT", "this client may not do that"),
            Self::UnsupportedGrantType => bad("UNSUPPORTED_GRANT_TYPE", "there is no such grant type"),
            Self::InvalidScope => bad("INVALID_SCOPE", "a scope that was asked for is not held"),
            Self::InvalidTarget => bad("INVALID_TARGET", "tokens for that target are not given here"),
        }
    }
}
