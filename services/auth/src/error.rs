//! What goes wrong, and what of it a client sees.

use std::time::Duration;

use causeway_errors::{ApiError, Code, Violation};
use uuid::Uuid;

use crate::domain::RotationRefused;
use crate::oauth::OauthError;
use crate::oidc::SignInError;
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
    /// There is one workspace only, and another was asked for.
    #[error("the workspace is not the only one")]
    WorkspaceMismatch,
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
    /// The workspace has no such client.
    #[error("the workspace has no such client")]
    ClientNotFound,
    /// The workspace has no such API key.
    #[error("the workspace has no such API key")]
    ApiKeyNotFound,
    /// Somebody else changed the client at the same time.
    #[error("the client was changed by somebody else")]
    ClientChanged,
    /// A step of a rotation that cannot be done.
    #[error("the rotation is not where it would have to be")]
    Rotation(RotationRefused),
    /// Who gives a secret must hold what it opens (RBAC-04).
    #[error("the caller does not hold the scopes of the client")]
    ScopesNotHeld,
    /// Not granted at an OAuth endpoint.
    #[error(transparent)]
    Oauth(#[from] OauthError),
    /// A sign-in at a provider did not succeed.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The token of the first step of a login is not in force, or was used.
    #[error("the token of the first step is not in force")]
    InvalidMfaToken,
    /// The code is wrong, or was used.
    #[error("the code is wrong")]
    InvalidCode,
    /// The same in the place of a credential.
    #[error("the code of a login is wrong")]
    LoginCodeRefused,
    /// Too many wrong codes: nothing is tried for so long.
    #[error("the second factor is locked")]
    FactorLocked(Duration),
    /// The person has no second factor.
    #[error("the person has no second factor")]
    NoFactor,
    /// The person has a second factor already.
    #[error("the person has a second factor")]
    FactorEnrolled,
    /// The session is not young enough to prove that its person calls.
    #[error("the session was opened too long ago")]
    Reauthenticate,
    /// The caller's session is not there any more.
    #[error("the session is not open")]
    NoSession,
    /// Too many wrong guesses: nothing is tried for so long.
    #[error("too many guesses")]
    TooManyGuesses(Duration),
    /// The person has no such session.
    #[error("the person has no such session")]
    SessionNotFound,
    /// Nobody of that id is in the workspace.
    #[error("the person is not a member")]
    MemberNotFound,
    /// The member's role is above the caller's.
    #[error("the member's role is above the caller's")]
    RoleAboveOwn,
    /// The caller's workspace is not the platform's.
    #[error("the workspace is not the platform's")]
    NotPlatformOwner,
    /// There is no such person.
    #[error("there is no such person")]
    UserNotFound,
    /// Nobody keeps themselves out.
    #[error("the person is the caller")]
    OwnAccount,
    /// The mailed token is unknown, used, or ended.
    #[error("the mailed token is not in force")]
    InvalidMailToken,
    /// The person comes in another way than by a password.
    #[error("the person has no password")]
    NoPassword,
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
            | Self::WorkspaceMismatch
            | Self::InvalidRefreshToken
            | Self::ExchangeDisabled
            | Self::SubjectRefused
            | Self::SessionPending
            | Self::KeysAway(_)
            | Self::InvalidToken
            | Self::TokenNotFound
            | Self::ClientNotFound
            | Self::ApiKeyNotFound
            | Self::ClientChanged
            | Self::Rotation(_)
            | Self::ScopesNotHeld
            | Self::Oauth(_)
            | Self::SignIn(_)
            | Self::InvalidMfaToken
            | Self::InvalidCode
            | Self::LoginCodeRefused
            | Self::FactorLocked(_)
            | Self::NoFactor
            | Self::FactorEnrolled
            | Self::Reauthenticate
            | Self::NoSession
            | Self::TooManyGuesses(_)
            | Self::SessionNotFound
            | Self::MemberNotFound
            | Self::RoleAboveOwn
            | Self::NotPlatformOwner
            | Self::UserNotFound
            | Self::OwnAccount
            | Self::InvalidMailToken
            | Self::NoPassword
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
            Self::WorkspaceMismatch => ApiError::forbidden(
                "WORKSPACE_MISMATCH",
                "there is one workspace here, and it is another one",
            ),
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
            Self::TooManyGuesses(wait) => ApiError::new(
                Code::ResourceExhausted,
                "TOO_MANY_GUESSES",
                "too many wrong guesses, please wait",
            )
            .retry_after(wait),
            Self::SessionNotFound => ApiError::not_found("SESSION_NOT_FOUND", "session not found"),
            Self::MemberNotFound => ApiError::not_found("MEMBER_NOT_FOUND", "member not found"),
            Self::RoleAboveOwn => {
                ApiError::forbidden("ROLE_ABOVE_OWN", "the member's role is above your own")
            }
            Self::NotPlatformOwner => ApiError::forbidden(
                "NOT_PLATFORM_OWNER",
                "only the workspace that owns the platform may do that",
            ),
            Self::UserNotFound => ApiError::not_found("USER_NOT_FOUND", "user not found"),
            Self::OwnAccount => ApiError::new(
                Code::FailedPrecondition,
                "OWN_ACCOUNT",
                "nobody can keep themselves out: ask somebody else in charge",
            ),
            Self::InvalidMailToken => ApiError::new(
                Code::InvalidArgument,
                "INVALID_MAIL_TOKEN",
                "the link is not valid any more, please ask for another",
            ),
            Self::NoPassword => ApiError::new(
                Code::FailedPrecondition,
                "NO_PASSWORD",
                "the account has no password: it comes in by another way",
            ),
            Self::InvalidToken => ApiError::unauthenticated(),
            Self::TokenNotFound => ApiError::not_found("TOKEN_NOT_FOUND", "token not found"),
            Self::ClientNotFound => ApiError::not_found("CLIENT_NOT_FOUND", "client not found"),
            Self::ApiKeyNotFound => ApiError::not_found("API_KEY_NOT_FOUND", "API key not found"),
            Self::ClientChanged => ApiError::new(
                Code::Aborted,
                "CLIENT_CHANGED",
                "somebody else changed the client at the same time, please retry",
            ),
            Self::Rotation(RotationRefused::Running) => ApiError::new(
                Code::AlreadyExists,
                "ROTATION_RUNNING",
                "two secrets are in force: complete or cancel the rotation first",
            ),
            Self::Rotation(RotationRefused::NotRunning) => ApiError::new(
                Code::Aborted,
                "NO_ROTATION_RUNNING",
                "one secret is in force: there is no rotation to end",
            ),
            Self::ScopesNotHeld => {
                ApiError::forbidden("SCOPES_NOT_HELD", "this takes more than your credential holds")
            }
            Self::Oauth(error) => error.shown(),
            Self::SignIn(error) => error.shown(),
            Self::InvalidMfaToken => ApiError::new(
                Code::Unauthenticated,
                "INVALID_MFA_TOKEN",
                "the login took too long or was finished, please log in again",
            ),
            Self::InvalidCode => ApiError::new(Code::InvalidArgument, "INVALID_CODE", WRONG_CODE),
            Self::LoginCodeRefused => ApiError::new(Code::Unauthenticated, "INVALID_CODE", WRONG_CODE),
            Self::FactorLocked(rest) => ApiError::new(
                Code::ResourceExhausted,
                "MFA_LOCKED",
                "too many codes were tried, please wait",
            )
            .retry_after(rest.max(Duration::from_secs(1))),
            Self::NoFactor => ApiError::not_found("MFA_NOT_ENROLLED", "there is no second factor"),
            Self::FactorEnrolled => ApiError::new(
                Code::AlreadyExists,
                "MFA_ENROLLED",
                "there is a second factor already, remove it first",
            ),
            Self::Reauthenticate => ApiError::forbidden(
                "REAUTHENTICATION_REQUIRED",
                "the session was opened more than ten minutes ago: give the password, or sign in again",
            ),
            Self::NoSession => ApiError::forbidden(
                "SESSION_REQUIRED",
                "only a session that is open can do this, please log in",
            ),
            Self::Password(PasswordError::Busy) => ApiError::new(
                Code::ResourceExhausted,
                "AUTH_BUSY",
                "too many logins at once, please retry",
            )
            .retry_after(Duration::from_secs(1)),
            Self::Store(StoreError::Unavailable(_)) => ApiError::unavailable("STORE_UNAVAILABLE"),
            Self::Store(StoreError::Erased) => {
                ApiError::not_found("WORKSPACE_NOT_FOUND", "workspace not found")
            }
            Self::Tenancy(TenancyError::Away(_)) => ApiError::unavailable("TENANCY_UNAVAILABLE"),
            Self::Call(error) => error,
            Self::Password(
                PasswordError::Hash(_)
                | PasswordError::Form(_)
                | PasswordError::Salt(_)
                | PasswordError::Ended,
            )
            | Self::Store(StoreError::Conflict(_) | StoreError::Fenced | StoreError::Corrupt(_))
            | Self::Tenancy(TenancyError::Answer(_) | TenancyError::Malformed)
            | Self::Sign(_) => ApiError::internal(),
        }
    }
}

const WRONG_CODE: &str = "the code is wrong or was used";

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
