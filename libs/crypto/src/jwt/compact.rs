//! The compact form: its bytes, its signature and its header. No claim is parsed before the signature is right (JWT-05).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::key::{KeyTextError, SigningKey, VerifyingKey};
use super::unique::refuse_duplicates;
use super::{Reason, TokenError};

/// The longest token that is read.
const MAX_BYTES: usize = 8 * 1024;
/// The longest signature of our algorithms.
const MAX_SIGNATURE_BYTES: usize = 64;
/// The longest key id that is looked at (JWT-02).
const MAX_KID_BYTES: usize = 64;

/// Whether `text` has the form of a JWT. Says nothing of its worth.
pub fn fits_jwt(text: &str) -> bool {
    Parts::of(text).is_some()
}

/// The key that an access token names, out of a header that may name one (JWT-02, JWT-03, JWT-04); nothing where it names
/// none. Says nothing of its worth: it is a hint for a look-up among trusted keys.
///
/// # Errors
/// [`TokenError`] for another form or kind, or a header that brings keys or demands.
pub fn named_key(token: &str) -> Result<Option<String>, TokenError> {
    let parts = Parts::of(token).ok_or(Reason::Shape)?;
    let header = read_header(&decode(parts.header)?)?;
    if !is_kind(header.typ.as_deref(), super::access::TYP) {
        return Err(Reason::Kind.into());
    }
    Ok(header.kid)
}

/// A token taken apart, each part still encoded.
pub(super) struct Parts<'t> {
    /// Header and claims with the dot between them.
    pub(super) signed: &'t str,
    pub(super) header: &'t str,
    pub(super) claims: &'t str,
    pub(super) signature: &'t str,
}

impl<'t> Parts<'t> {
    /// The parts of a text of the right form and size (JWT-04).
    pub(super) fn of(text: &'t str) -> Option<Self> {
        Self::split(text).filter(|parts| {
            [parts.header, parts.claims, parts.signature]
                .into_iter()
                .all(is_base64)
        })
    }

    /// The parts of a text of the right size. They may hold anything: whoever decodes all three needs no other look at
    /// each byte.
    fn split(text: &'t str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            signed,
            header,
            claims,
            signature,
        })
    }
}

/// The characters that are safe everywhere, which are those of base64url.
fn is_base64(part: &str) -> bool {
    part.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A key and the one header that our own tokens have under it: the usual token is recognised without being parsed.
pub(super) struct Accepted {
    key: VerifyingKey,
    kid: Option<String>,
    header: String,
}

impl Accepted {
    /// `key` for tokens of kind `typ`.
    pub(super) fn new(key: VerifyingKey, typ: &str) -> Self {
        let kid = key.kid().map(str::to_owned);
        let named = kid
            .as_ref()
            .map_or(String::new(), |kid| format!(r#","kid":"{kid}""#));
        let alg = key.algorithm().name();
        Self {
            header: URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"{typ}"{named}}}"#)),
            key,
            kid,
        }
    }

    /// The same under another name than the key's own.
    #[cfg(test)]
    pub(super) fn named(mut self, kid: Option<&str>) -> Self {
        self.kid = kid.map(str::to_owned);
        self.header.clear();
        self
    }

    pub(super) const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// A key that signs tokens of one kind.
pub(super) struct Signer {
    key: SigningKey,
    header: String,
}

impl Signer {
    /// `key` for tokens of kind `typ`, and the half of it that verifies them.
    pub(super) fn new(key: SigningKey, typ: &str) -> Result<(Self, Accepted), KeyTextError> {
        Self::named(key, None, typ)
    }

    /// The same under another name than the key's thumbprint.
    pub(super) fn named(
        key: SigningKey,
        kid: Option<String>,
        typ: &str,
    ) -> Result<(Self, Accepted), KeyTextError> {
        let accepted = Accepted::new(key.verifying(kid)?, typ);
        let header = accepted.header.clone();
        Ok((Self { key, header }, accepted))
    }

    /// Signs `claims`.
    pub(super) fn sign<T: serde::Serialize>(&self, claims: &T) -> Result<String, TokenError> {
        let claims = serde_json::to_vec(claims).map_err(|_| Reason::Claims)?;
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        if token.len() > MAX_BYTES {
            return Err(Reason::Shape.into());
        }
        Ok(token)
    }
}

/// What a token carries that one of `accepted` signed and whose `typ` passes, as bytes.
///
/// The order matters: the shape of all parts, the header, the signature, and only then is anything else read.
pub(super) fn payload(
    accepted: &[Accepted],
    token: &str,
    of_kind: impl FnOnce(Option<&str>) -> bool,
) -> Result<Vec<u8>, Reason> {
    let parts = Parts::split(token).ok_or(Reason::Shape)?;
    let claims = decode(parts.claims)?;
    let mut room = [0; MAX_SIGNATURE_BYTES + 2];
    let length = URL_SAFE_NO_PAD
        .decode_slice(parts.signature, &mut room)
        .map_err(|_| Reason::Shape)?;
    let genuine = |one: &Accepted| one.key.verifies(parts.signed.as_bytes(), &room[..length]);
    let mut usual = accepted
        .iter()
        .filter(|one| one.header == parts.header)
        .peekable();
    let genuine = if usual.peek().is_some() {
        usual.any(genuine)
    } else {
        let header = read_header(&decode(parts.header)?)?;
        let named = under_name(accepted, &header)?;
        if !of_kind(header.typ.as_deref()) {
            return Err(Reason::Kind);
        }
        named.into_iter().any(genuine)
    };
    if !genuine {
        return Err(Reason::Signature);
    }
    Ok(claims)
}

/// The keys that a header names. The name is looked up among the keys we have, and the algorithm is compared with the
/// key's own (JWT-01, JWT-02).
fn under_name<'k>(accepted: &'k [Accepted], header: &Header) -> Result<Vec<&'k Accepted>, Reason> {
    let mut named: Vec<&Accepted> = accepted.iter().filter(|one| one.kid == header.kid).collect();
    if named.is_empty() {
        return Err(Reason::Key);
    }
    named.retain(|one| one.key.algorithm().name() == header.alg);
    if named.is_empty() {
        return Err(Reason::Algorithm);
    }
    Ok(named)
}

/// Whether a header's `typ` is `kind`; a media type may be written with or without its `application/` (JWT-06).
pub(super) fn is_kind(typ: Option<&str>, kind: &str) -> bool {
    typ.is_some_and(|typ| typ.strip_prefix("application/").unwrap_or(typ) == kind)
}

/// The bytes of a part in their one spelling: unpadded, no stray bits (JWT-04).
pub(super) fn decode(part: &str) -> Result<Vec<u8>, Reason> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reason::Shape)
}

/// The claims of a token whose signature was verified.
pub(super) fn read_claims<T: DeserializeOwned>(claims: &[u8]) -> Result<T, Reason> {
    refuse_duplicates(claims).map_err(|_| Reason::Claims)?;
    serde_json::from_slice(claims).map_err(|_| Reason::Claims)
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

/// Whether `kid` may be looked up at all (JWT-02): 1 to 64 of the characters that are safe everywhere.
pub fn fits_kid(kid: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&kid.len()) && is_base64(kid)
}
