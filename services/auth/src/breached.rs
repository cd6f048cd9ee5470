//! Passwords that others know already (ASVS 6.2.4).

mod range;

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use causeway_egress::{Egress, EgressOptions};
use secrecy::{ExposeSecret as _, SecretString};

/// A list of passwords that are known from breaches.
#[async_trait]
pub(crate) trait BreachedPasswords: Send + Sync + 'static {
    /// Whether a password is on the list. A list that cannot be asked knows none: it must not keep people out.
    async fn knows(&self, password: &SecretString) -> bool;
}

static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("breached/common.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

/// A repeated piece of at most so many letters is no password, whatever the piece.
const LONGEST_PIECE: usize = 4;

/// The passwords that are tried first, in the program itself: nothing is asked elsewhere.
pub(crate) struct CommonPasswords;

#[async_trait]
impl BreachedPasswords for CommonPasswords {
    async fn knows(&self, password: &SecretString) -> bool {
        let text = password.expose_secret().to_lowercase();
        COMMON.contains(text.as_str()) || is_repetition(&text)
    }
}

/// The passwords that are tried first, and then a list that lies elsewhere.
struct Both(range::RangeList);

#[async_trait]
impl BreachedPasswords for Both {
    async fn knows(&self, password: &SecretString) -> bool {
        CommonPasswords.knows(password).await || self.0.knows(password).await
    }
}

/// What is asked: the program itself, and the list at that address if there is one.
pub(crate) fn list(url: Option<&str>) -> Arc<dyn BreachedPasswords> {
    match url {
        None => Arc::new(CommonPasswords),
        Some(url) => Arc::new(Both(range::RangeList::new(
            url,
            Egress::new(EgressOptions::default()),
        ))),
    }
}

fn is_repetition(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (1..=LONGEST_PIECE.min(letters.len() / 2)).any(|length| {
        let (piece, rest) = letters.split_at(length);
        rest.chunks(length).all(|chunk| piece.starts_with(chunk))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn knows(text: &str) -> bool {
        CommonPasswords.knows(&text.into()).await
    }

    #[tokio::test]
    async fn what_everybody_tries_first_is_known() {
        for common in [
            "password1234",
            "Password1234",
            "QWERTYUIOP123",
            "correcthorsebatterystaple",
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcab",
            "1234123412341234",
        ] {
            assert!(knows(common).await, "{common}");
        }
        for own in [
            "correct horse battery staple",
            "tr0ub4dor&3 and more",
            "aaaaaaaaaaab",
        ] {
            assert!(!knows(own).await, "{own}");
        }
    }

    #[test]
    fn the_list_is_as_it_must_be_to_be_found() {
        assert_eq!(COMMON.len(), 1000);
        assert!(
            COMMON
                .iter()
                .all(|word| word.len() >= 12 && word.to_lowercase() == *word)
        );
    }
}
