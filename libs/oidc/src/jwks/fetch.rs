//! Fetches a key set and picks the keys that may verify.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use causeway_crypto::{RsaKey, fits_kid};
use causeway_egress::{Egress, EgressError};
use http::StatusCode;
use openidconnect::core::{
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm,
};
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, JsonWebKey as _, JsonWebKeyAlgorithm};
use serde::Deserialize;

use super::JwksUrl;
use super::state::Keys;

/// For name, connection, head and body together (JWK-01).
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 20;
const MAX_KEYS: usize = 64;

/// A fetch that brought no keys. No variant shows what was answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the issuer did not answer in time")]
    Timeout,
    #[error("ask the issuer")]
    Request(#[source] EgressError),
    /// Redirects too: the keys are at the address that was configured, or nowhere.
    #[error("the issuer answered {0}")]
    Status(StatusCode),
    #[error("the answer is not a key set")]
    Malformed,
    #[error("the set has more than {MAX_KEYS} keys")]
    TooMany,
    #[error("the set has no key that may verify")]
    Empty,
}

impl FetchError {
    /// The word in the metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Request(_) => "request",
            Self::Status(_) => "status",
            Self::Malformed => "malformed",
            Self::TooMany => "too_many",
            Self::Empty => "empty",
        }
    }
}

/// The keys that are published there now.
pub(super) async fn keys(egress: &Egress, url: &JwksUrl) -> Result<Keys, FetchError> {
    let client = |request: HttpRequest| send(egress.clone(), request);
    let fetching = CoreJsonWebKeySet::fetch_async(url.address(), &client);
    let answer = tokio::time::timeout(DEADLINE, fetching).await;
    let set = answer.map_err(|_| FetchError::Timeout)?.map_err(meaning)?;
    usable(&set)
}

async fn send(egress: Egress, request: HttpRequest) -> Result<HttpResponse, EgressError> {
    let response = egress.send(request.map(Bytes::from), DEADLINE).await?;
    let (head, body) = response.into_parts();
    let body = body.collect(MAX_BYTES).await?;
    Ok(HttpResponse::from_parts(head, body.to_vec()))
}

fn meaning(error: DiscoveryError<EgressError>) -> FetchError {
    match error {
        DiscoveryError::Request(EgressError::Timeout) => FetchError::Timeout,
        DiscoveryError::Request(error) => FetchError::Request(error),
        DiscoveryError::Response(status, ..) if status != StatusCode::OK => FetchError::Status(status),
        // What is left are texts that may quote the answer.
        _ => FetchError::Malformed,
    }
}

fn usable(set: &CoreJsonWebKeySet) -> Result<Keys, FetchError> {
    if set.keys().len() > MAX_KEYS {
        return Err(FetchError::TooMany);
    }
    let mut keys = Keys::new();
    for (kid, key) in set.keys().iter().filter_map(verifying) {
        // Of two keys under one id the first counts.
        keys.entry(kid).or_insert_with(|| Arc::new(key));
    }
    if keys.is_empty() {
        return Err(FetchError::Empty);
    }
    Ok(keys)
}

/// The key, if it is one that RS256 tokens may be verified with; others may well be in the set.
fn verifying(key: &CoreJsonWebKey) -> Option<(String, RsaKey)> {
    let kid = key.key_id().map(|kid| kid.as_str()).filter(|kid| fits_kid(kid))?;
    let signs = key
        .key_use()
        .is_none_or(|purpose| *purpose == CoreJsonWebKeyUse::Signature);
    let rs256 = match key.signing_alg() {
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Algorithm(algorithm) => {
            *algorithm == CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256
        }
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    if *key.key_type() != CoreJsonWebKeyType::RSA || !signs || !rs256 {
        return None;
    }
    let numbers = Numbers::of(key)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let key = RsaKey::from_components(&decode(&numbers.n)?, &decode(&numbers.e)?).ok()?;
    Some((kid.to_owned(), key))
}

/// The numbers of a key, which its type shows in its JSON form only.
#[derive(Deserialize)]
struct Numbers {
    n: String,
    e: String,
}

impl Numbers {
    fn of(key: &CoreJsonWebKey) -> Option<Self> {
        serde_json::to_value(key).and_then(serde_json::from_value).ok()
    }
}
