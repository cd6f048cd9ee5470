//! Time-based one-time passwords (RFC 6238): seeds, codes, and what an authenticator is told.

use std::fmt;
use std::fmt::Write as _;

use aws_lc_rs::{hmac, rand};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How long a code stands.
const STEP_SECONDS: i64 = 30;
/// The digits of a code.
const DIGITS: usize = 6;
/// 160 bits: the length of the MAC's output (MFA-01, RFC 4226 §4).
const SEED_BYTES: usize = 20;
/// RFC 3986 §2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The hash under the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    /// What every authenticator knows, and the only one that we use.
    Sha1,
    #[cfg(test)]
    Sha256,
    #[cfg(test)]
    Sha512,
}

impl Hash {
    const fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            #[cfg(test)]
            Self::Sha256 => hmac::HMAC_SHA256,
            #[cfg(test)]
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// For how long a code is taken (MFA-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// In its step and in the next: up to a minute, for slow typists.
    TwoSteps,
    /// In its own 30 seconds only (ASVS 6.5.5).
    OneStep,
}

/// The secret that a person's authenticator shares with us. Overwritten when it is dropped, shown to nobody.
pub(crate) struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    /// A new one.
    pub(crate) fn generate() -> Self {
        let mut bytes = Zeroizing::new(vec![0; SEED_BYTES]);
        rand::fill(&mut bytes).expect("the system's random source answers");
        Self(bytes)
    }

    /// A seed as it was sealed.
    pub(crate) fn opened(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// What is sealed.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// In base32, as a person types it.
    pub(crate) fn base32(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 8 / 5 + 1);
        let (mut buffer, mut bits) = (0_u32, 0_u32);
        for byte in self.0.iter() {
            buffer = (buffer << 8 | u32::from(*byte)) & 0xFFF;
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(digit(buffer >> bits));
            }
        }
        if bits > 0 {
            text.push(digit(buffer << (5 - bits)));
        }
        text
    }

    /// What a QR code holds: the account's label under the issuer's name, and the seed.
    pub(crate) fn uri(&self, issuer: &str, account: &str) -> String {
        let issuer = utf8_percent_encode(issuer, UNRESERVED);
        let account = utf8_percent_encode(account, UNRESERVED);
        let seed = self.base32();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={seed}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
        )
    }

    /// The step in which `code` stands: the one of `now` or, unless that is too wide, the one before (MFA-03). Looks at
    /// both, whichever fits.
    pub(crate) fn step_of(&self, code: &Code, now: DateTime<Utc>, window: Window) -> Option<i64> {
        let current = now.timestamp().div_euclid(STEP_SECONDS);
        let fits = |step: i64| {
            let own = code_at(&self.0, Hash::Sha1, step, DIGITS);
            bool::from(own.as_bytes().ct_eq(code.0.as_bytes()))
        };
        let [now, before] = [fits(current), fits(current - 1) & (window == Window::TwoSteps)];
        now.then_some(current).or(before.then_some(current - 1))
    }

    /// The code of a time.
    #[cfg(test)]
    pub(crate) fn code_at(&self, at: DateTime<Utc>) -> String {
        let step = at.timestamp().div_euclid(STEP_SECONDS);
        code_at(&self.0, Hash::Sha1, step, DIGITS).to_string()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

fn digit(value: u32) -> char {
    char::from(BASE32[(value & 31) as usize])
}

/// HOTP (RFC 4226 §5.3) of a step.
fn code_at(seed: &[u8], hash: Hash, step: i64, digits: usize) -> Zeroizing<String> {
    let key = hmac::Key::new(hash.algorithm(), seed);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = tag.last().map_or(0, |last| usize::from(last & 15));
    let number = tag[offset..offset + 4]
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let number = (number & 0x7FFF_FFFF) % 10_u32.pow(u32::try_from(digits).unwrap_or(9).min(9));
    let mut text = Zeroizing::new(String::with_capacity(digits));
    let _ = write!(text, "{number:0digits$}");
    text
}

/// Six digits as a person typed them.
pub(crate) struct Code(Zeroizing<String>);

impl Code {
    /// The code, if it has that form; blanks between the digits do no harm.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        let fits = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Self(digits.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn seed(bytes: &[u8]) -> Seed {
        Seed::opened(bytes.to_vec().into())
    }

    /// RFC 6238 appendix B (MFA-08), with the seeds of its erratum 2866.
    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        let digits = b"1234567890".repeat(7);
        for (seconds, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            let step = seconds / STEP_SECONDS;
            let of = |hash, bytes| code_at(&digits[..bytes], hash, step, 8).to_string();
            assert_eq!(of(Hash::Sha1, 20), sha1, "{seconds}");
            assert_eq!(of(Hash::Sha256, 32), sha256, "{seconds}");
            assert_eq!(of(Hash::Sha512, 64), sha512, "{seconds}");
        }
    }

    #[test]
    fn a_code_stands_for_its_step_and_the_next() {
        let seed = seed(b"12345678901234567890");
        let code = Code::parse(&seed.code_at(at(59))).expect("six digits");
        let step = |seconds| seed.step_of(&code, at(seconds), Window::TwoSteps);
        assert_eq!((step(30), step(59)), (Some(1), Some(1)));
        assert_eq!(step(89), Some(1), "a slow typist");
        assert_eq!(step(90), None, "too late");
        assert_eq!(step(29), None, "of the future");
        let other = self::seed(&[7; 20]).step_of(&code, at(59), Window::TwoSteps);
        assert_eq!(other, None, "of another seed");
    }

    #[test]
    fn where_it_is_strict_a_code_stands_for_its_own_step_alone_mfa_03() {
        let seed = seed(b"12345678901234567890");
        let code = Code::parse(&seed.code_at(at(59))).expect("six digits");
        let step = |seconds| seed.step_of(&code, at(seconds), Window::OneStep);
        assert_eq!((step(30), step(59)), (Some(1), Some(1)));
        assert_eq!((step(29), step(60)), (None, None));
    }

    /// RFC 4648 §10.
    #[test]
    fn a_seed_is_told_in_base32() {
        for (bytes, text) in [
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(seed(bytes.as_bytes()).base32(), text);
        }
        assert_eq!(Seed::generate().base32().len(), 32, "160 bits");
        assert_ne!(Seed::generate().base32(), Seed::generate().base32());
        assert_eq!(format!("{:?}", Seed::generate()), "Seed(..)");
    }

    #[test]
    fn an_authenticator_is_told_who_asks_and_for_whom() {
        let uri = seed(b"12345678901234567890").uri("My Product: EU", "ada@example.com");
        assert_eq!(
            uri,
            "otpauth://totp/My%20Product%3A%20EU:ada%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=My%20Product%3A%20EU&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn a_code_has_six_digits() {
        assert!(Code::parse("123 456 ").is_some());
        for bad in ["", "12345", "1234567", "12345a", "１２３４５６", "-12345"] {
            assert!(Code::parse(bad).is_none(), "{bad}");
        }
    }
}
