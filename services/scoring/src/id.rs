//! Ids of models and recommendations.

use std::fmt;
use std::str::FromStr;

use causeway_context::IdError;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).ok().filter(|_| text.len() == 36).map(Self).ok_or(IdError)
            }
        }
    };
}

id!(
    /// A decision model.
    ModelId
);
id!(
    /// A recommendation: one decision over several options.
    RecommendationId
);
