//! Invitations.

use std::fmt;

use causeway_context::{UserId, WorkspaceId};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Invalid, MemberRole};
use crate::page::TimePlace;

/// How the secret of an invitation begins.
pub(crate) const PREFIX: &str = "cw_inv_";

const DEFAULT_LIFE: TimeDelta = TimeDelta::days(7);
const LONGEST_LIFE: TimeDelta = TimeDelta::days(30);

/// The stored form of an invitation's secret.
pub(crate) type SecretHash = [u8; 32];

/// An open invitation, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The id.
    pub id: Uuid,
    /// For whom it is meant.
    pub email: Email,
    /// As what the person will join.
    pub role: MemberRole,
    /// Who wrote it.
    pub invited_by: UserId,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

impl Invitation {
    /// Where it stands among those of its workspace.
    pub(crate) fn place(&self) -> TimePlace {
        TimePlace {
            at: self.created_at,
            id: self.id,
        }
    }

    /// Whether it can still be accepted.
    pub(crate) fn is_open(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at
    }
}

/// When an invitation that is written now ends.
///
/// # Errors
/// What is wrong with the end that was asked for.
pub(crate) fn lifetime(asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let end = asked.unwrap_or(now + DEFAULT_LIFE);
    if end <= now {
        return Err("must be in the future");
    }
    if end > now + LONGEST_LIFE {
        return Err("must be at most 30 days from now");
    }
    Ok(end)
}

/// An e-mail address in one spelling: trimmed, in lower case. Whether mail arrives there is not ours to know, so only
/// what cannot be an address is refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Email(String);

impl Email {
    /// The address of a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        if text.len() > 254 {
            return Err("must have at most 254 characters");
        }
        let fits = text.bytes().all(|byte| byte.is_ascii_graphic())
            && text
                .split_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && domain_fits(domain));
        if fits {
            Ok(Self(text))
        } else {
            Err("must be an e-mail address")
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn domain_fits(domain: &str) -> bool {
    domain.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Personal data stays out of logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling_and_stays_out_of_logs() {
        let email = Email::parse("  Ada.Lovelace+x@Example.COM ").expect("an address");
        assert_eq!(email.as_str(), "ada.lovelace+x@example.com");
        assert_eq!(format!("{email:?}"), "Email(..)");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        let long = format!("a@{}.example", "b".repeat(250));
        for bad in [
            "", "@", "a@", "@b", "a b@c", "a@b..c", "a@b@c", "ä@b.c", "a@b\n.c", &long,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_invitation_ends_within_a_month() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(lifetime(None, now), Ok(now + TimeDelta::days(7)));
        assert_eq!(lifetime(Some(now + LONGEST_LIFE), now), Ok(now + LONGEST_LIFE));
        let late = now + LONGEST_LIFE + TimeDelta::microseconds(1);
        for bad in [now, now - TimeDelta::days(1), late] {
            assert!(lifetime(Some(bad), now).is_err(), "{bad}");
        }
    }
}
