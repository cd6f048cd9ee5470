//! Who may read the contracts by reflection: in production whoever is known, elsewhere everybody (SVC-04).

use axum::body::Body;
use causeway_errors::ApiError;
use http::Request;

use super::authenticate::prove;
use crate::Gateway;
use crate::target::REFLECTION;

/// The RPC that asks for no more than a known caller.
const ME: &str = "/causeway.auth.v1.AuthService/GetMe";

/// Whether the request asks for what not everybody is told.
pub(super) fn asks(gateway: &Gateway, request: &Request<Body>) -> bool {
    gateway.config.tier.is_production() && request.uri().path().starts_with(REFLECTION)
}

/// Lets pass who proves to be somebody, whoever it is; and what asks for no credential.
///
/// # Errors
/// 401 without a credential or with one that proves nobody.
pub(super) async fn admit(
    gateway: &Gateway,
    shown: Option<Result<Option<String>, ApiError>>,
) -> Result<(), ApiError> {
    let Some(shown) = shown else { return Ok(()) };
    let credential = shown?.ok_or_else(ApiError::unauthenticated)?;
    let method = causeway_contracts::method(ME).ok_or_else(ApiError::internal)?;
    prove(gateway, method, credential).await.map(drop)
}
