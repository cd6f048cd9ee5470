//! The keys that an identity provider publishes at an address: those for RS256 and ES256, and of a set only
//! those.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use causeway_crypto::{ForeignKey, RsaKey, fits_kid};
use causeway_egress::{Egress, EgressError};
use http::StatusCode;
use openidconnect::core::{
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm,
};
use openidconnect::{DiscoveryError, HttpRequest, HttpResponse, JsonWebKey as _, JsonWebKeyAlgorithm};
use serde::Deserialize;

use super::source::{DEADLINE, FetchError, KeySource, MAX_KEYS};
use super::{JwksUrl, Keys};

const MAX_BYTES: usize = 1 << 20;

/// An address of a key set, and the way to it.
#[derive(Debug)]
pub struct Published {
    url: JwksUrl,
    egress: Egress,
}

impl Published {
    pub(super) const fn new(url: JwksUrl, egress: Egress) -> Self {
        Self { url, egress }
    }

    pub(super) const fn url(&self) -> &JwksUrl {
        &self.url
    }
}

#[async_trait]
impl KeySource for Published {
    type Key = ForeignKey;

    fn kind(&self) -> &'static str {
        "identity_provider"
    }

    fn issuer(&self) -> &str {
        self.url.host()
    }

    async fn fetch(&self) -> Result<Keys<ForeignKey>, FetchError> {
        let client = |request: HttpRequest| send(self.egress.clone(), request);
        let fetching = CoreJsonWebKeySet::fetch_async(self.url.address(), &client);
        usable(&fetching.await.map_err(meaning)?)
    }
}

/// What openidconnect sends by: the process's one way out, with a limit on what comes back.
pub(crate) async fn send(egress: Egress, request: HttpRequest) -> Result<HttpResponse, EgressError> {
    let response = egress.send(request.map(Bytes::from), DEADLINE).await?;
    let (head, body) = response.into_parts();
    let body = body.collect(MAX_BYTES).await?;
    Ok(HttpResponse::from_parts(head, body.to_vec()))
}

fn meaning(error: DiscoveryError<EgressError>) -> FetchError {
    match error {
        DiscoveryError::Request(EgressError::Timeout) => FetchError::Timeout,
        DiscoveryError::Request(error) => FetchError::Away(Box::new(error)),
        DiscoveryError::Response(status, ..) if status != StatusCode::OK => FetchError::Status(status),
        // What is left are texts that may quote the answer.
        _ => FetchError::Malformed,
    }
}

fn usable(set: &CoreJsonWebKeySet) -> Result<Keys<ForeignKey>, FetchError> {
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

/// The key, if it is one that RS256 or ES256 tokens may be verified with; others may well be in the set.
fn verifying(key: &CoreJsonWebKey) -> Option<(String, ForeignKey)> {
    let kid = key.key_id().map(|kid| kid.as_str()).filter(|kid| fits_kid(kid))?;
    let signs = key
        .key_use()
        .is_none_or(|purpose| *purpose == CoreJsonWebKeyUse::Signature);
    let is_for = |wanted: CoreJwsSigningAlgorithm| match key.signing_alg() {
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Algorithm(algorithm) => *algorithm == wanted,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    let numbers = Numbers::of(key).filter(|_| signs)?;
    let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    let is_rsa = *key.key_type() == CoreJsonWebKeyType::RSA;
    let is_p256 =
        *key.key_type() == CoreJsonWebKeyType::EllipticCurve && numbers.crv.as_deref() == Some("P-256");
    let key = if is_rsa && is_for(CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256) {
        let key = RsaKey::from_components(&decode(&numbers.n)?, &decode(&numbers.e)?);
        key.ok()?.into()
    } else if is_p256 && is_for(CoreJwsSigningAlgorithm::EcdsaP256Sha256) {
        ForeignKey::p256(&decode(&numbers.x)?, &decode(&numbers.y)?).ok()?
    } else {
        return None;
    };
    Some((kid.to_owned(), key))
}

/// The numbers of a key, which its type shows in its JSON form only.
#[derive(Deserialize)]
struct Numbers {
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Numbers {
    fn of(key: &CoreJsonWebKey) -> Option<Self> {
        serde_json::to_value(key).and_then(serde_json::from_value).ok()
    }
}
