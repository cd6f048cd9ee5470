//! The permission catalogue, as the contracts say it.

use causeway_contracts::{CATALOGUE, METHODS, Permission, PermissionSet, Role, Rule};

/// A permission, who holds it, and the RPCs that ask for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PermissionEntry {
    /// Its number.
    pub(crate) id: u16,
    /// Its name.
    pub(crate) name: &'static str,
    /// What it allows.
    pub(crate) description: &'static str,
    /// The built-in roles that hold it, from least to most.
    pub(crate) roles: Vec<Role>,
    /// The RPCs, as `package.Service/Method`.
    pub(crate) methods: Vec<&'static str>,
}

/// Every permission, by name.
pub(crate) fn permissions() -> Vec<PermissionEntry> {
    let mut entries: Vec<PermissionEntry> = CATALOGUE.iter().map(entry).collect();
    entries.sort_unstable_by_key(|entry| entry.name);
    entries
}

fn entry(permission: &'static Permission) -> PermissionEntry {
    let Permission {
        id,
        name,
        description,
    } = *permission;
    let holds = |role: &Role| PermissionSet::of_role(*role).holds(id);
    PermissionEntry {
        id,
        name,
        description,
        roles: Role::ALL.into_iter().filter(holds).collect(),
        methods: asked_by(id),
    }
}

fn asked_by(permission: u16) -> Vec<&'static str> {
    METHODS
        .iter()
        .filter(|method| matches!(method.rule, Rule::Permission { id, .. } if id == permission))
        .map(|method| method.path.trim_start_matches('/'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_asked_for_by_some_rpc_and_held_by_owners() {
        let catalogue = permissions();
        assert!(catalogue.iter().all(|entry| !entry.methods.is_empty()));
        assert!(
            catalogue
                .iter()
                .all(|entry| entry.roles.last() == Some(&Role::Owner))
        );
        let write = catalogue
            .iter()
            .find(|entry| entry.name == "tokens.write")
            .expect("known");
        let names = ["CreateToken", "DeleteToken"].map(|name| format!("causeway.auth.v1.AuthService/{name}"));
        assert_eq!(write.methods, names);
        assert_eq!(write.roles, Role::ALL);
    }
}
