//! Envelopes, key providers, token formats and signing keys.

mod envelope;
mod keys;
mod local;

pub use envelope::{Associated, CryptoError, OVERHEAD_BYTES, key_version_of, open, seal};
pub use keys::{DataKey, KeyContext, KeyError, KeyProvider, WrappedKey};
pub use local::{LocalKeys, LocalRing};

mod derive;
mod jwt;
pub mod token;

pub use jwt::{AccessClaims, AccessTokenKey, ServiceClaims, ServiceTokenKeys, TokenError, fits_jwt};
