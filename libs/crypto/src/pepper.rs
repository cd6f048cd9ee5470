//! How the secrets of machines are stored (C-8, CC-02): as `HMAC-SHA256(pepper, secret)` where there is a pepper, as
//! `SHA-256(secret)` where there is none. Both tag what they store with their scheme, the former with its pepper too.
//!
//! A secret has 256 random bits, so that one fast hash is enough; a slow one would only slow down who has it. Without
//! the text no stored form can be made into another one: it is when the text comes that the form is renewed.

use aws_lc_rs::{constant_time, digest, hmac};
use secrecy::{ExposeSecret as _, SecretString};

/// A scheme that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scheme of stored secrets")]
pub struct SchemeError;

/// What a stored secret is made with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// `sha256`.
    Sha256,
    /// `hmac-sha256`, with the id of its pepper.
    HmacSha256 {
        /// Which pepper.
        pepper: String,
    },
}

impl Scheme {
    /// The tag, as it is stored.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::HmacSha256 { .. } => "hmac-sha256",
        }
    }

    /// The id of the pepper, as it is stored.
    pub fn pepper(&self) -> Option<&str> {
        match self {
            Self::Sha256 => None,
            Self::HmacSha256 { pepper } => Some(pepper),
        }
    }

    /// The scheme of a tag and the id of a pepper.
    ///
    /// # Errors
    /// [`SchemeError`] for an unknown tag, or a pepper where none belongs or the other way about.
    pub fn stored(tag: &str, pepper: Option<String>) -> Result<Self, SchemeError> {
        match (tag, pepper) {
            ("sha256", None) => Ok(Self::Sha256),
            ("hmac-sha256", Some(pepper)) => Ok(Self::HmacSha256 { pepper }),
            _ => Err(SchemeError),
        }
    }
}

/// A secret as it is stored. It is no secret: shown as one, it proves nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// What it is made with.
    pub scheme: Scheme,
    /// The outcome.
    pub hash: [u8; 32],
}

/// Every form in which a secret may lie in a store, the form that is stored now first.
pub struct StoredForms(Vec<StoredSecret>);

impl StoredForms {
    /// The form that is stored now.
    pub fn newest(&self) -> &StoredSecret {
        &self.0[0]
    }

    /// The hashes of all forms, to look one up by.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(|form| form.hash).collect()
    }

    /// Whether `stored` is one of the forms, in a time that does not depend on which.
    pub fn include(&self, stored: &StoredSecret) -> bool {
        self.0.iter().fold(false, |found, form| {
            let same = constant_time::verify_slices_are_equal(&form.hash, &stored.hash).is_ok();
            found | (same & (form.scheme == stored.scheme))
        })
    }
}

/// The peppers of a deployment.
pub struct Peppers {
    /// The present one first.
    known: Vec<(String, hmac::Key)>,
}

impl Peppers {
    /// The present pepper and the former one. What the former one made, and what was stored before there was one, is
    /// accepted and renewed when it is used.
    pub fn new(present: Option<&SecretString>, former: Option<&SecretString>) -> Self {
        let key = |pepper: &SecretString| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, pepper.expose_secret().as_bytes());
            (id_of(&key), key)
        };
        Self {
            known: [present, former].into_iter().flatten().map(key).collect(),
        }
    }

    /// The forms in which a secret may be stored. Costs the same for every secret.
    pub fn forms(&self, text: &str) -> StoredForms {
        let peppered = self.known.iter().map(|(id, key)| StoredSecret {
            scheme: Scheme::HmacSha256 { pepper: id.clone() },
            hash: bytes(hmac::sign(key, text.as_bytes()).as_ref()),
        });
        let plain = StoredSecret {
            scheme: Scheme::Sha256,
            hash: bytes(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()),
        };
        StoredForms(peppered.chain([plain]).collect())
    }
}

/// The name of a pepper, which tells nothing of it.
fn id_of(key: &hmac::Key) -> String {
    let tag = hmac::sign(key, b"causeway pepper id");
    let id = tag.as_ref().iter().take(4).fold(String::new(), |mut id, byte| {
        for digit in [byte >> 4, byte & 15] {
            id.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        id
    });
    format!("v{id}")
}

fn bytes(from: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(from);
    out
}

/// Whether two texts are the same, in a time that depends on the length of neither's common part.
pub fn same_text(one: &str, other: &str) -> bool {
    // The digests have one length; what is compared tells nothing of the texts.
    let [one, other] = [one, other].map(|text| digest::digest(&digest::SHA256, text.as_bytes()));
    constant_time::verify_slices_are_equal(one.as_ref(), other.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peppers(present: Option<&str>, former: Option<&str>) -> Peppers {
        let [present, former] = [present, former].map(|text| text.map(SecretString::from));
        Peppers::new(present.as_ref(), former.as_ref())
    }

    #[test]
    fn a_secret_is_found_in_every_form_that_it_ever_had() {
        let plain = peppers(None, None).forms("s");
        let first = peppers(Some("one"), None).forms("s");
        let second = peppers(Some("two"), Some("one")).forms("s");
        assert_eq!(plain.newest().scheme.tag(), "sha256");
        assert_eq!(first.newest().scheme.tag(), "hmac-sha256");
        for older in [&plain, &first] {
            assert!(second.include(older.newest()) && second.newest() != older.newest());
        }
        assert_eq!(second.hashes().len(), 3);
    }

    #[test]
    fn a_change_of_the_pepper_alone_is_a_hard_cutover() {
        let stored = peppers(Some("one"), None).forms("s").newest().clone();
        assert!(!peppers(Some("two"), None).forms("s").include(&stored));
        assert!(!peppers(None, None).forms("s").include(&stored));
    }

    #[test]
    fn what_is_stored_is_no_secret() {
        let peppers = peppers(Some("one"), None);
        let stored = peppers.forms("s").newest().clone();
        let hex: String = stored.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!peppers.forms(&hex).include(&stored));
        assert!(!peppers.forms("t").include(&stored));
    }

    #[test]
    fn a_hash_under_another_tag_is_another_secret() {
        let forms = peppers(Some("one"), None).forms("s");
        let relabelled = StoredSecret {
            scheme: Scheme::Sha256,
            ..forms.newest().clone()
        };
        assert!(!forms.include(&relabelled));
    }

    #[test]
    fn a_scheme_survives_its_columns() {
        for scheme in [
            Scheme::Sha256,
            Scheme::HmacSha256 {
                pepper: "v0a".to_owned(),
            },
        ] {
            let pepper = scheme.pepper().map(str::to_owned);
            assert_eq!(Scheme::stored(scheme.tag(), pepper), Ok(scheme));
        }
        assert_eq!(Scheme::stored("sha256", Some("v".to_owned())), Err(SchemeError));
        assert_eq!(Scheme::stored("md5", None), Err(SchemeError));
    }

    #[test]
    fn texts_are_compared_whole() {
        assert!(same_text("a", "a"));
        for other in ["", "b", "aa", "A"] {
            assert!(!same_text("a", other));
        }
    }
}
