//! With what access tokens are signed. That processes apart share no secret is checked where it is known what a process
//! serves.

use crate::registry;
use crate::resolve::Resolution;

const ALGORITHM: &str = "JWT_SIGNING_ALGORITHM";
const PRIVATE_KEY: &str = "JWT_SIGNING_PRIVATE_KEY";
const PUBLIC_KEYS: &str = "JWT_VERIFYING_PUBLIC_KEYS";

pub(super) fn apply(resolution: &mut Resolution) {
    if signs_with_a_secret(resolution) {
        unused(resolution);
    } else if checks(resolution, PRIVATE_KEY) && !resolution.is_given(PRIVATE_KEY) {
        let message = "must be set with JWT_SIGNING_ALGORITHM=EdDSA or ES256";
        resolution.problem(PRIVATE_KEY, message);
    }
}

/// Whether access tokens are signed with a secret (HS256).
pub(super) fn signs_with_a_secret(resolution: &Resolution) -> bool {
    resolution.raw(ALGORITHM).is_none_or(|word| word == "HS256")
}

/// A key that signs nothing is a mistake in one of the two settings.
fn unused(resolution: &mut Resolution) {
    for name in [PRIVATE_KEY, PUBLIC_KEYS] {
        if checks(resolution, name) && resolution.is_given(name) {
            resolution.problem(name, "is not used with JWT_SIGNING_ALGORITHM=HS256");
        }
    }
}

fn checks(resolution: &Resolution, name: &str) -> bool {
    registry::find(name).is_some_and(|setting| resolution.checks(setting))
}
