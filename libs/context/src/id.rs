//! Ids: UUIDs that cannot be mistaken for one another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id (UUIDv7): sorts by the time it was made.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Takes the hyphenated form only, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self, IdError> {
                if text.len() != 36 {
                    return Err(IdError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError)
            }
        }
    };
}

id!(
    /// A tenant.
    WorkspaceId
);
id!(
    /// A person.
    UserId
);
id!(
    /// A session: one login of a person.
    SessionId
);
id!(
    /// A personal access token.
    TokenId
);

impl WorkspaceId {
    /// The workspace that clients may call `default` (B-TEN-15, C-5): the only one of an installation with a single
    /// tenant. Shaped like a UUIDv7 of 1970 whose end spells the name, so no generated id can be the same.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0000_0000_0000_7000_8064_6566_6175_6c74));
    /// The name of [`WorkspaceId::DEFAULT`].
    pub const DEFAULT_NAME: &'static str = "default";

    /// The workspace that a client names: by its id in any case, or by the one name that there is.
    ///
    /// # Errors
    /// [`IdError`] for any other text.
    pub fn named(text: &str) -> Result<Self, IdError> {
        if text == Self::DEFAULT_NAME {
            Ok(Self::DEFAULT)
        } else {
            text.parse()
        }
    }
}

/// The id of a request at the door: the client's own (1 to 128 of `A-Z a-z 0-9 _ . -`) or one of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(String);

impl RequestId {
    /// A new id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// A client's id, if it has the right form.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=128).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = WorkspaceId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.0.simple().to_string().parse::<WorkspaceId>(), Err(IdError));
        assert_eq!(format!("{{{id}}}").parse::<WorkspaceId>(), Err(IdError));
    }

    #[test]
    fn one_workspace_has_a_name() {
        let id = "00000000-0000-7000-8064-656661756c74";
        assert_eq!(WorkspaceId::DEFAULT.to_string(), id);
        assert_eq!(WorkspaceId::named("default"), Ok(WorkspaceId::DEFAULT));
        assert_eq!(WorkspaceId::named(id), Ok(WorkspaceId::DEFAULT));
        let upper = id.to_uppercase();
        assert_eq!(WorkspaceId::named(&upper), Ok(WorkspaceId::DEFAULT));
        for other in ["", "Default", "default ", "defaults"] {
            assert_eq!(WorkspaceId::named(other), Err(IdError), "{other:?}");
        }
    }

    #[test]
    fn request_ids_hold_nothing_that_breaks_a_log_line() {
        assert!(RequestId::parse("abc-1.2_3").is_some());
        for bad in ["", "a b", "a\n", "ä", &"x".repeat(129)] {
            assert_eq!(RequestId::parse(bad), None);
        }
    }
}
