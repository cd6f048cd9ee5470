//! Tokens that go by mail.

use chrono::TimeDelta;

/// What a mailed token does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MailPurpose {
    /// It proves the address of an account.
    Verify,
    /// It sets the password of an account.
    Reset,
}

impl MailPurpose {
    /// The word in the store.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    /// How long a token is good.
    pub(crate) const fn life(self) -> TimeDelta {
        match self {
            Self::Verify => TimeDelta::hours(24),
            Self::Reset => TimeDelta::minutes(30),
        }
    }

    /// How a token begins; each kind has a prefix of its own, so that one is never taken for another.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Verify => "cw_verify_",
            Self::Reset => "cw_reset_",
        }
    }
}
