//! The one way out of the process over HTTP: pooled connections, HTTP/1.1 and HTTP/2, TLS by rustls, a deadline on every
//! request and a limit on every body. Redirects are not followed: a credential goes only where it was meant to go.

mod body;
mod connect;
mod error;
mod reach;

pub use body::EgressBody;
pub use error::EgressError;
pub use reach::{Reach, is_public, may_be_public};
pub use rustls::RootCertStore;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// How the client connects.
#[derive(Debug, Clone)]
pub struct EgressOptions {
    /// The time for name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// What is sent as `User-Agent` when a request has none.
    pub user_agent: String,
    /// The authorities to trust instead of the system's (or, where there are none, Mozilla's).
    pub roots: Option<RootCertStore>,
    /// Which addresses may be reached.
    pub reach: Reach,
}

impl Default for EgressOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            user_agent: concat!("causeway/", env!("CARGO_PKG_VERSION")).to_owned(),
            roots: None,
            reach: Reach::Anywhere,
        }
    }
}

/// The client; clones share the connections.
#[derive(Clone)]
pub struct Egress {
    client: Client<connect::Dial, Full<Bytes>>,
    user_agent: Option<HeaderValue>,
    reach: Reach,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// A client without connections.
    pub fn new(options: EgressOptions) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_timeout)
            .timer(TokioTimer::new())
            .build(connect::Dial::new(&options));
        Self {
            client,
            user_agent: HeaderValue::from_str(&options.user_agent).ok(),
            reach: options.reach,
        }
    }

    /// Sends `request` and waits at most `deadline` for the head of the answer; the body has no deadline of its own.
    ///
    /// # Errors
    /// [`EgressError::InvalidRequest`] without an absolute http or https URL, [`EgressError::NotPublic`] for a host that
    /// [`EgressOptions::reach`] leaves out; otherwise whatever stood in the way. Any
    /// status is an answer and not an error.
    pub async fn send(
        &self,
        mut request: Request<Bytes>,
        deadline: Duration,
    ) -> Result<Response<EgressBody>, EgressError> {
        let uri = request.uri();
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(EgressError::InvalidRequest);
        }
        // An address in place of a name is never resolved, so it is judged here.
        if self.reach == Reach::Public && !reach::is_allowed(uri) {
            return Err(EgressError::NotPublic);
        }
        if let Some(user_agent) = &self.user_agent {
            request
                .headers_mut()
                .entry(USER_AGENT)
                .or_insert_with(|| user_agent.clone());
        }
        let answer = tokio::time::timeout(deadline, self.client.request(request.map(Full::new))).await;
        match answer {
            Ok(Ok(response)) => Ok(response.map(EgressBody::new)),
            Ok(Err(error)) => Err(EgressError::of_client(error)),
            Err(_) => Err(EgressError::Timeout),
        }
    }
}

#[cfg(test)]
mod tests;
