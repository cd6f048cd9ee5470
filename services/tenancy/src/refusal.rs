//! What the rules of a workspace forbid. None of it is a failure of ours.

use causeway_errors::{ApiError, Code, Violation};

/// A request that a rule forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller's place in the workspace does not allow it: its token may be older than that place.
    #[error("the caller may not change who belongs to the workspace")]
    NotAllowed,
    /// A role is involved that the caller does not hold.
    #[error("the role is above the caller's own")]
    RoleAboveOwn,
    /// A permission is involved that the caller does not hold.
    #[error("a permission is not the caller's own")]
    PermissionNotHeld,
    /// There is no such role in the workspace.
    #[error("no such role")]
    RoleNotFound,
    /// The name is another role's.
    #[error("the name is another role's")]
    RoleExists,
    /// The role is another version than the one that the change is of.
    #[error("the role was changed meanwhile")]
    RoleChanged,
    /// A member or an open invitation has the role.
    #[error("somebody has the role")]
    RoleInUse,
    /// The workspace has as many roles as it may.
    #[error("there are too many roles")]
    TooManyRoles,
    /// A part of the product.
    #[error("the role is built in")]
    RoleBuiltIn,
    /// The workspace would be without an owner.
    #[error("the last owner cannot go")]
    LastOwner,
    /// There is no such member.
    #[error("no such member")]
    MemberNotFound,
    /// The person is a member already.
    #[error("the person is a member already")]
    MemberExists,
    /// Nobody with that id has an account.
    #[error("no such person")]
    UserNotFound,
    /// The invitation is unknown, used, revoked or expired.
    #[error("no such invitation")]
    InvitationNotFound,
    /// The address has an open invitation.
    #[error("the address is invited already")]
    InvitationExists,
    /// Something is set about a model without saying whose model.
    #[error("the provider is missing")]
    ProviderMissing,
    /// The key of a provider is to come from a secret that is not there.
    #[error("no such provider's key")]
    ProviderKeyNotFound,
    /// There is one workspace only.
    #[error("there is one workspace only")]
    SingleTenant,
    /// The caller's workspace is not the platform's.
    #[error("only the platform's own workspace may")]
    NotPlatformOwner,
    /// A setting that the platform decides.
    #[error("{0} is decided by the platform")]
    PlatformSetting(&'static str),
    /// The address of a model is not one of the public internet.
    #[error("the base URL is not public")]
    BaseUrlNotPublic,
    /// The workspace has a rotation that is not at its end.
    #[error("a rotation is running")]
    RotationRunning,
    /// There is no such rotation.
    #[error("no such rotation")]
    RotationNotFound,
    /// A service names a table of another one.
    #[error("the table belongs to another service")]
    ForeignTable(usize),
    /// There is no such erasure.
    #[error("no such erasure")]
    ErasureNotFound,
    /// The erasure has begun: nothing takes it back.
    #[error("the erasure has begun")]
    ErasureBegun,
    /// There is no such export.
    #[error("no such export")]
    ExportNotFound,
    /// The export is being made, or could not be made, or its time is over.
    #[error("the export is not ready")]
    ExportNotReady,
    /// A download is to begin past the end.
    #[error("the export has {0} bytes")]
    PastTheEnd(u64),
    /// The item with this index does not open. One answer for every cause: a cause helps to guess.
    #[error("the ciphertext does not open")]
    DecryptionFailed(usize),
}

impl Refusal {
    /// What the outside sees.
    pub(crate) fn to_api(self) -> ApiError {
        match self {
            Self::NotAllowed => ApiError::forbidden(
                "PERMISSION_DENIED",
                "you may not change who belongs to the workspace",
            ),
            Self::RoleAboveOwn => ApiError::forbidden("ROLE_ABOVE_OWN", "the role is above your own"),
            Self::PermissionNotHeld => {
                ApiError::forbidden("PERMISSION_NOT_HELD", "a permission among them is not your own")
            }
            Self::RoleNotFound => ApiError::not_found("ROLE_NOT_FOUND", "role not found"),
            Self::RoleExists => {
                ApiError::new(Code::AlreadyExists, "ROLE_EXISTS", "another role has this name")
            }
            Self::RoleChanged => ApiError::new(
                Code::Aborted,
                "ROLE_CHANGED",
                "the role has another version by now: read it again",
            ),
            Self::RoleInUse => ApiError::new(
                Code::Aborted,
                "ROLE_IN_USE",
                "members or open invitations have the role: give them another one first",
            ),
            Self::TooManyRoles => ApiError::new(
                Code::FailedPrecondition,
                "TOO_MANY_ROLES",
                "the workspace has 100 roles of its own: delete one first",
            ),
            Self::RoleBuiltIn => {
                ApiError::forbidden("ROLE_BUILT_IN", "built-in roles cannot be changed or deleted")
            }
            Self::LastOwner => ApiError::new(
                Code::FailedPrecondition,
                "LAST_OWNER",
                "the workspace needs an owner: make somebody else one first",
            ),
            Self::MemberNotFound => ApiError::not_found("MEMBER_NOT_FOUND", "member not found"),
            Self::MemberExists => ApiError::new(
                Code::AlreadyExists,
                "MEMBER_EXISTS",
                "the person is a member already",
            ),
            Self::UserNotFound => {
                ApiError::not_found("USER_NOT_FOUND", "nobody has this id; send an invitation")
            }
            Self::InvitationNotFound => ApiError::not_found("INVITATION_NOT_FOUND", "invitation not found"),
            Self::InvitationExists => ApiError::new(
                Code::AlreadyExists,
                "INVITATION_EXISTS",
                "the address has an open invitation",
            ),
            Self::ProviderMissing => {
                ApiError::invalid("settings.ai.provider", "must be set, as another field of ai is")
            }
            Self::ProviderKeyNotFound => ApiError::invalid(
                "settings.ai.api_key_secret",
                "must name a secret of kind llm_provider",
            ),
            Self::SingleTenant => ApiError::forbidden(
                "SINGLE_TENANT_MODE",
                "there is one workspace here: it stays, and no other can be made",
            ),
            Self::NotPlatformOwner => ApiError::forbidden(
                "NOT_PLATFORM_OWNER",
                "only the workspace that owns the platform may do that",
            ),
            Self::PlatformSetting(field) => ApiError {
                violations: vec![Violation {
                    field: field.to_owned(),
                    description: "is decided by the platform".to_owned(),
                }],
                ..ApiError::forbidden("PLATFORM_SETTING", "the platform decides that, not the workspace")
            },
            Self::BaseUrlNotPublic => ApiError::invalid(
                "settings.ai.base_url",
                "must begin with https:// and name a host of the public internet",
            ),
            Self::RotationRunning => ApiError::new(
                Code::Aborted,
                "ROTATION_RUNNING",
                "a rotation of this workspace's keys is under way",
            ),
            Self::RotationNotFound => ApiError::not_found("ROTATION_NOT_FOUND", "rotation not found"),
            Self::ForeignTable(index) => ApiError::forbidden(
                "FOREIGN_TABLE",
                format!("fields[{index}].place.table belongs to another service"),
            ),
            Self::ErasureNotFound => ApiError::not_found("ERASURE_NOT_FOUND", "erasure not found"),
            Self::ErasureBegun => ApiError::new(
                Code::FailedPrecondition,
                "ERASURE_BEGUN",
                "the erasure has begun and cannot be taken back",
            ),
            Self::ExportNotFound => ApiError::not_found("EXPORT_NOT_FOUND", "export not found"),
            Self::ExportNotReady => ApiError::new(
                Code::FailedPrecondition,
                "EXPORT_NOT_READY",
                "the export cannot be fetched: its state says why",
            ),
            Self::PastTheEnd(size) => ApiError::new(
                Code::OutOfRange,
                "RANGE_NOT_SATISFIABLE",
                format!("the export has {size} bytes"),
            ),
            Self::DecryptionFailed(index) => ApiError::new(
                Code::InvalidArgument,
                "DECRYPTION_FAILED",
                format!("ciphertext {index} does not open with this context in this workspace"),
            ),
        }
    }
}
