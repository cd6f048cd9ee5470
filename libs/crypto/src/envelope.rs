//! Envelopes: how everything secret lies at rest (KEY-01, KEY-02, KEY-03).
//!
//! `magic(4) | format(1) | suite(1) | key version(4) | message id(24) | commitment(32) | ciphertext | tag(16)`, numbers
//! big-endian. Each message has its own key: HKDF-Expand-SHA256 of the data key over the message id gives 32 bytes of
//! AES-256-GCM key and 32 bytes that commit to it, so the nonce is fixed and no ciphertext opens under two keys. The
//! associated data and the first ten bytes of the envelope are authenticated. The layout is frozen by vectors.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::keys::DataKey;

const MAGIC: [u8; 4] = *b"CWEV";
const FORMAT: u8 = 1;
/// HKDF-SHA256 to key and commitment, AES-256-GCM.
const SUITE: u8 = 1;
const PREFIX_BYTES: usize = 10;
const MESSAGE_ID_BYTES: usize = 24;
const COMMITMENT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// By how much an envelope is longer than what it holds.
pub const OVERHEAD_BYTES: usize = PREFIX_BYTES + MESSAGE_ID_BYTES + COMMITMENT_BYTES + TAG_BYTES;

type MessageId = [u8; MESSAGE_ID_BYTES];

/// An envelope that cannot be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// A part of the associated data that must be said is empty.
    #[error("the associated data lacks its {0}")]
    MissingAssociated(&'static str),
    /// Shorter than the shortest envelope.
    #[error("the envelope is cut off")]
    Truncated,
    /// The bytes are something else.
    #[error("not an envelope")]
    NotAnEnvelope,
    /// A format that this version does not know.
    #[error("unknown envelope format {0}")]
    UnknownFormat(u8),
    /// A suite that this version does not know.
    #[error("unknown envelope suite {0}")]
    UnknownSuite(u8),
    /// It was sealed under another key, or its message id or commitment was changed.
    #[error("the envelope was sealed under another key")]
    WrongKey,
    /// The content, the header or the associated data is not what was sealed.
    #[error("the envelope or its associated data was changed")]
    Altered,
    /// The system gives no random bytes, or refuses the key.
    #[error("the cryptographic library refuses")]
    Refused,
}

/// To what a sealed value belongs. It is not stored in the envelope: whoever opens it says it again, and a value that
/// was moved to another place does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Associated<'a> {
    /// The tenant.
    pub workspace: Uuid,
    /// The table, with its schema.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's key within the tenant.
    pub row: &'a str,
    /// The version of the row, so that an older value cannot be put back.
    pub version: u32,
    /// What the value is for.
    pub purpose: &'a str,
}

impl Associated<'_> {
    /// One spelling per value: every text is preceded by its length.
    fn encode(&self) -> Result<Authenticated, CryptoError> {
        let texts = [
            ("table", self.table),
            ("column", self.column),
            ("row", self.row),
            ("purpose", self.purpose),
        ];
        let length = texts
            .iter()
            .map(|(_, text)| LENGTH_BYTES + text.len())
            .sum::<usize>();
        let mut bytes = Authenticated::with_capacity(size_of::<Uuid>() + size_of::<u32>() + length);
        bytes.put(self.workspace.as_bytes());
        bytes.put(&self.version.to_be_bytes());
        for (name, text) in texts {
            if text.is_empty() {
                return Err(CryptoError::MissingAssociated(name));
            }
            bytes.put_text(text);
        }
        Ok(bytes)
    }
}

/// The length before each text.
const LENGTH_BYTES: usize = size_of::<u64>();

/// What an envelope authenticates beside its content. The place of the envelope's own prefix is kept free before it, so
/// that it is written once and copied never.
pub(crate) struct Authenticated(Vec<u8>);

impl Authenticated {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut room = Vec::with_capacity(PREFIX_BYTES + bytes);
        room.extend([0; PREFIX_BYTES]);
        Self(room)
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Appends `text` with its length before it.
    pub(crate) fn put_text(&mut self, text: &str) {
        self.put(&(text.len() as u64).to_be_bytes());
        self.put(text.as_bytes());
    }

    fn after(mut self, prefix: &[u8; PREFIX_BYTES]) -> Vec<u8> {
        self.0[..PREFIX_BYTES].copy_from_slice(prefix);
        self.0
    }
}

/// Keeps the keys of different uses apart, even where one key had two uses.
#[derive(Clone, Copy)]
pub(crate) enum Domain {
    /// A value under a data key.
    Value,
    /// A data key under a key-encryption key.
    Wrap,
}

impl Domain {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Value => b"causeway envelope value v1",
            Self::Wrap => b"causeway envelope wrap v1",
        }
    }
}

/// Seals `plaintext` under `key`, which is version `key_version` of the tenant's keys.
///
/// # Errors
/// [`CryptoError::MissingAssociated`]; [`CryptoError::Refused`] if the system gives no random bytes.
pub fn seal(
    key: &DataKey,
    key_version: u32,
    plaintext: &[u8],
    aad: &Associated<'_>,
) -> Result<Vec<u8>, CryptoError> {
    seal_bytes(Domain::Value, key.bytes(), key_version, plaintext, aad.encode()?)
}

/// Opens an envelope that [`seal`] made with the same key and the same associated data.
///
/// # Errors
/// [`CryptoError`] says whether it is no envelope, was sealed under another key, or was changed.
pub fn open(key: &DataKey, envelope: &[u8], aad: &Associated<'_>) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    open_bytes(Domain::Value, key.bytes(), envelope, aad.encode()?)
}

/// The version of the key under which the envelope says it was sealed. Only opening it proves that.
///
/// # Errors
/// If the bytes are not an envelope of a known format.
pub fn key_version_of(envelope: &[u8]) -> Result<u32, CryptoError> {
    Parts::of(envelope).map(|parts| parts.key_version)
}

pub(crate) fn seal_bytes(
    domain: Domain,
    key: &[u8; KEY_BYTES],
    key_version: u32,
    plaintext: &[u8],
    aad: Authenticated,
) -> Result<Vec<u8>, CryptoError> {
    let mut id = [0; MESSAGE_ID_BYTES];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| CryptoError::Refused)?;
    seal_with_id(domain, key, key_version, id, plaintext, aad)
}

/// The deterministic core. An id must never be used twice: outside of this module only vectors choose one.
fn seal_with_id(
    domain: Domain,
    key: &[u8; KEY_BYTES],
    key_version: u32,
    id: MessageId,
    plaintext: &[u8],
    aad: Authenticated,
) -> Result<Vec<u8>, CryptoError> {
    let message = MessageKey::derive(domain, key, &id)?;
    let prefix = prefix(key_version);
    let mut envelope = Vec::with_capacity(OVERHEAD_BYTES + plaintext.len());
    envelope.extend(prefix);
    envelope.extend(id);
    envelope.extend(message.commitment);
    let start = envelope.len();
    envelope.extend(plaintext);
    let tag = message
        .cipher
        .seal_in_place_separate_tag(nonce(), Aad::from(aad.after(&prefix)), &mut envelope[start..])
        .map_err(|_| CryptoError::Refused)?;
    envelope.extend(tag.as_ref());
    Ok(envelope)
}

pub(crate) fn open_bytes(
    domain: Domain,
    key: &[u8; KEY_BYTES],
    envelope: &[u8],
    aad: Authenticated,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let parts = Parts::of(envelope)?;
    let message = MessageKey::derive(domain, key, parts.id)?;
    // Before anything is decrypted: a ciphertext that was made to open under two keys stops here.
    if !bool::from(message.commitment.ct_eq(parts.commitment)) {
        return Err(CryptoError::WrongKey);
    }
    let mut content = Zeroizing::new(parts.sealed.to_vec());
    let length = message
        .cipher
        .open_in_place(nonce(), Aad::from(aad.after(parts.prefix)), &mut content)
        .map_err(|_| CryptoError::Altered)?
        .len();
    content.truncate(length);
    Ok(content)
}

/// Each message has its own key, so one nonce serves them all.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn prefix(key_version: u32) -> [u8; PREFIX_BYTES] {
    let [m, a, g, c] = MAGIC;
    let [v0, v1, v2, v3] = key_version.to_be_bytes();
    [m, a, g, c, FORMAT, SUITE, v0, v1, v2, v3]
}

struct Parts<'a> {
    prefix: &'a [u8; PREFIX_BYTES],
    key_version: u32,
    id: &'a MessageId,
    commitment: &'a [u8],
    /// Ciphertext and tag.
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(envelope: &'a [u8]) -> Result<Self, CryptoError> {
        let cut = || CryptoError::Truncated;
        if !envelope.starts_with(&MAGIC[..envelope.len().min(MAGIC.len())]) {
            return Err(CryptoError::NotAnEnvelope);
        }
        let (prefix, rest) = envelope.split_first_chunk::<PREFIX_BYTES>().ok_or_else(cut)?;
        let [_, _, _, _, format, suite, version @ ..] = *prefix;
        if format != FORMAT {
            return Err(CryptoError::UnknownFormat(format));
        }
        if suite != SUITE {
            return Err(CryptoError::UnknownSuite(suite));
        }
        let (id, rest) = rest.split_first_chunk::<MESSAGE_ID_BYTES>().ok_or_else(cut)?;
        let (commitment, sealed) = rest.split_first_chunk::<COMMITMENT_BYTES>().ok_or_else(cut)?;
        if sealed.len() < TAG_BYTES {
            return Err(CryptoError::Truncated);
        }
        Ok(Self {
            prefix,
            key_version: u32::from_be_bytes(version),
            id,
            commitment,
            sealed,
        })
    }
}

/// The key of one message and what commits to it.
struct MessageKey {
    cipher: LessSafeKey,
    commitment: [u8; COMMITMENT_BYTES],
}

impl MessageKey {
    fn derive(domain: Domain, key: &[u8; KEY_BYTES], id: &MessageId) -> Result<Self, CryptoError> {
        let mut derived = Zeroizing::new([0; KEY_BYTES + COMMITMENT_BYTES]);
        expand(key, &[domain.label(), id], derived.as_mut())?;
        let (key, commitment) = derived.split_at(KEY_BYTES);
        let mut kept = [0; COMMITMENT_BYTES];
        kept.copy_from_slice(commitment);
        Ok(Self {
            cipher: cipher(key)?,
            commitment: kept,
        })
    }
}

fn cipher(key: &[u8]) -> Result<LessSafeKey, CryptoError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| CryptoError::Refused)
}

/// How many bytes are derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-SHA256 of a uniformly random key.
pub(crate) fn expand(key: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
    Prk::new_less_safe(HKDF_SHA256, key)
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| CryptoError::Refused)
}

#[cfg(test)]
mod tests;
