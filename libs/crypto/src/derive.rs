//! Keys that follow from a configured secret, one per purpose, so that no secret is the key of two things.

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

/// For which tokens a derived key is.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The MAC of `svc+jwt`.
    Service,
    /// The MAC under which refresh tokens are stored.
    Refresh,
    /// The MAC of `mfa+jwt`.
    Mfa,
    /// The MAC of `sign-in+jwt`.
    SignIn,
    /// The MAC whose values are the secrets of a sign-in at a provider.
    SignInSecrets,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Service => b"causeway service token v1",
            Self::Refresh => b"causeway refresh token v1",
            Self::Mfa => b"causeway mfa token v1",
            Self::SignIn => b"causeway sign-in token v1",
            Self::SignInSecrets => b"causeway sign-in secrets v1",
        }
    }
}

/// The key of `purpose` that follows from `secret` (HKDF-SHA256).
pub(crate) fn key(secret: &[u8], purpose: Purpose) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"causeway")
        .extract(secret)
        .expand(&[purpose.label()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("32 bytes are one block of HKDF-SHA256");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_have_different_keys() {
        let secret = b"root";
        assert_ne!(*key(secret, Purpose::Service), *key(secret, Purpose::Refresh));
        assert_eq!(*key(secret, Purpose::Service), *key(secret, Purpose::Service));
    }
}
