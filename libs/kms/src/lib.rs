//! Key-encryption keys that AWS KMS holds and never gives away: it wraps and unwraps data keys for us, and refuses a
//! wrapped key that is said to belong to another workspace, version or purpose.
//!
//! Each wrapped key names the ARN of the key that wrapped it, so that moving an alias, or the setting, to another key
//! strands nothing. What comes back is a secret of AWS and of this process alone: the ends of the connection are TLS,
//! and the copies that we make are overwritten. The SDK's own buffers are its own.

mod arn;
mod error;
mod options;
mod provider;

pub use options::{AccessKey, KmsOptions, Patience};
pub use provider::KmsProvider;

/// Whether AWS KMS wrapped what has this [`key_id`](causeway_crypto::WrappedKey::key_id).
pub fn is_kms_key(key_id: &str) -> bool {
    key_id.starts_with(arn::PREFIX)
}
