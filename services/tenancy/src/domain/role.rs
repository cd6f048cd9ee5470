//! Roles that a workspace makes, and what a member is by the one it has.

use std::fmt;
use std::str::FromStr;

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::{PermissionSet, Role};
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Invalid, SETTLED};
use crate::refusal::Refusal;

/// The permission to make, change and delete roles.
pub(crate) const ROLES_WRITE: &str = "roles.write";
/// How many roles a workspace may make: all of them are one answer.
pub(crate) const MOST_ROLES: usize = 100;
const NAME_CHARS: usize = 60;

/// The id of a role that a workspace made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(pub Uuid);

/// What a member is: by a built-in role or by one of its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberRole {
    /// A part of the product.
    BuiltIn(Role),
    /// Made by the workspace.
    Custom(RoleId),
}

impl From<Role> for MemberRole {
    fn from(role: Role) -> Self {
        Self::BuiltIn(role)
    }
}

impl PartialEq<Role> for MemberRole {
    fn eq(&self, role: &Role) -> bool {
        *self == Self::BuiltIn(*role)
    }
}

/// The word of a built-in role, or the id: what members, tokens and facts say.
impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(role) => f.write_str(role.as_str()),
            Self::Custom(RoleId(id)) => id.fmt(f),
        }
    }
}

impl FromStr for MemberRole {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let built_in = Role::parse(text).map(Self::BuiltIn);
        built_in
            .or_else(|| Uuid::try_parse(text).ok().map(RoleId).map(Self::Custom))
            .ok_or("must be owner, admin, editor, viewer or the id of a custom role")
    }
}

/// A role with what it holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldRole {
    /// Which.
    pub role: MemberRole,
    /// What it holds.
    pub permissions: PermissionSet,
}

impl From<Role> for HeldRole {
    fn from(role: Role) -> Self {
        Self {
            role: role.into(),
            permissions: PermissionSet::of_role(role),
        }
    }
}

impl HeldRole {
    /// A role, whose permissions are `custom` if it is a custom one; nothing for a custom one that is not there.
    pub(crate) fn of(role: MemberRole, custom: Option<PermissionSet>) -> Option<Self> {
        match role {
            MemberRole::BuiltIn(role) => Some(role.into()),
            MemberRole::Custom(_) => custom.map(|permissions| Self { role, permissions }),
        }
    }

    /// Whether who has this role may give the other, or touch who has it (RBAC-04). Only an owner is above an owner,
    /// however much a custom role holds.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let among_owners = other.role != Role::Owner || self.role == Role::Owner;
        among_owners && self.permissions.includes(&other.permissions)
    }

    /// Whether it holds that permission.
    pub(crate) fn holds(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }
}

/// The name of a custom role: 1 to 60 characters, none of the built-in ones'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleName(String);

impl RoleName {
    /// The name of a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > NAME_CHARS {
            return Err("must have 1 to 60 characters");
        }
        if text.chars().any(char::is_control) {
            return Err("must not hold control characters");
        }
        let name = Self(text.to_owned());
        if Role::parse(&name.key()).is_some() {
            return Err("is the name of a built-in role");
        }
        Ok(name)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What two roles of a workspace cannot share: the name without regard to capitals.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// A role that a workspace made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomRole {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The id.
    pub id: RoleId,
    /// The name.
    pub name: RoleName,
    /// What it holds.
    pub permissions: PermissionSet,
    /// How often it was written.
    pub version: u32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl CustomRole {
    pub(crate) fn held(&self) -> HeldRole {
        HeldRole {
            role: MemberRole::Custom(self.id),
            permissions: self.permissions,
        }
    }
}

/// A change of the roles of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleChange {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who asks for it.
    pub actor: UserId,
    /// Which role.
    pub role: RoleId,
    /// What becomes of it.
    pub step: RoleStep,
    /// When.
    pub at: DateTime<Utc>,
}

/// What becomes of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoleStep {
    /// It is made.
    Create(RoleName, PermissionSet),
    /// It changes.
    Update {
        /// To which version; whatever there is without one.
        version: Option<u32>,
        /// The new name.
        name: Option<RoleName>,
        /// What it holds from now on.
        permissions: Option<PermissionSet>,
    },
    /// It goes.
    Delete,
}

/// How things stand in the workspace before a change of its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleStanding {
    /// The role of who asks.
    pub actor: Option<HeldRole>,
    /// The role as it is.
    pub role: Option<CustomRole>,
    /// How many there are.
    pub roles: usize,
    /// Whether another role has the name that this one is to have.
    pub name_taken: bool,
    /// Whether a member or an open invitation has it.
    pub in_use: bool,
}

impl RoleChange {
    /// The name that the role is to have, if it is to have another.
    pub(crate) fn name(&self) -> Option<&RoleName> {
        match &self.step {
            RoleStep::Create(name, _) => Some(name),
            RoleStep::Update { name, .. } => name.as_ref(),
            RoleStep::Delete => None,
        }
    }

    /// What the role is to hold, if that is said.
    pub(crate) fn permissions(&self) -> Option<PermissionSet> {
        match &self.step {
            RoleStep::Create(_, permissions) => Some(*permissions),
            RoleStep::Update { permissions, .. } => *permissions,
            RoleStep::Delete => None,
        }
    }

    /// The role after the change, if the rules allow it: as it is stored, or was for one that goes.
    ///
    /// # Errors
    /// The rule that does not. Granting needs holding (RBAC-04): of what the role is to hold, and of what it held before.
    pub(crate) fn apply(&self, standing: RoleStanding) -> Result<CustomRole, Refusal> {
        let actor = standing.actor.filter(|actor| actor.holds(ROLES_WRITE));
        let actor = actor.ok_or(Refusal::NotAllowed)?;
        if let Some(before) = &standing.role
            && !actor.covers(&before.held())
        {
            return Err(Refusal::RoleAboveOwn);
        }
        if self
            .permissions()
            .is_some_and(|wanted| !actor.permissions.includes(&wanted))
        {
            return Err(Refusal::PermissionNotHeld);
        }
        let role = match &self.step {
            RoleStep::Create(name, permissions) => self.made(name, *permissions, standing.roles)?,
            RoleStep::Update {
                version,
                name,
                permissions,
            } => {
                let before = standing.role.ok_or(Refusal::RoleNotFound)?;
                if version.is_some_and(|version| version != before.version) {
                    return Err(Refusal::RoleChanged);
                }
                CustomRole {
                    name: name.clone().unwrap_or(before.name),
                    permissions: permissions.unwrap_or(before.permissions),
                    version: before.version + 1,
                    updated_at: self.at,
                    ..before
                }
            }
            RoleStep::Delete if standing.in_use => return Err(Refusal::RoleInUse),
            RoleStep::Delete => return standing.role.ok_or(Refusal::RoleNotFound),
        };
        if standing.name_taken {
            return Err(Refusal::RoleExists);
        }
        Ok(role)
    }

    fn made(&self, name: &RoleName, permissions: PermissionSet, roles: usize) -> Result<CustomRole, Refusal> {
        if roles >= MOST_ROLES {
            return Err(Refusal::TooManyRoles);
        }
        Ok(CustomRole {
            workspace: self.workspace,
            id: self.role,
            name: name.clone(),
            permissions,
            version: 1,
            created_at: self.at,
            updated_at: self.at,
        })
    }

    /// Whether access tokens say what the role does not hold any more, or not yet.
    pub(crate) fn voids(&self) -> bool {
        match &self.step {
            RoleStep::Create(..) => false,
            RoleStep::Update { permissions, .. } => permissions.is_some(),
            RoleStep::Delete => true,
        }
    }

    /// The end of the access tokens that say the old role, of a change that was made at `at`.
    pub(crate) fn voided(&self, at: DateTime<Utc>, life: TimeDelta) -> Revocation {
        Revocation::before(Ended::Role(self.role.0), at + SETTLED, life)
    }

    /// The fact with what changed.
    pub(crate) fn describe(
        &self,
        fact: OutboxEvent,
        before: Option<&CustomRole>,
        role: &CustomRole,
    ) -> OutboxEvent {
        let old = before.map_or(PermissionSet::EMPTY, |before| before.permissions);
        let new = match self.step {
            RoleStep::Delete => PermissionSet::EMPTY,
            RoleStep::Create(..) | RoleStep::Update { .. } => role.permissions,
        };
        fact.detail("name", role.name.as_str())
            .detail("added", (new - old).names())
            .detail("removed", (old - new).names())
    }
}

#[cfg(test)]
mod tests;
