//! Envelopes, key providers, token formats and signing keys.

mod envelope;
mod keys;
mod local;

pub use envelope::{Associated, CryptoError, OVERHEAD_BYTES, key_version_of, open, seal};
pub use keys::{DataKey, KeyCause, KeyContext, KeyError, KeyProvider, WrappedKey};
pub use local::{LocalKeys, LocalRing};

mod derive;
mod jwt;
pub mod token;

pub use jwt::{
    AccessClaims, AccessTokenKey, Actor, ForeignToken, RsaKey, RsaKeyError, ServiceClaims, ServiceTokenKeys,
    TokenError, Validity, fits_jwt, fits_kid,
};
