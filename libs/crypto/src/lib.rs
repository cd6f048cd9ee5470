//! Envelopes, key providers, token formats and signing keys.

mod envelope;
mod keys;
mod local;

pub use envelope::{Associated, CryptoError, OVERHEAD_BYTES, key_version_of, open, seal};
pub use keys::{DataKey, KeyCause, KeyContext, KeyError, KeyProvider, WrappedKey};
pub use local::{LocalKeys, LocalRing};

mod derive;
mod jwt;
mod p256;
mod pepper;
pub mod token;

pub use jwt::{
    AccessClaims, AccessTokenKey, AccessTokenKeys, Actor, ForeignAlgorithm, ForeignKey, ForeignToken, Jwk,
    JwkSet, KeyTextError, MfaClaims, MfaTokenKey, PublicKey, RsaKey, RsaKeyError, ServiceClaims,
    ServiceTokenKeys, SignInClaims, SignInKey, SignInSecrets, SigningAlgorithm, TokenError, Validity,
    fits_jwt, fits_kid, half_hash, named_key,
};
pub use p256::{P256Key, P256KeyError};
pub use pepper::{Peppers, Scheme, SchemeError, StoredForms, StoredSecret, same_text};
