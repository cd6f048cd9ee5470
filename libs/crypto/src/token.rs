//! Opaque tokens: what a person pastes (`cw_pat_<random><crc>`) and what a browser keeps. Only hashes are stored.

use aws_lc_rs::{digest, hmac, rand};
use secrecy::{ExposeSecret as _, SecretString};

use crate::derive::{self, Purpose};

/// The prefix of personal access tokens.
pub const PERSONAL_ACCESS_TOKEN: &str = "cw_pat_";
/// The prefix of API keys.
pub const API_KEY: &str = "cw_key_";
/// The prefix of the secrets of OAuth clients.
pub const CLIENT_SECRET: &str = "cw_cs_";
/// The prefix of refresh tokens.
pub const REFRESH_TOKEN: &str = "cw_rt_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 base62 digits hold 256 bits.
const RANDOM_DIGITS: usize = 43;
const CRC_DIGITS: usize = 6;

/// A fresh token: the secret is shown once, the rest is kept.
pub struct Minted {
    /// The whole token, with its prefix.
    pub secret: SecretString,
    /// What is stored and looked up.
    pub hash: [u8; 32],
    /// The end of the token, by which a person tells one from another.
    pub last_four: String,
}

/// A fresh token that begins with `prefix`, such as [`PERSONAL_ACCESS_TOKEN`].
pub fn mint(prefix: &str) -> Minted {
    let text = with_crc(
        prefix,
        &digits(|bytes| rand::fill(bytes).expect("the system's random source answers")),
    );
    Minted {
        hash: hash(&text),
        last_four: text[text.len() - 4..].to_owned(),
        secret: text.into(),
    }
}

/// Whether `text` has the shape and the checksum of a token of `prefix`. Costs no look-up, so that a mistyped or
/// invented token never reaches a store.
pub fn check(prefix: &str, text: &str) -> bool {
    let Some(rest) = text.strip_prefix(prefix) else {
        return false;
    };
    if rest.len() != RANDOM_DIGITS + CRC_DIGITS || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let (left, crc) = text.split_at(text.len() - CRC_DIGITS);
    let mut expected = String::with_capacity(CRC_DIGITS);
    push_base62(&mut expected, crc32fast::hash(left.as_bytes()));
    crc == expected
}

/// The stored form of a token. A token has 256 random bits, so a plain hash is enough (ASVS 6.5.2).
pub fn hash(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    out
}

/// The key of refresh tokens. They are stored as its MAC: a leaked table alone proves nothing about a token
/// (B-AUTH-12).
pub struct RefreshTokenKey(hmac::Key);

impl RefreshTokenKey {
    /// The key that follows from a secret. It is derived, as the secret may also sign access tokens.
    pub fn new(secret: &SecretString) -> Self {
        let key = derive::key(secret.expose_secret().as_bytes(), Purpose::Refresh);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &*key))
    }

    /// The first token of a session.
    pub fn first(&self) -> SecretString {
        mint(REFRESH_TOKEN).secret
    }

    /// The one token that follows on `parent`. Whoever asks again gets the same one, though it is stored nowhere
    /// (REF-03); without the key it cannot be told from random.
    pub fn successor(&self, parent: &str) -> SecretString {
        let mut round = 0_u8;
        let digits = digits(|bytes| {
            for block in bytes.chunks_mut(32) {
                block.copy_from_slice(&self.mac(&[b"successor", &[round], parent.as_bytes()]));
                round += 1;
            }
        });
        with_crc(REFRESH_TOKEN, &digits).into()
    }

    /// The stored form of a refresh token.
    pub fn hash(&self, text: &str) -> [u8; 32] {
        self.mac(&[b"stored", &[0], text.as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

fn with_crc(prefix: &str, digits: &str) -> String {
    let mut text = format!("{prefix}{digits}");
    let crc = crc32fast::hash(text.as_bytes());
    push_base62(&mut text, crc);
    text
}

/// Base62 digits out of random bytes, each equally likely.
fn digits(mut fill: impl FnMut(&mut [u8; 64])) -> String {
    /// The largest multiple of 62 in a byte: bytes from here on would favour the first digits.
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(RANDOM_DIGITS);
    let mut bytes = [0_u8; 64];
    while text.len() < RANDOM_DIGITS {
        fill(&mut bytes);
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        text.extend(
            fair.take(RANDOM_DIGITS - text.len())
                .map(|byte| char::from(ALPHABET[usize::from(byte % 62)])),
        );
    }
    text
}

fn push_base62(text: &mut String, number: u32) {
    let mut digits = [b'0'; CRC_DIGITS];
    let mut rest = number as usize;
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    text.extend(digits.map(char::from));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// TOK-01.
    #[test]
    fn a_minted_token_passes_its_own_check() {
        let minted = mint(PERSONAL_ACCESS_TOKEN);
        let secret = minted.secret.expose_secret();
        assert_eq!(secret.len(), 7 + 43 + 6);
        assert!(check(PERSONAL_ACCESS_TOKEN, secret));
        assert_eq!(minted.hash, hash(secret));
        assert!(secret.ends_with(&minted.last_four));
        assert!(!check("cw_rt_", secret), "another kind of token");
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let tokens: std::collections::HashSet<_> = (0..1000).map(|_| mint("t_").hash).collect();
        assert_eq!(tokens.len(), 1000);
    }

    #[test]
    fn a_stored_hash_is_not_a_token() {
        let minted = mint(PERSONAL_ACCESS_TOKEN);
        let hex: String = minted.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!check(PERSONAL_ACCESS_TOKEN, &hex));
        assert!(!check(
            PERSONAL_ACCESS_TOKEN,
            &format!("{PERSONAL_ACCESS_TOKEN}{hex}")
        ));
    }

    #[test]
    fn refresh_hashes_depend_on_the_key() {
        let keys = ["one", "two"].map(|secret| RefreshTokenKey::new(&secret.into()));
        assert_ne!(keys[0].hash("x"), keys[1].hash("x"));
        assert_ne!(keys[0].hash("x"), keys[0].hash("y"));
    }

    #[test]
    fn a_refresh_token_has_one_successor_per_key() {
        let [one, two] = ["one", "two"].map(|secret| RefreshTokenKey::new(&secret.into()));
        let parent = one.first();
        let next = one.successor(parent.expose_secret());
        assert!(check(REFRESH_TOKEN, next.expose_secret()));
        assert_eq!(
            next.expose_secret(),
            one.successor(parent.expose_secret()).expose_secret()
        );
        assert_ne!(
            next.expose_secret(),
            two.successor(parent.expose_secret()).expose_secret()
        );
        assert_ne!(
            next.expose_secret(),
            one.successor(next.expose_secret()).expose_secret()
        );
    }

    proptest! {
        #[test]
        fn one_changed_character_is_noticed(at in 0_usize..56, to in "[0-9A-Za-z_]") {
            let minted = mint(PERSONAL_ACCESS_TOKEN);
            let mut text = minted.secret.expose_secret().to_owned();
            prop_assume!(text[at..=at] != to);
            text.replace_range(at..=at, &to);
            prop_assert!(!check(PERSONAL_ACCESS_TOKEN, &text));
        }

        #[test]
        fn any_text_is_checked_without_a_panic(text in ".{0,80}") {
            prop_assert!(!check(PERSONAL_ACCESS_TOKEN, &text));
        }
    }
}
