//! Second factors of persons: what is kept of them, recovery codes, and how often a code may be tried.

use std::fmt;

use aws_lc_rs::rand;
use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;

use super::Hash;

/// How many recovery codes a person gets.
pub(crate) const RECOVERY_CODES: usize = 10;
/// Tries within [`WINDOW`] (MFA-04).
const TRIES: usize = 5;
const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// The longest lock.
const LONGEST_LOCK: TimeDelta = TimeDelta::hours(24);

/// By what a second factor was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PassedBy {
    /// A code of the person's authenticator here, or a recovery code in its place.
    Totp,
    /// The identity provider asked for it.
    Provider,
}

impl PassedBy {
    /// The word in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Provider => "provider",
        }
    }

    /// The one of that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Totp, Self::Provider]
            .into_iter()
            .find(|by| by.as_str() == word)
    }
}

/// What is kept of a person's factor, beside its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Factor {
    /// Whose.
    pub(crate) user: UserId,
    /// The enrolment: another one makes another factor.
    pub(crate) enrolment: Uuid,
    /// The workspace under whose data key the seed lies.
    pub(crate) workspace: WorkspaceId,
    /// When it was made.
    pub(crate) enrolled_at: DateTime<Utc>,
    /// Since when it counts.
    pub(crate) confirmed_at: Option<DateTime<Utc>>,
}

/// A seed as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealedSeed {
    /// The envelope.
    pub(crate) sealed: Vec<u8>,
    /// The data key version under which it lies.
    pub(crate) key_version: i32,
}

/// An envelope is no secret, and of no use in a log.
impl fmt::Debug for SealedSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSeed(version {})", self.key_version)
    }
}

/// A factor to add, with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFactor {
    /// The factor, not confirmed yet.
    pub(crate) factor: Factor,
    /// Its seed.
    pub(crate) seed: SealedSeed,
    /// The hashes of its recovery codes.
    pub(crate) recovery_codes: Vec<Hash>,
}

/// How a person and a credential of theirs stand to the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FactorStanding {
    /// Whether the person has a factor that counts.
    pub(crate) enrolled: bool,
    /// By what the credential passed one.
    pub(crate) passed: Option<PassedBy>,
}

/// Texts of new recovery codes, each of 100 bits (MFA-05), in groups of five.
pub(crate) fn recovery_codes() -> Vec<SecretString> {
    (0..RECOVERY_CODES).map(|_| recovery_code()).collect()
}

const RECOVERY_DIGITS: usize = 20;
/// Of 32, without those that look like another one.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn recovery_code() -> SecretString {
    let mut bytes = [0_u8; RECOVERY_DIGITS];
    rand::fill(&mut bytes).expect("the system's random source answers");
    let mut text = String::with_capacity(RECOVERY_DIGITS + 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    text.into()
}

/// The stored form of a recovery code as a person typed it; nothing if it has not that form. A code has 100 random bits,
/// so a plain hash is enough; the person is in it, so that two lists cannot be compared.
pub(crate) fn recovery_hash(user: UserId, text: &str) -> Option<Hash> {
    let plain: String = text
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .map(|letter| match letter.to_ascii_lowercase() {
            '0' => 'o',
            '1' => 'l',
            letter => letter,
        })
        .collect();
    let fits = plain.len() == RECOVERY_DIGITS && plain.bytes().all(|byte| ALPHABET.contains(&byte));
    fits.then(|| causeway_crypto::token::hash(&format!("recovery code of {user}: {plain}")))
}

/// The tries of a person, right ones aside: those end with a clean slate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tries {
    /// When the last ones were, oldest first.
    pub(crate) recent: Vec<DateTime<Utc>>,
    /// How often in a row the person was locked out.
    pub(crate) locks: u32,
    /// Until when nothing is tried.
    pub(crate) locked_until: Option<DateTime<Utc>>,
}

/// Whether a code may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may, and counts.
    Admitted,
    /// This try is one too many: the lock begins.
    Locks(DateTime<Utc>),
    /// Nothing is tried before then.
    Locked(DateTime<Utc>),
}

impl Tries {
    /// Counts a try at `now`, or refuses it. The store calls this while nobody else can for the same person, so that
    /// parallel tries cannot slip through.
    pub(crate) fn admit(&mut self, now: DateTime<Utc>) -> Admission {
        if let Some(until) = self.locked_until.filter(|until| now < *until) {
            return Admission::Locked(until);
        }
        self.recent.retain(|tried| *tried > now - WINDOW);
        if self.recent.len() < TRIES {
            self.locked_until = None;
            self.recent.push(now);
            return Admission::Admitted;
        }
        let doubled = i32::try_from(1_u64 << self.locks.min(16)).unwrap_or(i32::MAX);
        let until = now + (WINDOW * doubled).min(LONGEST_LOCK);
        *self = Self {
            recent: Vec::new(),
            locks: self.locks.saturating_add(1),
            locked_until: Some(until),
        };
        Admission::Locks(until)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).expect("a time")
    }

    #[test]
    fn five_tries_in_any_quarter_of_an_hour_and_then_a_lock() {
        let mut tries = Tries::default();
        for minute in [0, 13, 13, 14, 14] {
            assert_eq!(tries.admit(at(minute)), Admission::Admitted);
        }
        assert_eq!(
            tries.admit(at(15)),
            Admission::Admitted,
            "the first one has passed"
        );
        assert_eq!(tries.admit(at(16)), Admission::Locks(at(31)));
        assert_eq!(tries.admit(at(16)), Admission::Locked(at(31)));
        assert_eq!(tries.admit(at(30)), Admission::Locked(at(31)));
        assert_eq!(tries.admit(at(31)), Admission::Admitted);
    }

    #[test]
    fn each_lock_lasts_twice_as_long_up_to_a_day() {
        let (mut tries, mut now) = (Tries::default(), at(0));
        let mut lengths = Vec::new();
        for _ in 0..12 {
            for _ in 0..TRIES {
                assert_eq!(tries.admit(now), Admission::Admitted);
            }
            let Admission::Locks(until) = tries.admit(now) else {
                panic!("the sixth locks");
            };
            lengths.push((until - now).num_minutes());
            now = until;
        }
        assert_eq!(lengths[..7], [15, 30, 60, 120, 240, 480, 960]);
        assert!(lengths[7..].iter().all(|minutes| *minutes == 1440));
    }

    #[test]
    fn a_recovery_code_is_read_as_people_type_it() {
        let user = UserId::generate();
        let codes = recovery_codes();
        assert_eq!(codes.len(), 10);
        let code = codes[0].expose_secret();
        assert_eq!((code.len(), code.matches('-').count()), (23, 3));
        let hash = recovery_hash(user, code);
        assert!(hash.is_some());
        assert_eq!(
            recovery_hash(user, &format!(" {} ", code.to_uppercase().replace('-', " "))),
            hash
        );
        let digits = code.replace('o', "0").replace('l', "1");
        assert_eq!(recovery_hash(user, &digits), hash);
        assert_ne!(recovery_hash(UserId::generate(), code), hash);
        for bad in [
            "",
            "123456",
            &code[1..],
            &format!("{code}a"),
            &code.replace('-', "!"),
        ] {
            assert_eq!(recovery_hash(user, bad), None, "{bad}");
        }
        let distinct: std::collections::BTreeSet<_> = codes
            .iter()
            .map(|code| recovery_hash(user, code.expose_secret()))
            .collect();
        assert_eq!(distinct.len(), 10);
    }

    #[test]
    fn the_stored_form_of_a_code_is_not_a_code() {
        let user = UserId::generate();
        let hash = recovery_hash(user, recovery_code().expose_secret()).expect("a code");
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(recovery_hash(user, &hex), None);
    }
}
