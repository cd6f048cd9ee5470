//! What a provider publishes about itself (OpenID Connect Discovery §4), and its keys.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use causeway_egress::{Egress, EgressError};
use http::{Request, StatusCode, header};
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, AuthType, AuthUrl, ProviderMetadata, TokenUrl};
use serde::{Deserialize, Serialize};

use super::{ProviderError, ProviderUrl, Shared};
use crate::jwks::fetch::send;
use crate::jwks::{Clock, DEADLINE, Jwks, JwksUrl, UrlError, url};

const WELL_KNOWN: &str = ".well-known/openid-configuration";
/// How long a document is fresh. Endpoints change rarely, and a change announces itself by errors.
const FRESH: Duration = Duration::from_secs(3600);
/// When it is fetched again: at 80 % of that time, so that no request waits for it.
const REFRESH: Duration = Duration::from_secs(FRESH.as_secs() * 4 / 5);
/// How long it serves while the provider is away, as its keys do (JWK-04).
const MAX_STALE: Duration = Duration::from_secs(24 * 3600);
/// The time after a failed fetch.
const BACK_OFF: Duration = Duration::from_secs(10);

/// What is used of a provider's document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) authorization: AuthUrl,
    pub(super) token: TokenUrl,
    /// How we prove ourselves there.
    pub(super) auth_type: AuthType,
    /// Whether its answers say whose they are (RFC 9207).
    pub(super) names_itself: bool,
    pub(super) keys: std::sync::Arc<Jwks>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A document that was not had. No variant shows what was answered.
#[derive(Debug, thiserror::Error)]
enum DiscoveryFailure {
    #[error("the provider did not answer in time")]
    Timeout,
    #[error("ask the provider")]
    Request(#[source] EgressError),
    /// Redirects too: the document is below the issuer's address, or nowhere.
    #[error("the provider answered {0}")]
    Status(StatusCode),
    #[error("the answer is no document of a provider")]
    Malformed,
    #[error("the document is that of another issuer")]
    Issuer,
    #[error("the provider names an endpoint that is not spoken to")]
    Endpoint(#[source] UrlError),
    #[error("the provider has no token endpoint")]
    NoTokens,
}

#[derive(Default)]
struct State {
    known: Option<(Shared, Instant)>,
    failed_at: Option<Instant>,
}

/// The document of one provider, kept.
pub(super) struct Discovery {
    issuer: ProviderUrl,
    egress: Egress,
    clock: Clock,
    state: Mutex<State>,
    fetching: tokio::sync::Mutex<()>,
}

impl Discovery {
    pub(super) fn new(issuer: ProviderUrl, egress: Egress, clock: Clock) -> Self {
        Self {
            issuer,
            egress,
            clock,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Fetches at once, and then long before anything is old.
    pub(super) async fn run(&self) {
        loop {
            let wait = self.refresh().await;
            tokio::time::sleep(wait.max(Duration::from_secs(1))).await;
        }
    }

    /// Fetches what it is time for; answers how long nothing else is due.
    async fn refresh(&self) -> Duration {
        {
            let _alone = self.fetching.lock().await;
            if self.due().is_zero() {
                self.fetch().await;
            }
        }
        let known = self.state().known.as_ref().map(|(document, _)| document.clone());
        let Some(document) = known else { return self.due() };
        document.keys.refresh().await;
        self.due().min(document.keys.due())
    }

    fn due(&self) -> Duration {
        let (now, state) = ((self.clock)(), self.state());
        let after = |at: Instant, time: Duration| (at + time).saturating_duration_since(now);
        match (&state.known, state.failed_at) {
            (_, Some(failed)) => after(failed, BACK_OFF),
            (Some((_, at)), None) => after(*at, REFRESH),
            (None, None) => Duration::ZERO,
        }
    }

    /// The document.
    ///
    /// # Errors
    /// [`ProviderError::Away`].
    pub(super) async fn document(&self) -> Result<Shared, ProviderError> {
        if let Some(answer) = self.known() {
            return answer;
        }
        let _alone = self.fetching.lock().await;
        // Another caller may have fetched while this one waited.
        if let Some(answer) = self.known() {
            return answer;
        }
        self.fetch().await;
        let retry_after = BACK_OFF;
        self.known().unwrap_or(Err(ProviderError::Away { retry_after }))
    }

    /// What can be answered without asking the provider; nothing if it may be asked now.
    fn known(&self) -> Option<Result<Shared, ProviderError>> {
        let (now, state) = ((self.clock)(), self.state());
        let rest = state.failed_at.map_or(Duration::ZERO, |at| {
            (at + BACK_OFF).saturating_duration_since(now)
        });
        if let Some((document, at)) = &state.known {
            let age = now.saturating_duration_since(*at);
            if age <= FRESH || (age <= MAX_STALE && !rest.is_zero()) {
                return Some(Ok(document.clone()));
            }
        }
        (!rest.is_zero()).then_some(Err(ProviderError::Away { retry_after: rest }))
    }

    async fn fetch(&self) {
        let began = (self.clock)();
        let answer = tokio::time::timeout(DEADLINE, self.ask()).await;
        match answer.unwrap_or(Err(DiscoveryFailure::Timeout)) {
            Ok(document) => {
                let mut state = self.state();
                state.known = Some((Shared::new(document), began));
                state.failed_at = None;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    issuer = self.issuer.as_str(),
                    "what an identity provider says of itself cannot be had"
                );
                self.state().failed_at = Some(began);
            }
        }
    }

    async fn ask(&self) -> Result<Document, DiscoveryFailure> {
        let base = self.issuer.as_str().trim_end_matches('/');
        let request = Request::get(format!("{base}/{WELL_KNOWN}"))
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| DiscoveryFailure::Malformed)?;
        let answer = send(self.egress.clone(), request).await;
        let answer = answer.map_err(DiscoveryFailure::Request)?;
        if answer.status() != StatusCode::OK {
            return Err(DiscoveryFailure::Status(answer.status()));
        }
        let metadata: Metadata =
            serde_json::from_slice(answer.body()).map_err(|_| DiscoveryFailure::Malformed)?;
        self.document_of(&metadata)
    }

    fn document_of(&self, metadata: &Metadata) -> Result<Document, DiscoveryFailure> {
        if metadata.issuer().as_str() != self.issuer.as_str() {
            return Err(DiscoveryFailure::Issuer);
        }
        let development = self.issuer.development;
        let token = metadata.token_endpoint().ok_or(DiscoveryFailure::NoTokens)?;
        for address in [metadata.authorization_endpoint().url(), token.url()] {
            url::check(address, development).map_err(DiscoveryFailure::Endpoint)?;
        }
        let keys = JwksUrl::parse(metadata.jwks_uri().as_str(), development);
        Ok(Document {
            authorization: metadata.authorization_endpoint().clone(),
            token: token.clone(),
            auth_type: auth_type(metadata),
            names_itself: metadata
                .additional_metadata()
                .authorization_response_iss_parameter_supported,
            keys: self.keys(keys.map_err(DiscoveryFailure::Endpoint)?),
        })
    }

    /// The keys at that address: those that are known, unless the provider moved them.
    fn keys(&self, at: JwksUrl) -> std::sync::Arc<Jwks> {
        let state = self.state();
        let known = state.known.as_ref().map(|(document, _)| &document.keys);
        match known.filter(|keys| *keys.url() == at) {
            Some(keys) => keys.clone(),
            None => Jwks::new(at, self.egress.clone(), self.clock.clone()).into(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Basic, unless the provider takes the secret in the body only (RFC 6749 §2.3.1).
fn auth_type(metadata: &Metadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method: &CoreClientAuthMethod| methods.is_none_or(|methods| methods.contains(method));
    match takes(&CoreClientAuthMethod::ClientSecretBasic) || !takes(&CoreClientAuthMethod::ClientSecretPost) {
        true => AuthType::BasicAuth,
        false => AuthType::RequestBody,
    }
}
