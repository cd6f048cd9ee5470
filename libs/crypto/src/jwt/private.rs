//! Private keys as text: PKCS#8 in PEM, or a JSON Web Key (RFC 7517, RFC 8037).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::compact::fits_kid;
use super::key::{KeyTextError, SigningKey};
use super::public::UNCOMPRESSED;

const NUMBER_BYTES: usize = 32;

/// A key that signs, and the name that its text gives it.
pub(super) struct NamedKey {
    pub(super) key: SigningKey,
    pub(super) kid: Option<String>,
}

/// The key of a text in either form.
pub(super) fn read(text: &SecretString) -> Result<NamedKey, KeyTextError> {
    if text.expose_secret().trim_start().starts_with('{') {
        return OfferedPair::parse(text.expose_secret())?.read();
    }
    Ok(NamedKey {
        key: SigningKey::from_pkcs8_pem(text)?,
        kid: None,
    })
}

/// A key that was read and is not believed yet. Repeated members are errors of the parser.
#[derive(Deserialize)]
struct OfferedPair {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    #[serde(deserialize_with = "wiped")]
    d: Zeroizing<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
}

impl OfferedPair {
    fn parse(json: &str) -> Result<Self, KeyTextError> {
        // The parser's own error may quote the text.
        serde_json::from_str(json).map_err(|_| KeyTextError::NotJwk)
    }

    fn read(self) -> Result<NamedKey, KeyTextError> {
        let unless = |fits: bool, member| match fits {
            true => Ok(()),
            false => Err(KeyTextError::Jwk { member }),
        };
        unless(self.usage.as_deref().is_none_or(|usage| usage == "sig"), "use")?;
        let signs = |operations: &Vec<String>| operations.iter().any(|operation| operation == "sign");
        unless(self.key_ops.as_ref().is_none_or(signs), "key_ops")?;
        unless(self.kid.as_deref().is_none_or(fits_kid), "kid")?;
        let (x, y) = (self.x.as_deref(), self.y.as_deref());
        let secret = Zeroizing::new(number(Some(&self.d), "d")?);
        // The library compares the halves: a key whose public half is another's signs nothing.
        let (pair, alg) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&secret, &number(x, "x")?);
                (pair.map(SigningKey::Ed25519), "EdDSA")
            }
            ("EC", Some("P-256")) => {
                let point = [&[UNCOMPRESSED][..], &number(x, "x")?, &number(y, "y")?].concat();
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &secret, &point);
                (pair.map(SigningKey::P256), "ES256")
            }
            ("OKP" | "EC", _) => return Err(KeyTextError::Jwk { member: "crv" }),
            _ => return Err(KeyTextError::Jwk { member: "kty" }),
        };
        unless(self.alg.as_deref().is_none_or(|named| named == alg), "alg")?;
        Ok(NamedKey {
            key: pair.map_err(|_| KeyTextError::Unsupported)?,
            kid: self.kid,
        })
    }
}

fn wiped<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

fn number(text: Option<&str>, member: &'static str) -> Result<Vec<u8>, KeyTextError> {
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes
        .filter(|bytes| bytes.len() == NUMBER_BYTES)
        .ok_or(KeyTextError::Jwk { member })
}
