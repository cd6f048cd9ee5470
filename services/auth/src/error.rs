//! What goes wrong, and what of it a client sees.

use std::time::Duration;

use causeway_errors::{ApiError, Code, Violation};
use uuid::Uuid;

use crate::passwords::PasswordError;
use crate::store::StoreError;
use crate::tenancy::TenancyError;

/// A use case that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// Fields of the request are wrong.
    #[error("the request is invalid")]
    Invalid(Vec<Violation>),
    /// Registration is switched off.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The address belongs to somebody.
    #[error("the address is taken")]
    EmailTaken,
    /// No such account, or another password.
    #[error("the credentials are wrong")]
    InvalidCredentials,
    /// The person belongs to no workspace.
    #[error("the person has no workspace")]
    NoWorkspace,
    /// The person does not belong to the workspace asked for.
    #[error("the person is not in the workspace")]
    WorkspaceNotFound,
    /// The refresh token is unknown, ended, or was used.
    #[error("the refresh token is not in force")]
    InvalidRefreshToken,
    /// No identity provider is configured.
    #[error("the exchange is switched off")]
    ExchangeDisabled,
    /// The identity provider's token proves nobody, or was used up.
    #[error("the identity provider's token is not accepted")]
    SubjectRefused,
    /// The person has to do something at the identity provider first.
    #[error("the session at the identity provider is pending")]
    SessionPending,
    /// Nobody can tell what the identity provider's token is worth.
    #[error("the identity provider's keys cannot be had")]
    KeysAway(Duration),
    /// The opaque credential proves nobody.
    #[error("the token is not in force")]
    InvalidToken,
    /// The person has no such token.
    #[error("the person has no such token")]
    TokenNotFound,
    /// Passwords cannot be checked now.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store did not do it.
    #[error("use the store")]
    Store(#[from] StoreError),
    /// The tenancy service did not do it.
    #[error("ask tenancy")]
    Tenancy(#[from] TenancyError),
    /// An access token was not signed.
    #[error("sign an access token")]
    Sign(#[from] causeway_crypto::TokenError),
    /// The call cannot be served for the caller or the RPC it comes from.
    #[error(transparent)]
    Call(#[from] ApiError),
}

impl AuthError {
    /// Whether the failure is ours and must be in the log: the client sees nothing of its causes.
    fn is_ours(&self) -> bool {
        match self {
            Self::Password(PasswordError::Busy) => false,
            Self::Password(_) | Self::Store(_) | Self::Tenancy(_) | Self::Sign(_) => true,
            Self::Invalid(_)
            | Self::RegistrationClosed
            | Self::EmailTaken
            | Self::InvalidCredentials
            | Self::NoWorkspace
            | Self::WorkspaceNotFound
            | Self::InvalidRefreshToken
            | Self::ExchangeDisabled
            | Self::SubjectRefused
            | Self::SessionPending
            | Self::KeysAway(_)
            | Self::InvalidToken
            | Self::TokenNotFound
            | Self::Call(_) => false,
        }
    }

    fn shown(self) -> ApiError {
        match self {
            Self::Invalid(violations) => ApiError::violations(violations),
            Self::RegistrationClosed => {
                ApiError::forbidden("REGISTRATION_CLOSED", "new accounts are not taken here")
            }
            Self::EmailTaken => ApiError::new(
                Code::AlreadyExists,
                "EMAIL_TAKEN",
                "an account with this address exists",
            ),
            Self::InvalidCredentials => ApiError::new(
                Code::Unauthenticated,
                "INVALID_CREDENTIALS",
                "wrong address or password",
            ),
            Self::NoWorkspace => ApiError::forbidden("NO_WORKSPACE", "the account belongs to no workspace"),
            Self::WorkspaceNotFound => ApiError::not_found("WORKSPACE_NOT_FOUND", "workspace not found"),
            Self::InvalidRefreshToken => ApiError::new(
                Code::Unauthenticated,
                "INVALID_REFRESH_TOKEN",
                "the refresh token is not valid, please log in",
            ),
            Self::ExchangeDisabled => ApiError::new(
                Code::Unavailable,
                "EXCHANGE_DISABLED",
                "no identity provider is configured here",
            ),
            Self::SubjectRefused => {
                ApiError::new(Code::Unauthenticated, "INVALID_TOKEN", "the token is not valid")
            }
            Self::SessionPending => ApiError::forbidden(
                "SESSION_PENDING",
                "the session at the identity provider is not finished",
            ),
            Self::KeysAway(rest) => ApiError::unavailable("IDENTITY_PROVIDER_UNAVAILABLE")
                .retry_after(rest.max(Duration::from_secs(1))),
            Self::InvalidToken => ApiError::unauthenticated(),
            Self::TokenNotFound => ApiError::not_found("TOKEN_NOT_FOUND", "token not found"),
            Self::Password(PasswordError::Busy) => ApiError::new(
                Code::ResourceExhausted,
                "AUTH_BUSY",
                "too many logins at once, please retry",
            )
            .retry_after(Duration::from_secs(1)),
            Self::Store(StoreError::Unavailable(_)) => ApiError::unavailable("STORE_UNAVAILABLE"),
            Self::Tenancy(TenancyError::Away(_)) => ApiError::unavailable("TENANCY_UNAVAILABLE"),
            Self::Call(error) => error,
            Self::Password(PasswordError::Hash(_) | PasswordError::Run(_))
            | Self::Store(StoreError::Conflict(_) | StoreError::Corrupt(_))
            | Self::Tenancy(TenancyError::Answer(_) | TenancyError::Malformed)
            | Self::Sign(_) => ApiError::internal(),
        }
    }
}

/// The one place where an error stops: what is ours is logged here with its causes, under the id that the client sees.
impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        if !error.is_ours() {
            return error.shown();
        }
        let error_id = Uuid::new_v4();
        causeway_telemetry::report(&error, error_id, "an auth call failed");
        ApiError {
            error_id,
            ..error.shown()
        }
    }
}
