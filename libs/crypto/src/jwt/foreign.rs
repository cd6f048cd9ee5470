//! Tokens that others signed, with RSA or on P-256: the same shape, header and claim rules as for our own, a key that is
//! looked up.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::compact::{Parts, decode, read_claims, read_header};
use super::key::{KeyTextError, SigningAlgorithm};
use super::public::PublicKey;
use super::{Reason, Span, TokenError};

/// What RFC 7515 calls a JWT that says its kind.
const TYP: &str = "JWT";
const LEAST_BITS: usize = 2048;
const MOST_BITS: usize = 8192;
/// 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// A public RSA key that may verify: 2048 to 8192 bits, exponent 65537.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaKey {
    modulus: Vec<u8>,
}

/// Numbers that make no [`RsaKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a sound RSA key of 2048 to 8192 bits with exponent 65537")]
pub struct RsaKeyError;

impl RsaKey {
    /// The key of a modulus and an exponent, both big-endian.
    ///
    /// # Errors
    /// [`RsaKeyError`] for a key that is too short, too long, has another exponent, or was made by a generator whose
    /// keys can be factored.
    pub fn from_components(modulus: &[u8], exponent: &[u8]) -> Result<Self, RsaKeyError> {
        let (modulus, exponent) = (unpadded(modulus), unpadded(exponent));
        let high_zeros = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = modulus.len() * 8 - high_zeros;
        let sound = exponent == EXPONENT && (LEAST_BITS..=MOST_BITS).contains(&bits);
        if !sound || factorable(modulus) {
            return Err(RsaKeyError);
        }
        Ok(Self {
            modulus: modulus.to_vec(),
        })
    }

    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents {
            n: self.modulus.as_slice(),
            e: EXPONENT.as_slice(),
        };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .is_ok()
    }
}

/// Whether a modulus has the mark of the smart cards whose keys can be factored (CVE-2017-15361): modulo each small
/// prime it is a power of 65537. Of other moduli, fewer than one in 2^27 looks so.
fn factorable(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|prime| {
        let rest = modulus
            .iter()
            .fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % prime);
        let powers = std::iter::successors(Some(1), |power| Some(power * 65537 % prime));
        powers.take(*prime as usize).any(|power| power == rest)
    })
}

fn unpadded(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// With what somebody else's token may be signed (RFC 7518 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
}

impl ForeignAlgorithm {
    const ALL: [Self; 2] = [Self::Rs256, Self::Es256];

    /// Its name in a header, where case matters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// A public key of somebody else. It has one algorithm, whatever a token says (JWT-01).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForeignKey {
    /// For RS256.
    Rsa(RsaKey),
    /// For ES256.
    P256(PublicKey),
}

impl From<RsaKey> for ForeignKey {
    fn from(key: RsaKey) -> Self {
        Self::Rsa(key)
    }
}

impl ForeignKey {
    /// The key of a point on P-256.
    ///
    /// # Errors
    /// [`KeyTextError`] for coordinates of another length, or of a point that is not on the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, KeyTextError> {
        // 4 marks a point with both coordinates.
        let point = [&[4], x, y].concat();
        if x.len() != y.len() {
            return Err(KeyTextError::Unsupported);
        }
        PublicKey::new(SigningAlgorithm::Es256, &point).map(Self::P256)
    }

    /// What it verifies.
    pub const fn algorithm(&self) -> ForeignAlgorithm {
        match self {
            Self::Rsa(_) => ForeignAlgorithm::Rs256,
            Self::P256(_) => ForeignAlgorithm::Es256,
        }
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => key.signed(message, signature),
            Self::P256(key) => key.verifies(message, signature),
        }
    }
}

/// The left half of the SHA-256 of a text, as `at_hash` holds that of an access token (OpenID Connect Core §3.1.3.6).
pub fn half_hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

/// A token of somebody else's that was taken apart and is not believed yet. Its header is known, its claims are not.
pub struct ForeignToken<'t> {
    signed: &'t str,
    claims: &'t str,
    signature: Vec<u8>,
    algorithm: ForeignAlgorithm,
    kid: String,
}

impl<'t> ForeignToken<'t> {
    /// Takes a token apart that says to be signed by RS256 under a key that it names.
    ///
    /// # Errors
    /// [`TokenError`] for another form, another algorithm or kind, no key id, or a header that brings keys or demands.
    pub fn read(text: &'t str) -> Result<Self, TokenError> {
        Self::read_any_of(text, &[ForeignAlgorithm::Rs256])
    }

    /// The same for tokens that say to be signed by one of those algorithms.
    ///
    /// # Errors
    /// [`TokenError`] as from [`ForeignToken::read`].
    pub fn read_any_of(text: &'t str, allowed: &[ForeignAlgorithm]) -> Result<Self, TokenError> {
        let parts = Parts::of(text).ok_or(Reason::Shape)?;
        let signature = decode(parts.signature)?;
        let header = read_header(&decode(parts.header)?)?;
        let algorithm = ForeignAlgorithm::ALL
            .into_iter()
            .find(|known| known.name() == header.alg && allowed.contains(known))
            .ok_or(Reason::Algorithm)?;
        if header.typ.is_some_and(|typ| typ != TYP) {
            return Err(Reason::Kind.into());
        }
        let kid = header.kid.ok_or(Reason::Header)?;
        Ok(Self {
            signed: parts.signed,
            claims: parts.claims,
            signature,
            algorithm,
            kid,
        })
    }

    /// The key that it names: a hint for a look-up among trusted keys, nothing more.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The claims, once `key` has signed them (JWT-05).
    ///
    /// # Errors
    /// [`TokenError`] for another signer, or for claims that do not read as `T`.
    pub fn verify<T: DeserializeOwned>(&self, key: &ForeignKey) -> Result<T, TokenError> {
        Ok(read_claims(&self.payload(key)?)?)
    }

    pub(super) fn payload(&self, key: &ForeignKey) -> Result<Vec<u8>, Reason> {
        if key.algorithm() != self.algorithm {
            return Err(Reason::Algorithm);
        }
        if !key.signed(self.signed.as_bytes(), &self.signature) {
            return Err(Reason::Signature);
        }
        decode(self.claims)
    }
}

/// From when to when somebody else's token proves anything. Only its end must be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `iat`.
    pub issued: Option<i64>,
    /// `nbf`.
    pub from: Option<i64>,
    /// `exp`.
    pub until: i64,
}

impl Validity {
    /// Whether the token is in force now, with 5 s for clocks that differ (JWT-09).
    ///
    /// # Errors
    /// [`TokenError`] before its begin, after its end, or for a span that is none.
    pub fn check(self, now: DateTime<Utc>) -> Result<(), TokenError> {
        let from = self.from.or(self.issued).unwrap_or(0);
        let span = Span {
            issued: self.issued.unwrap_or(from),
            from,
            until: self.until,
        };
        if from < 0 {
            return Err(Reason::Lifetime.into());
        }
        Ok(span.check(i64::MAX, now)?)
    }
}
