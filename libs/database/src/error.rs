//! What a database error means.

use std::error::Error as StdError;

use deadpool::managed::PoolError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// A failure of the database or on the way to it. Its text names no value of a row and no credential.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL cannot be used.
    #[error("read the database URL: {0}")]
    Url(String),
    /// No trusted certificates for the connection.
    #[error("load the certificates that the database is checked against")]
    Certificates(#[source] Box<dyn StdError + Send + Sync>),
    /// No connection.
    #[error("connect to the database")]
    Connect(#[source] tokio_postgres::Error),
    /// The server took the connection and said nothing.
    #[error("wait for the database to answer")]
    Silent,
    /// The connection could not be set up after it was made.
    #[error("set up the database connection")]
    SetUp(#[source] diesel::ConnectionError),
    /// No connection from the pool within the time allowed.
    #[error("take a database connection from the pool")]
    Pool(#[source] Box<PoolError<DatabaseError>>),
    /// A statement failed.
    #[error("query the database")]
    Query(#[from] DieselError),
    /// A schema could not be brought to its newest form.
    #[error("migrate the schema {schema}")]
    Migrate {
        /// Which schema.
        schema: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// What a caller can do about a database error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The row exists already, or another row still refers to it.
    Conflict,
    /// There is no such row.
    NotFound,
    /// Another transaction was in the way; the same transaction may succeed when repeated.
    Serialization,
    /// The database did not answer, or not in time. A write may or may not have happened.
    Unavailable,
    /// The data or the statement breaks a rule of the schema: a mistake in the program.
    Corrupt,
}

impl DatabaseError {
    /// What can be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Query(error) => classify(error),
            Self::Url(_)
            | Self::Certificates(_)
            | Self::Connect(_)
            | Self::Silent
            | Self::SetUp(_)
            | Self::Pool(_)
            | Self::Migrate { .. } => Class::Unavailable,
        }
    }

    /// The name of the constraint that refused the row.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(error) => constraint(error),
            Self::Url(_)
            | Self::Certificates(_)
            | Self::Connect(_)
            | Self::Silent
            | Self::SetUp(_)
            | Self::Pool(_)
            | Self::Migrate { .. } => None,
        }
    }
}

/// The one place where a statement's error gets its meaning.
pub fn classify(error: &DieselError) -> Class {
    match error {
        DieselError::NotFound => Class::NotFound,
        DieselError::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ExclusionViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::RestrictViolation => Class::Conflict,
            DatabaseErrorKind::NotNullViolation | DatabaseErrorKind::CheckViolation => Class::Corrupt,
            DatabaseErrorKind::SerializationFailure => Class::Serialization,
            // Diesel keeps no SQLSTATE for these.
            _ => match information.message() {
                "deadlock detected" => Class::Serialization,
                text if text.starts_with("new row violates row-level security policy") => Class::Corrupt,
                _ => Class::Unavailable,
            },
        },
        DieselError::DeserializationError(_) | DieselError::SerializationError(_) => Class::Corrupt,
        _ => Class::Unavailable,
    }
}

/// The name of the constraint that refused the row.
pub fn constraint(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(_, information) => information.constraint_name(),
        _ => None,
    }
}

/// Whether a transaction that ended with `error` may be repeated: a serialization failure or a deadlock is somewhere
/// in its chain of causes.
pub(crate) fn is_repeatable(error: &(dyn StdError + 'static)) -> bool {
    query_errors(error).any(|query| classify(query) == Class::Serialization)
}

/// Whether `error` says that the connection is gone: whatever was not committed did not happen.
pub(crate) fn is_lost(error: &(dyn StdError + 'static)) -> bool {
    query_errors(error).any(|query| match query {
        DieselError::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection => true,
            _ => information.message().starts_with("terminating connection "),
        },
        _ => false,
    })
}

/// The errors of statements in the chain of causes.
fn query_errors<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a DieselError> {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.filter_map(|error| match error.downcast_ref::<DatabaseError>() {
        Some(DatabaseError::Query(query)) => Some(query),
        _ => error.downcast_ref::<DieselError>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: DatabaseErrorKind, text: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(text.to_owned()))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("store")]
    struct StoreError(#[source] DatabaseError);

    #[test]
    fn errors_have_one_meaning() {
        use DatabaseErrorKind as Kind;
        for (kind, text, class) in [
            (Kind::UniqueViolation, "", Class::Conflict),
            (Kind::ForeignKeyViolation, "", Class::Conflict),
            (Kind::CheckViolation, "", Class::Corrupt),
            (Kind::SerializationFailure, "", Class::Serialization),
            (Kind::Unknown, "deadlock detected", Class::Serialization),
            (
                Kind::Unknown,
                "new row violates row-level security policy for table \"notes\"",
                Class::Corrupt,
            ),
            (
                Kind::Unknown,
                "canceling statement due to statement timeout",
                Class::Unavailable,
            ),
            (Kind::UnableToSendCommand, "connection closed", Class::Unavailable),
        ] {
            assert_eq!(classify(&failure(kind, text)), class, "{text}");
        }
        assert_eq!(classify(&DieselError::NotFound), Class::NotFound);
    }

    #[test]
    fn a_serialization_failure_is_found_below_the_error_of_a_store() {
        let error = StoreError(failure(DatabaseErrorKind::SerializationFailure, "").into());
        assert!(is_repeatable(&error));
        let error = StoreError(failure(DatabaseErrorKind::UniqueViolation, "").into());
        assert!(!is_repeatable(&error));
    }
}
