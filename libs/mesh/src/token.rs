//! Service tokens: who calls whom, for which RPC, on whose behalf. The secret itself is never sent.

use std::sync::Arc;

use causeway_context::{Caller, RequestId};
use causeway_contracts::CallerKind;
use causeway_crypto::{ServiceClaims, ServiceTokenKeys, TokenError};
use chrono::{DateTime, Utc};
use http::HeaderValue;
use uuid::Uuid;

/// The issuer whose word on where a request came from counts.
const DOOR: &str = "gateway";

/// How long a service token lives, in seconds: longer than a slow network, shorter than an attacker's patience.
const LIFETIME_SECONDS: i64 = 30;

/// The name and the keys with which a service calls others.
#[derive(Clone)]
pub struct ServiceIdentity {
    /// The name, such as `gateway`.
    pub name: &'static str,
    keys: Arc<ServiceTokenKeys>,
}

/// What a service token proves.
pub(crate) struct Proven {
    /// Who is calling.
    pub(crate) caller: Caller,
    /// The request at the door.
    pub(crate) request_id: RequestId,
    /// Whether the gateway sent it.
    pub(crate) by_door: bool,
}

impl ServiceIdentity {
    /// An identity under the mesh's keys.
    pub fn new(name: &'static str, keys: Arc<ServiceTokenKeys>) -> Self {
        Self { name, keys }
    }

    /// The same keys under another name.
    #[must_use]
    pub fn named(&self, name: &'static str) -> Self {
        Self {
            name,
            keys: Arc::clone(&self.keys),
        }
    }

    /// The `authorization` value for one call.
    ///
    /// # Errors
    /// [`TokenError`] when the claims cannot be signed.
    pub(crate) fn authorization(
        &self,
        callee: &str,
        method: &str,
        caller: Option<&Caller>,
        request_id: &RequestId,
        now: DateTime<Utc>,
    ) -> Result<HeaderValue, TokenError> {
        let claims = ServiceClaims {
            iss: self.name.to_owned(),
            aud: callee.to_owned(),
            method: method.to_owned(),
            jti: Uuid::now_v7().simple().to_string(),
            iat: now.timestamp(),
            exp: now.timestamp() + LIFETIME_SECONDS,
            request_id: request_id.to_string(),
            caller: caller
                .and_then(|caller| serde_json::to_value(caller).ok())
                .unwrap_or_default(),
        };
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.keys.sign(&claims)?))
            .map_err(|_| TokenError::default())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whom a service token proves.
    ///
    /// # Errors
    /// [`TokenError`] for any token that is not for this service and RPC, now.
    pub(crate) fn verify(&self, token: &str, method: &str, now: DateTime<Utc>) -> Result<Proven, TokenError> {
        let claims = self.keys.verify(token, self.name, method, now)?;
        let by_door = claims.iss == DOOR;
        let caller = match claims.caller {
            serde_json::Value::Null => Caller::service(&claims.iss),
            caller => serde_json::from_value(caller).map_err(|_| TokenError::default())?,
        };
        if caller.kind == CallerKind::Service && caller.id != claims.iss {
            // A service acts for itself or for whom it was called by, and never as another service.
            return Err(TokenError::default());
        }
        Ok(Proven {
            caller,
            request_id: RequestId::parse(&claims.request_id).unwrap_or_else(RequestId::generate),
            by_door,
        })
    }
}
