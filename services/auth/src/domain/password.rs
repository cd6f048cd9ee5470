//! Passwords and what is kept of them.

use std::fmt;

use secrecy::SecretString;

use super::Invalid;

/// A password that may be chosen: 12 to 1024 bytes, nothing else is asked (ASVS 6.2).
#[derive(Clone, Debug)]
pub(crate) struct Password(SecretString);

impl Password {
    /// A password to choose.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn choose(text: String) -> Result<Self, Invalid> {
        let length = text.len();
        let password = Self(text.into());
        if (12..=1024).contains(&length) {
            Ok(password)
        } else {
            Err("must have 12 to 1024 bytes")
        }
    }

    /// A password as somebody gave it, to be compared. One that nobody can have chosen is compared as an empty one, so
    /// that a large one costs nothing more.
    pub(crate) fn given(text: String) -> Self {
        Self::choose(text).unwrap_or_else(|_| Self(SecretString::default()))
    }

    /// The text.
    pub(crate) fn expose(&self) -> &SecretString {
        &self.0
    }
}

/// The argon2id hash of a password, in PHC form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash(String);

impl PasswordHash {
    /// A hash in PHC form.
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The PHC form.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_password_is_bounded() {
        for (length, fits) in [(11, false), (12, true), (1024, true), (1025, false)] {
            assert_eq!(Password::choose("x".repeat(length)).is_ok(), fits, "{length}");
        }
    }
}
