//! What the rules of a workspace forbid. None of it is a failure of ours.

use causeway_errors::{ApiError, Code};

/// A request that a rule forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller's place in the workspace does not allow it: its token may be older than that place.
    #[error("the caller may not change who belongs to the workspace")]
    NotAllowed,
    /// A role is involved that the caller does not hold.
    #[error("the role is above the caller's own")]
    RoleAboveOwn,
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
            Self::DecryptionFailed(index) => ApiError::new(
                Code::InvalidArgument,
                "DECRYPTION_FAILED",
                format!("ciphertext {index} does not open with this context in this workspace"),
            ),
        }
    }
}
