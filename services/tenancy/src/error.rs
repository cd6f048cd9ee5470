//! What a use case fails with, and what the outside sees of it.

use std::time::Duration;

use causeway_crypto::{CryptoError, KeyError};
use causeway_errors::{ApiError, Code};

use crate::refusal::Refusal;
use crate::store::StoreError;

/// A use case that does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenancyError {
    /// The call cannot be served at all: its caller has no workspace, or is not a person.
    #[error(transparent)]
    Call(#[from] ApiError),
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such workspace, or the caller may not know of it.
    #[error("no such workspace")]
    WorkspaceNotFound,
    /// The id of the workspace is taken by another one.
    #[error("the workspace exists with another owner")]
    WorkspaceExists,
    /// There is no such secret in the workspace.
    #[error("no such secret")]
    SecretNotFound,
    /// Others kept changing the same row.
    #[error("too many concurrent changes")]
    Contended,
    /// The audit log did not take the fact in time.
    #[error("the audit log does not have the fact")]
    AuditUnavailable,
    /// The workspace's data key cannot be had.
    #[error("get the data key")]
    Key(#[from] KeyError),
    /// The workspace has no data key of that version, or has it no more.
    #[error("the workspace has no data key of version {0}")]
    NoSuchKey(u32),
    /// The data key of that version was destroyed (KEY-07): what lies under it is gone for good.
    #[error("the workspace's data key of version {0} is destroyed")]
    KeyDestroyed(u32),
    /// A value cannot be sealed, or a sealed one does not open.
    #[error("seal or open a value")]
    Sealed(#[from] CryptoError),
    /// The content of an envelope is not what was put into it.
    #[error("an opened value is not text")]
    NotText,
    /// The store does not do what was asked.
    #[error("tenancy store")]
    Store(#[from] StoreError),
}

const SOON: Duration = Duration::from_millis(50);

impl TenancyError {
    /// Whether the failure is ours, so that its causes belong in the log.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Call(_)
            | Self::WorkspaceNotFound
            | Self::WorkspaceExists
            | Self::SecretNotFound
            | Self::Refused(_)
            | Self::Store(StoreError::NoParent | StoreError::Refused(_)) => false,
            Self::Contended
            | Self::AuditUnavailable
            | Self::Key(_)
            | Self::NoSuchKey(_)
            | Self::KeyDestroyed(_)
            | Self::Sealed(_)
            | Self::NotText
            | Self::Store(
                StoreError::Conflict
                | StoreError::Fenced
                | StoreError::LeaseLost
                | StoreError::Unavailable(_)
                | StoreError::Corrupt(_),
            ) => true,
        }
    }

    /// What the outside sees.
    pub(crate) fn to_api(&self) -> ApiError {
        match self {
            Self::Call(error) => error.clone(),
            Self::Refused(refusal) | Self::Store(StoreError::Refused(refusal)) => refusal.to_api(),
            Self::WorkspaceNotFound | Self::Store(StoreError::NoParent) => {
                ApiError::not_found("WORKSPACE_NOT_FOUND", "workspace not found")
            }
            Self::WorkspaceExists => ApiError::new(
                Code::AlreadyExists,
                "WORKSPACE_EXISTS",
                "a workspace with this id exists",
            ),
            Self::SecretNotFound => ApiError::not_found("SECRET_NOT_FOUND", "secret not found"),
            Self::Contended
            | Self::Store(StoreError::Conflict | StoreError::Fenced | StoreError::LeaseLost) => {
                ApiError::new(
                    Code::Aborted,
                    "CONCURRENT_CHANGE",
                    "changed by others meanwhile, please retry",
                )
                .retry_after(SOON)
            }
            Self::AuditUnavailable => ApiError::unavailable("AUDIT_UNAVAILABLE"),
            Self::Key(KeyError::Unavailable(_)) => ApiError::unavailable("KEY_UNAVAILABLE"),
            // Without a retry delay: only an operator can help.
            Self::Key(
                KeyError::Missing
                | KeyError::Unknown(_)
                | KeyError::Malformed { .. }
                | KeyError::Disabled(_)
                | KeyError::Denied { .. },
            )
            | Self::NoSuchKey(_) => ApiError::new(
                Code::Unavailable,
                "KEY_UNAVAILABLE",
                "the key under which the workspace's data lies is not available",
            ),
            Self::KeyDestroyed(_) => ApiError::new(
                Code::DataLoss,
                "KEY_DESTROYED",
                "the data key was destroyed, and what lies under it is gone",
            ),
            Self::Key(KeyError::Refused(_)) => {
                ApiError::new(Code::DataLoss, "KEY_UNREADABLE", "the data key does not open")
            }
            Self::Sealed(_) | Self::NotText => ApiError::new(
                Code::DataLoss,
                "VALUE_UNREADABLE",
                "the stored value does not open",
            ),
            Self::Store(StoreError::Unavailable(_)) => ApiError::unavailable("STORE_UNAVAILABLE"),
            Self::Store(StoreError::Corrupt(_)) => ApiError::internal(),
        }
    }
}
