use std::error::Error;
use std::io;

use hyper_util::client::legacy;

use crate::reach::NotPublic;

/// What stood in the way of a request. No variant shows a URL, a header or a body.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// No connection: name, address, refused, or not in time.
    #[error("connect to the upstream")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// A connection, but no trust.
    #[error("agree on TLS with the upstream")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The deadline passed.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The exchange broke after it had begun.
    #[error("talk to the upstream")]
    Body(#[source] Box<dyn Error + Send + Sync>),
    /// The answer is longer than the caller takes.
    #[error("the answer of the upstream has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not the JSON that it should be. The parser's text is left out because it quotes the answer.
    #[error("the answer of the upstream is not the expected JSON (line {line}, column {column})")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Not an absolute http or https URL.
    #[error("the request has no absolute http or https URL")]
    InvalidRequest,
    /// The host is not at a public address, and only those may be reached.
    #[error("the upstream is not at a public address")]
    NotPublic,
}

impl EgressError {
    pub(crate) fn of_client(error: legacy::Error) -> Self {
        if is_not_public(&error) {
            Self::NotPublic
        } else if is_tls(&error) {
            Self::Tls(Box::new(error))
        } else if error.is_connect() {
            Self::Connect(Box::new(error))
        } else {
            Self::Body(Box::new(error))
        }
    }
}

fn is_not_public(error: &(dyn Error + 'static)) -> bool {
    any_cause(error, &|cause| cause.is::<NotPublic>())
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    any_cause(error, &|cause| cause.is::<rustls::Error>())
}

/// Whether an error or one of its causes is such a one. An `io::Error` hides what it holds from `source()`.
fn any_cause(error: &(dyn Error + 'static), is: &dyn Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    is(error)
        || inside.is_some_and(|inside| any_cause(inside, is))
        || error.source().is_some_and(|source| any_cause(source, is))
}
