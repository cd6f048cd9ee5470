//! The two requests of the authorization code flow (RFC 6749 §4.1, RFC 7636), as openidconnect writes them.

use std::time::Duration;

use causeway_crypto::SignInSecrets;
use causeway_egress::{Egress, EgressError};
use openidconnect::core::{CoreClient, CoreErrorResponseType, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, JsonWebKeySet, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardErrorResponse, TokenResponse as _,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::discovery::Document;
use super::{ProviderError, ProviderOptions};
use crate::clerk::Refusal;
use crate::jwks::DEADLINE;
use crate::jwks::fetch::send;

/// When a provider is asked again that did not give tokens.
const PAUSE: Duration = Duration::from_secs(5);

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet, EndpointNotSet>;

/// What a code was redeemed for.
#[derive(Deserialize)]
pub(super) struct Redeemed {
    /// The ID token as it came: nothing of it is believed yet.
    #[serde(rename = "id_token")]
    pub(super) id: String,
    #[serde(rename = "access_token")]
    pub(super) access: String,
}

impl Redeemed {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

fn client(options: &ProviderOptions, document: &Document) -> Client {
    let client = CoreClient::new(
        ClientId::new(options.client_id.clone()),
        options.issuer.issuer.clone(),
        // Keys are looked up elsewhere.
        JsonWebKeySet::default(),
    );
    let client = match &options.client_secret {
        Some(secret) => client
            .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            .set_auth_type(document.auth_type.clone()),
        None => client,
    };
    client
        .set_auth_uri(document.authorization.clone())
        .set_token_uri(document.token.clone())
}

pub(super) fn authorization_url(
    options: &ProviderOptions,
    document: &Document,
    secrets: &SignInSecrets,
) -> Result<String, ProviderError> {
    let client = client(options, document).set_redirect_uri(redirect(options)?);
    let verifier = PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned());
    let (state, nonce) = (secrets.state.clone(), secrets.nonce.clone());
    let (url, _, _) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            || CsrfToken::new(state),
            || Nonce::new(nonce),
        )
        .add_scopes(options.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .url();
    Ok(url.into())
}

pub(super) async fn redeem(
    options: &ProviderOptions,
    egress: &Egress,
    document: &Document,
    code: &str,
    secrets: &SignInSecrets,
) -> Result<Redeemed, ProviderError> {
    let client = client(options, document).set_redirect_uri(redirect(options)?);
    let sender = |request: HttpRequest| send(egress.clone(), request);
    let asking = client
        .exchange_code(AuthorizationCode::new(code.to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(secrets.verifier.expose_secret().to_owned()))
        .request_async(&sender);
    let Ok(answer) = tokio::time::timeout(DEADLINE, asking).await else {
        tracing::warn!(
            issuer = options.issuer.as_str(),
            "an identity provider gave no tokens in time"
        );
        return Err(away());
    };
    let tokens = match answer {
        Ok(tokens) => tokens,
        // What an ID token is worth is decided later: openidconnect reads its claims before, and takes fewer spellings.
        Err(RequestTokenError::Parse(cause, body)) => {
            let error = || meaning(options, RequestTokenError::Parse(cause, Vec::new()));
            return Redeemed::read(&body).ok_or_else(error);
        }
        Err(error) => return Err(meaning(options, error)),
    };
    let Some(id) = tokens.id_token() else {
        tracing::warn!(
            issuer = options.issuer.as_str(),
            "an identity provider gave no ID token"
        );
        return Err(Refusal::CLAIMS.into());
    };
    Ok(Redeemed {
        id: id.to_string(),
        access: tokens.access_token().secret().clone(),
    })
}

fn redirect(options: &ProviderOptions) -> Result<RedirectUrl, ProviderError> {
    RedirectUrl::new(options.redirect_url.clone()).map_err(|_| away())
}

const fn away() -> ProviderError {
    ProviderError::Away { retry_after: PAUSE }
}

/// What a failure says. Its texts may quote the answer and stay out of the log; the word of an OAuth error does not.
fn meaning(
    options: &ProviderOptions,
    error: RequestTokenError<EgressError, StandardErrorResponse<CoreErrorResponseType>>,
) -> ProviderError {
    let issuer = options.issuer.as_str();
    match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            CoreErrorResponseType::InvalidGrant => ProviderError::Code,
            CoreErrorResponseType::Extension(_) => {
                tracing::warn!(issuer, "an identity provider gave no tokens");
                away()
            }
            other => {
                // Ours to mend: the client's id, its secret, or its redirect address.
                tracing::error!(
                    issuer,
                    word = other.as_ref(),
                    "an identity provider refuses this client"
                );
                away()
            }
        },
        RequestTokenError::Request(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                issuer,
                "an identity provider cannot be asked for tokens"
            );
            away()
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            tracing::warn!(issuer, "an identity provider answered something else than tokens");
            away()
        }
    }
}
