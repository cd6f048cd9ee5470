//! The permission catalogue, as the contracts say it.

use causeway_contracts::{METHODS, PERMISSIONS, Rule};

/// A permission and the RPCs that ask for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PermissionEntry {
    /// Its name.
    pub(crate) name: &'static str,
    /// The RPCs, as `package.Service/Method`.
    pub(crate) methods: Vec<&'static str>,
}

/// Every permission, by name.
pub(crate) fn permissions() -> Vec<PermissionEntry> {
    PERMISSIONS
        .iter()
        .map(|name| PermissionEntry {
            name,
            methods: asked_by(name),
        })
        .collect()
}

fn asked_by(permission: &str) -> Vec<&'static str> {
    METHODS
        .iter()
        .filter(|method| matches!(method.rule, Rule::Permission { name, .. } if name == permission))
        .map(|method| method.path.trim_start_matches('/'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_is_asked_for_by_some_rpc() {
        let catalogue = permissions();
        assert!(catalogue.iter().all(|entry| !entry.methods.is_empty()));
        let write = catalogue
            .iter()
            .find(|entry| entry.name == "tokens.write")
            .expect("known");
        let names = ["CreateToken", "DeleteToken"].map(|name| format!("causeway.auth.v1.AuthService/{name}"));
        assert_eq!(write.methods, names);
    }
}
