//! The compact form: its bytes, its MAC and its header. Nothing of a token is decoded before its MAC is right.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::unique::refuse_duplicates;
use super::{Reason, TokenError};

/// The longest token that is read.
const MAX_BYTES: usize = 8 * 1024;
/// The longest key id that is tolerated (JWT-02). We have one key per kind of our own and select none by id.
const MAX_KID_BYTES: usize = 64;

/// Whether `text` has the form of a JWT. Says nothing of its worth.
pub fn fits_jwt(text: &str) -> bool {
    parts(text).is_some()
}

/// The signed part, the header, the claims and the signature.
pub(super) fn parts(text: &str) -> Option<(&str, &str, &str, &str)> {
    let fits = text.len() <= MAX_BYTES
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !fits {
        return None;
    }
    let (signed, signature) = text.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    (!claims.contains('.')).then_some((signed, header, claims, signature))
}

/// One HMAC key in the two forms that the library asks for.
pub(super) struct MacKey {
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl MacKey {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self {
            signing: EncodingKey::from_secret(bytes),
            verifying: DecodingKey::from_secret(bytes),
        }
    }
}

/// Signs `claims` as a token of kind `typ`.
pub(super) fn sign<T: serde::Serialize>(key: &MacKey, typ: &str, claims: &T) -> Result<String, TokenError> {
    let claims = serde_json::to_vec(claims).map_err(|_| Reason::Claims)?;
    let mut token = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#));
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature =
        crypto::sign(token.as_bytes(), &key.signing, Algorithm::HS256).map_err(|_| Reason::Signature)?;
    token.push('.');
    token.push_str(&signature);
    if token.len() > MAX_BYTES {
        return Err(Reason::Shape.into());
    }
    Ok(token)
}

/// The claims of a token of kind `typ` under one of `keys`.
///
/// The order matters: shape, MAC, header, claims. The library's own `decode` parses before it verifies, reads `crit`
/// without obeying it, and takes several spellings of the same token.
pub(super) fn verify<'k, T: DeserializeOwned>(
    keys: impl IntoIterator<Item = &'k MacKey>,
    typ: &str,
    token: &str,
) -> Result<T, TokenError> {
    let (signed, header, claims, signature) = parts(token).ok_or(Reason::Shape)?;
    decode(signature)?;
    let genuine = keys.into_iter().any(|key| {
        crypto::verify(signature, signed.as_bytes(), &key.verifying, Algorithm::HS256).unwrap_or(false)
    });
    if !genuine {
        return Err(Reason::Signature.into());
    }
    check_header(&decode(header)?, typ)?;
    Ok(read_claims(claims)?)
}

/// The bytes of a part in their one spelling: unpadded, no stray bits (JWT-04).
pub(super) fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Shape)
}

/// The claims of a token whose signature was verified.
pub(super) fn read_claims<T: DeserializeOwned>(part: &str) -> Result<T, Reason> {
    let claims = decode(part)?;
    refuse_duplicates(&claims).map_err(|_| Reason::Claims)?;
    serde_json::from_slice(&claims).map_err(|_| Reason::Claims)
}

/// The header members that mean something to us; a member that must not be there is refused by its mere presence.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    jku: bool,
    #[serde(default, deserialize_with = "present")]
    jwk: bool,
    #[serde(default, deserialize_with = "present")]
    x5u: bool,
    #[serde(default, deserialize_with = "present")]
    x5c: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The header of a token that brings no keys and makes no demands (JWT-02, JWT-03).
pub(super) fn read_header(json: &[u8]) -> Result<Header, Reason> {
    refuse_duplicates(json).map_err(|_| Reason::Header)?;
    let header: Header = serde_json::from_slice(json).map_err(|_| Reason::Header)?;
    if header.crit || header.jku || header.jwk || header.x5u || header.x5c {
        return Err(Reason::Header);
    }
    match &header.kid {
        Some(kid) if !fits_kid(kid) => Err(Reason::Header),
        Some(_) | None => Ok(header),
    }
}

fn check_header(json: &[u8], typ: &str) -> Result<(), Reason> {
    let header = read_header(json)?;
    if header.alg != "HS256" {
        return Err(Reason::Algorithm);
    }
    if header.typ.as_deref() != Some(typ) {
        return Err(Reason::Kind);
    }
    Ok(())
}

/// Whether `kid` may be looked up at all (JWT-02): 1 to 64 of the characters that are safe everywhere.
pub fn fits_kid(kid: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&kid.len())
        && kid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
