//! Which parts of the system a process runs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use causeway_settings::Owner;

/// A part of the system that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The door.
    Gateway,
    /// Who is calling.
    Auth,
    /// Whose data it is.
    Tenancy,
    /// Which model answers.
    Llm,
    /// Which option to show.
    Scoring,
    /// What happened.
    Audit,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::Auth,
        Self::Tenancy,
        Self::Llm,
        Self::Scoring,
        Self::Audit,
    ];

    /// The name on the command line and in the mesh.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Tenancy => "tenancy",
            Self::Llm => "llm",
            Self::Scoring => "scoring",
            Self::Audit => "audit",
        }
    }

    /// The setting that says where the service is when it runs elsewhere; the door is never called.
    pub const fn address_setting(self) -> Option<&'static str> {
        match self {
            Self::Gateway => None,
            Self::Auth => Some("MESH_AUTH_ADDR"),
            Self::Tenancy => Some("MESH_TENANCY_ADDR"),
            Self::Llm => Some("MESH_LLM_ADDR"),
            Self::Scoring => Some("MESH_SCORING_ADDR"),
            Self::Audit => Some("MESH_AUDIT_ADDR"),
        }
    }

    /// Whose settings it reads.
    pub const fn owner(self) -> Owner {
        match self {
            Self::Gateway => Owner::Gateway,
            Self::Auth => Owner::Auth,
            Self::Tenancy => Owner::Tenancy,
            Self::Llm => Owner::Llm,
            Self::Scoring => Owner::Scoring,
            Self::Audit => Owner::Audit,
        }
    }
}

/// The roles of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

/// A name that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no role {0}; the roles are gateway, auth, tenancy, llm, scoring, audit, and all for every one"
)]
pub struct UnknownRole(String);

impl Roles {
    /// Every role: the all-in-one program.
    pub fn all() -> Self {
        Self(Role::ALL.into_iter().collect())
    }

    /// Whether nothing runs elsewhere.
    pub fn is_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// Whether `role` runs here.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether anything runs here that others call.
    pub fn has_service(&self) -> bool {
        self.0.iter().any(|role| *role != Role::Gateway)
    }

    /// The roles.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }
}

impl FromStr for Roles {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let mut roles = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match Role::ALL.into_iter().find(|role| role.name() == word) {
                Some(role) => drop(roles.insert(role)),
                None if word == "all" => roles.extend(Role::ALL),
                None => return Err(UnknownRole(word.to_owned())),
            }
        }
        Ok(Self(roles))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        let names: Vec<&str> = self.0.iter().map(|role| role.name()).collect();
        f.write_str(&names.join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_from_a_list() {
        assert!("all".parse::<Roles>().unwrap().is_all());
        let roles: Roles = "audit, llm".parse().unwrap();
        assert!(roles.has(Role::Audit) && roles.has(Role::Llm) && !roles.has(Role::Gateway));
        assert_eq!("audit,mail".parse::<Roles>(), Err(UnknownRole("mail".to_owned())));
    }
}
