//! E-mail addresses.

use std::fmt;

use super::Invalid;

const SHAPE: Invalid = "must be an e-mail address";

/// An address in the one spelling in which it is stored and compared: trimmed, in lower case.
///
/// ASCII only: two spellings that look alike must not be two accounts. Internationalised domains come as Punycode.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        let (local, domain) = text.split_once('@').ok_or(SHAPE)?;
        if !local_fits(local) || !domain_fits(domain) {
            return Err(SHAPE);
        }
        Ok(Self(text))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn local_fits(local: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    (1..=64).contains(&local.len())
        && local.bytes().all(allowed)
        && local.split('.').all(|atom| !atom.is_empty())
}

fn domain_fits(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
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
    fn an_address_has_one_spelling() {
        let email = Email::parse("  Ada.Lovelace+x@Example.COM ").expect("an address");
        assert_eq!(email.as_str(), "ada.lovelace+x@example.com");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.d",
            "a@b@c",
            "a@b..c",
            ".a@b.c",
            "a.@b.c",
            "a@-b.c",
            "a@b-.c",
            "a\n@b.c",
            "\u{e4}@b.c",
            "a@\u{e4}.c",
            "<a@b.c>",
            &long,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_not_shown_in_logs() {
        assert_eq!(format!("{:?}", Email::parse("a@b.c")), "Ok(Email(..))");
    }
}
