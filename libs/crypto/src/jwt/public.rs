//! Public keys: as PEM, as JSON Web Keys (RFC 7517, RFC 8037) and as the document that publishes them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::compact::fits_kid;
use super::key::{KeyTextError, SigningAlgorithm};
use super::pem::blocks;

/// What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410). DER has one spelling.
const ED25519_INFO: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// What precedes the 65 bytes of an uncompressed point on P-256 (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_BYTES: usize = 32;
const COORDINATE_BYTES: usize = 32;
/// Marks a point with both coordinates.
pub(super) const UNCOMPRESSED: u8 = 4;
/// The most keys that a published set may have.
const MOST_KEYS: usize = 64;

/// A public key that verifies: Ed25519 or P-256. Its id is the thumbprint of RFC 7638 unless a set names it otherwise,
/// so that all who know the key know it by the same name.
#[derive(Debug, Clone)]
pub struct PublicKey {
    algorithm: SigningAlgorithm,
    kid: String,
    bytes: Vec<u8>,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// The key of 32 bytes (Ed25519), or of an uncompressed point of 65 (P-256).
    pub(super) fn new(algorithm: SigningAlgorithm, bytes: &[u8]) -> Result<Self, KeyTextError> {
        let (verification, length): (&'static dyn VerificationAlgorithm, usize) = match algorithm {
            SigningAlgorithm::EdDsa => (&ED25519, ED25519_BYTES),
            SigningAlgorithm::Es256 => (&ECDSA_P256_SHA256_FIXED, 1 + 2 * COORDINATE_BYTES),
            SigningAlgorithm::Hs256 => return Err(KeyTextError::Unsupported),
        };
        if bytes.len() != length {
            return Err(KeyTextError::Unsupported);
        }
        let parsed = ParsedPublicKey::new(verification, bytes).map_err(|_| KeyTextError::Unsupported)?;
        let mut key = Self {
            algorithm,
            kid: String::new(),
            bytes: bytes.to_vec(),
            parsed,
        };
        key.kid = key.thumbprint();
        Ok(key)
    }

    /// The keys of a text of `PUBLIC KEY` blocks (SubjectPublicKeyInfo), one or more.
    ///
    /// # Errors
    /// [`KeyTextError`] for other text, for keys that are neither Ed25519 nor P-256, and for private keys.
    pub fn read_pem(text: &str) -> Result<Vec<Self>, KeyTextError> {
        const LABEL: &str = "PUBLIC KEY";
        let read = |der: &[u8]| {
            if let Some(key) = der.strip_prefix(&ED25519_INFO) {
                Self::new(SigningAlgorithm::EdDsa, key)
            } else if let Some(point) = der.strip_prefix(&P256_INFO) {
                Self::new(SigningAlgorithm::Es256, point)
            } else {
                Err(KeyTextError::Unsupported)
            }
        };
        let blocks = blocks(text)?;
        if blocks.iter().any(|block| block.label != LABEL) {
            return Err(KeyTextError::Label { expected: LABEL });
        }
        distinct(
            blocks
                .iter()
                .map(|block| read(&block.der))
                .collect::<Result<_, _>>()?,
        )
    }

    /// The keys of a published set, such as [`JwkSet`] writes. A set of ours has nothing else in it, so one unsuitable
    /// key refuses the set: a secret among public keys, an unknown curve, a key for encryption.
    ///
    /// # Errors
    /// [`KeyTextError`] says which member of a key is at fault.
    pub fn read_jwks(json: &[u8]) -> Result<Vec<Self>, KeyTextError> {
        let set: Offered = serde_json::from_slice(json).map_err(|_| KeyTextError::NotJwks)?;
        if set.keys.len() > MOST_KEYS {
            return Err(KeyTextError::NotJwks);
        }
        distinct(set.keys.iter().map(OfferedKey::read).collect::<Result<_, _>>()?)
    }

    /// The keys of a text in either form: PEM blocks, or a published set.
    ///
    /// # Errors
    /// Those of [`PublicKey::read_pem`] and [`PublicKey::read_jwks`].
    pub fn read(text: &str) -> Result<Vec<Self>, KeyTextError> {
        if text.trim_start().starts_with('{') {
            return Self::read_jwks(text.as_bytes());
        }
        Self::read_pem(text)
    }

    /// The same key under the name that its owner gave it.
    pub(super) fn named(mut self, kid: Option<String>) -> Self {
        self.kid = kid.unwrap_or(self.kid);
        self
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Its id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }

    /// The key as others read it.
    pub fn jwk(&self) -> Jwk {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (kty, crv, x, y) = if self.algorithm == SigningAlgorithm::EdDsa {
            ("OKP", "Ed25519", encode(&self.bytes), None)
        } else {
            let (x, y) = self.bytes[1..].split_at(COORDINATE_BYTES);
            ("EC", "P-256", encode(x), Some(encode(y)))
        };
        Jwk {
            kty,
            crv,
            x,
            y,
            kid: self.kid.clone(),
            usage: "sig",
            alg: self.algorithm.name(),
        }
    }

    /// The digest of the members that make the key, in their order and without a blank (RFC 7638 §3).
    fn thumbprint(&self) -> String {
        let Jwk { kty, crv, x, y, .. } = self.jwk();
        let y = y.map_or(String::new(), |y| format!(r#","y":"{y}""#));
        let members = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}"{y}}}"#);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
    }
}

/// The same key for the same algorithm, whatever it is called.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

fn distinct(keys: Vec<PublicKey>) -> Result<Vec<PublicKey>, KeyTextError> {
    let repeated =
        |(position, key): (usize, &PublicKey)| keys[..position].iter().any(|earlier| earlier.kid == key.kid);
    if keys.iter().enumerate().any(repeated) {
        return Err(KeyTextError::SameId);
    }
    Ok(keys)
}

/// One published key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    kid: String,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
}

/// The document that publishes keys (RFC 7517 §5); no keys when tokens are signed with a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A set that was read and is not believed yet.
#[derive(Deserialize)]
struct Offered {
    keys: Vec<OfferedKey>,
}

/// Repeated members are errors of the parser, as every member that counts is named here.
#[derive(Deserialize)]
struct OfferedKey {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    /// The private half.
    d: Option<serde::de::IgnoredAny>,
    /// A secret.
    k: Option<serde::de::IgnoredAny>,
}

impl OfferedKey {
    fn read(&self) -> Result<PublicKey, KeyTextError> {
        let unless = |fits: bool, member| {
            if fits {
                Ok(())
            } else {
                Err(KeyTextError::Jwk { member })
            }
        };
        unless(self.d.is_none(), "d")?;
        unless(self.k.is_none(), "k")?;
        unless(self.usage.as_deref().is_none_or(|usage| usage == "sig"), "use")?;
        let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
        unless(self.key_ops.as_ref().is_none_or(verifies), "key_ops")?;

        let (algorithm, bytes) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => (SigningAlgorithm::EdDsa, number(self.x.as_ref(), "x")?),
            ("EC", Some("P-256")) => {
                let coordinates = [number(self.x.as_ref(), "x")?, number(self.y.as_ref(), "y")?];
                (
                    SigningAlgorithm::Es256,
                    [&[UNCOMPRESSED][..], &coordinates.concat()].concat(),
                )
            }
            ("OKP" | "EC", _) => return Err(KeyTextError::Jwk { member: "crv" }),
            _ => return Err(KeyTextError::Jwk { member: "kty" }),
        };
        let alg = self.alg.as_deref();
        unless(alg.is_none_or(|alg| alg == algorithm.name()), "alg")?;

        let mut key = PublicKey::new(algorithm, &bytes)?;
        if let Some(kid) = &self.kid {
            unless(fits_kid(kid), "kid")?;
            key.kid.clone_from(kid);
        }
        Ok(key)
    }
}

fn number(text: Option<&String>, member: &'static str) -> Result<Vec<u8>, KeyTextError> {
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes
        .filter(|bytes| bytes.len() == COORDINATE_BYTES)
        .ok_or(KeyTextError::Jwk { member })
}
