//! Workspaces, members, invitations, settings, data keys and secrets. No IO and no clock.

mod erasure;
mod export;
mod invitation;
mod keys;
mod member;
mod role;
mod rotation;
mod settings;

use std::fmt;

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::PermissionSet;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::page::TimePlace;

pub(crate) use erasure::{Done, Erasure, ErasureState, NO_HASH, Receipt, Retained, beginning, hex};
pub(crate) use export::{
    ATTEMPTS as EXPORT_ATTEMPTS, CHUNK_BYTES, Content, Export, ExportState, ExportedTable,
    LIFE as EXPORT_LIFE, recipient,
};
pub(crate) use invitation::{Email, Invitation, PREFIX as INVITATION_PREFIX, SecretHash, lifetime};
pub(crate) use keys::{KeyPlace, KeyState, Rewrapped, Ring, StoredKey, WrappedDataKey};
pub(crate) use member::{
    INVITATIONS_WRITE, MEMBERS_WRITE, MemberChange, MemberStep, SETTLED, Standing, may_grant,
};
pub(crate) use role::{
    CustomRole, HeldRole, MemberRole, RoleChange, RoleId, RoleName, RoleStanding, RoleStep,
};
pub(crate) use rotation::{Counted, KeyChange, Lease, Requester, Rotation, RotationStep, UnreadableRow};
pub(crate) use settings::{
    AiModel, AiProvider, AiSettings, BaseUrl, MfaPolicy, RetentionDays, SettingChange, Settings, region,
};

/// What is wrong with a value; never the value itself.
pub(crate) type Invalid = &'static str;

const NAME_CHARS: usize = 120;

/// A workspace: one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The id.
    pub id: WorkspaceId,
    /// The name.
    pub name: WorkspaceName,
    /// The home region.
    pub region: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// The name of a workspace: 1 to 120 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The name, if it is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err("must not be empty");
        }
        if text.chars().count() > NAME_CHARS {
            return Err("must have at most 120 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("must not hold control characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person.
    pub user: UserId,
    /// What the person is there.
    pub role: MemberRole,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

/// One of a person's workspaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The workspace.
    pub workspace: Workspace,
    /// The person in it.
    pub member: Member,
}

/// What somebody is in a workspace: all that an access token says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Belonging {
    /// The workspace, and the person in it.
    pub(crate) membership: Membership,
    /// Whether a second factor is demanded there.
    pub(crate) mfa_policy: MfaPolicy,
    /// What the role holds, if it is one that the workspace made.
    pub(crate) custom: Option<PermissionSet>,
}

impl Member {
    /// Where the member stands among those of its workspace.
    pub fn place(&self) -> TimePlace {
        TimePlace {
            at: self.joined_at,
            id: self.user.0,
        }
    }
}

impl Membership {
    /// Where the workspace stands among those of its member.
    pub fn place(&self) -> TimePlace {
        TimePlace {
            at: self.member.joined_at,
            id: self.workspace.id.0,
        }
    }
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// A connector's configuration.
    Connector,
    /// A webhook's signing secret.
    Webhook,
    /// The key of a provider of models.
    LlmProvider,
    /// Anything else.
    Custom,
}

impl SecretKind {
    const ALL: [Self; 4] = [Self::Connector, Self::Webhook, Self::LlmProvider, Self::Custom];

    /// The word in messages and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Webhook => "webhook",
            Self::LlmProvider => "llm_provider",
            Self::Custom => "custom",
        }
    }

    /// The kind of that word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or("must be connector, webhook, llm_provider or custom")
    }
}

/// The name of a secret: 1 to 120 of `a-z A-Z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// The name, if it is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=NAME_CHARS).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be 1 to 120 of a-z A-Z 0-9 . _ -")
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret as it is stored: its value is an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The id of this row: a secret that was deleted and made again is another one.
    pub id: Uuid,
    /// The name within the workspace.
    pub name: SecretName,
    /// What it is for.
    pub kind: SecretKind,
    /// How often it was written.
    pub version: u32,
    /// The data key version under which the value lies.
    pub key_version: u32,
    /// The sealed value.
    pub sealed: Vec<u8>,
    /// When it was first written.
    pub created_at: DateTime<Utc>,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_names_are_counted_in_characters() {
        assert!(WorkspaceName::parse(&"ä".repeat(120)).is_ok());
        assert!(WorkspaceName::parse("Größe & Co.").is_ok());
        for bad in ["", "  ", "a\nb", &"ä".repeat(121)] {
            assert!(WorkspaceName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn secret_names_can_stand_in_a_path() {
        assert!(SecretName::parse("OpenAI.key_1-a").is_ok());
        for bad in ["", "a/b", "a b", "ä", "a\n", &"x".repeat(121)] {
            assert!(SecretName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn kinds_are_the_four_words() {
        for kind in SecretKind::ALL {
            assert_eq!(SecretKind::parse(kind.as_str()), Ok(kind));
        }
        assert!(SecretKind::parse("Custom").is_err());
    }
}
