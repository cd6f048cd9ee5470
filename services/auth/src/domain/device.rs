//! Devices on which a person has signed in before, as they prove it: by a text that the server sealed with a MAC and keeps
//! nothing of (OWASP, device cookies). It opens nothing; guesses that come with it are counted by themselves.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use subtle::ConstantTimeEq as _;

use super::{Email, Hash};

const PREFIX: &str = "cw_dev_";
const NONCE: usize = 16;
const PLAIN: usize = NONCE + 8;

/// A device of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    nonce: [u8; NONCE],
    since: i64,
}

impl Device {
    /// Another device, from `now` on.
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).expect("the system's random source answers");
        Self {
            nonce,
            since: now.timestamp(),
        }
    }

    /// What the device keeps. `mac` seals it for the account with that address.
    pub(crate) fn text(&self, email: &Email, mac: impl Fn(&str) -> Hash) -> SecretString {
        let mut bytes = self.plain().to_vec();
        bytes.extend_from_slice(&mac(&self.sealed(email)));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into()
    }

    /// The device that a text proves: one that was made for that account, not longer than `life` ago.
    pub(crate) fn read(
        text: &str,
        email: &Email,
        life: TimeDelta,
        now: DateTime<Utc>,
        mac: impl Fn(&str) -> Hash,
    ) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (plain, tag) = bytes.split_at_checked(PLAIN)?;
        let (nonce, since) = plain.split_first_chunk::<NONCE>()?;
        let device = Self {
            nonce: *nonce,
            since: i64::from_be_bytes(since.try_into().ok()?),
        };
        let genuine = bool::from(mac(&device.sealed(email)).as_slice().ct_eq(tag));
        let age = now.timestamp().checked_sub(device.since)?;
        (genuine && age <= life.num_seconds()).then_some(device)
    }

    /// What tells it from others.
    pub(crate) fn name(&self) -> String {
        hex(&self.nonce)
    }

    fn plain(&self) -> [u8; PLAIN] {
        let mut plain = [0; PLAIN];
        plain[..NONCE].copy_from_slice(&self.nonce);
        plain[NONCE..].copy_from_slice(&self.since.to_be_bytes());
        plain
    }

    fn sealed(&self, email: &Email) -> String {
        format!("device {} of {}", hex(&self.plain()), email.as_str())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const LIFE: TimeDelta = TimeDelta::days(1);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn email(text: &str) -> Email {
        Email::parse(text).expect("an address")
    }

    fn mac(text: &str) -> Hash {
        causeway_crypto::token::hash(&format!("key {text}"))
    }

    #[test]
    fn a_device_proves_itself_for_its_account_and_for_a_while() {
        let (ada, device) = (email("ada@example.com"), Device::new(at(0)));
        let text = device.text(&ada, mac);
        let read = |email: &Email, seconds| Device::read(text.expose_secret(), email, LIFE, at(seconds), mac);
        assert_eq!(read(&ada, 0), Some(device));
        assert_eq!(read(&ada, 86_400), Some(device));
        assert_eq!(read(&ada, 86_401), None, "it has ended");
        assert_eq!(read(&email("eve@example.com"), 0), None, "of another account");
        assert!(text.expose_secret().len() < 100, "a small cookie");
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let ada = email("ada@example.com");
        let text = Device::new(at(0)).text(&ada, mac);
        let bytes = URL_SAFE_NO_PAD
            .decode(&text.expose_secret()[PREFIX.len()..])
            .expect("base64");
        for index in 0..bytes.len() {
            let mut other = bytes.clone();
            other[index] ^= 1;
            let other = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(other));
            assert_eq!(Device::read(&other, &ada, LIFE, at(0), mac), None, "{index}");
        }
        for bad in ["", PREFIX, "cw_dev_!", "cw_pat_aaaa", &text.expose_secret()[..60]] {
            assert_eq!(Device::read(bad, &ada, LIFE, at(0), mac), None, "{bad}");
        }
    }
}
