//! Who may hold the secret of access tokens (JWT-14).

use causeway_settings::{Problem, Settings};

use super::{Role, Roles};

const ALGORITHM: &str = "JWT_SIGNING_ALGORITHM";

/// Refuses production with a secret in two places. With HS256 whoever verifies can sign, and two roles verify access tokens:
/// the gateway at the door, auth at introspection and revocation. So a process that serves one of them without the other
/// does not start in production, unless tokens are signed with a pair of keys of which auth alone has the private half.
///
/// # Errors
/// The setting that says HS256.
pub(super) fn check(settings: &Settings, roles: &Roles) -> Result<(), Vec<Problem>> {
    let apart = roles.has(Role::Gateway) != roles.has(Role::Auth);
    let shared = settings.text(ALGORITHM).is_none_or(|word| word == "HS256");
    if apart && shared && settings.tier().is_production() {
        let message = "must be EdDSA or ES256 in production where gateway and auth are processes of their own: with HS256 \
                       whoever verifies can sign";
        return Err(vec![Problem::new(ALGORITHM, message)]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use causeway_settings::{Owner, Sources};

    use super::*;

    fn refused(tier: &str, algorithm: &str, roles: &str) -> bool {
        let pairs = [
            ("NODE_ENV", tier),
            ("JWT_SIGNING_ALGORITHM", algorithm),
            ("INTERNAL_SERVICE_SECRET", "m3Xn2kq0Zr5Yb8Vw1Lx4Tm9Cs6Df3Gj7"),
        ];
        let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Mesh]).unwrap();
        check(&settings, &roles.parse().unwrap()).is_err()
    }

    /// JWT-14.
    #[test]
    fn two_processes_share_no_secret_that_signs() {
        for roles in ["gateway", "auth", "gateway,scoring", "auth,tenancy"] {
            assert!(refused("production", "HS256", roles), "{roles}");
            assert!(refused("production", "", roles), "unset: {roles}");
            assert!(!refused("production", "EdDSA", roles), "{roles}");
            assert!(!refused("development", "HS256", roles), "{roles}");
        }
        for roles in ["all", "gateway,auth", "tenancy", "scoring,audit"] {
            assert!(!refused("production", "HS256", roles), "{roles}");
        }
    }
}
