//! Whose signature counts at the door. With a secret (HS256) the door could sign as well; with a pair of keys it knows the
//! public half alone, which auth publishes (JWT-14), and goes on with what it has while auth is away.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use causeway_contracts::auth::v1::GetJwksRequest;
use causeway_contracts::auth::v1::auth_service_client::AuthServiceClient;
use causeway_contracts::from_struct;
use causeway_crypto::{AccessClaims, AccessTokenKeys, PublicKey, TokenError, named_key, token};
use causeway_errors::ApiError;
use causeway_mesh::Mesh;
use causeway_oidc::{Clock, FetchError, Jwks, KeyError, KeySource, Keys, system_clock};
use chrono::{DateTime, TimeDelta, Utc};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::config::AccessConfig;

/// For so long a signature is not looked at again. What ended meanwhile is refused all the same: revocations are compared
/// with the claims of each request.
const REMEMBERED: TimeDelta = TimeDelta::seconds(30);
const MOST: usize = 10_000;

/// What verifies access tokens.
pub(crate) enum AccessTokens {
    /// The secret that auth signs with.
    Secret(Box<AccessTokenKeys>),
    /// The keys that auth publishes.
    Published(Published),
}

impl AccessTokens {
    pub(crate) fn new(config: &AccessConfig, mesh: &Mesh) -> Self {
        match &config.secret {
            Some(secret) => {
                let keys = AccessTokenKeys::new(secret, config.issuer.clone(), config.audience.clone());
                Self::Secret(Box::new(keys.with_max_lifetime(config.longest)))
            }
            None => Self::Published(Published::by(config, mesh, system_clock())),
        }
    }

    /// Keeps published keys fresh until `stop`.
    pub(crate) async fn keep(&self, stop: CancellationToken) {
        if let Self::Published(published) = self {
            Arc::clone(&published.keys).run(stop).await;
        }
    }

    /// Whether there is something to verify tokens with. A gateway that starts before auth has to wait for its keys.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Self::Secret(_) => true,
            Self::Published(published) => published.keys.is_known(),
        }
    }

    /// The claims of a token that is genuine and in force.
    ///
    /// # Errors
    /// 401, which looks the same for every cause (JWT-05); 503 while there is no key and none can be had.
    pub(crate) async fn verify(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<AccessClaims>, ApiError> {
        match self {
            Self::Secret(keys) => keys.verify(token, now).map(Arc::new).map_err(refused),
            Self::Published(published) => published.verify(token, now).await,
        }
    }
}

/// Published keys, and the tokens that were verified with them a moment ago: a signature costs forty times what a look
/// into a map does.
pub(crate) struct Published {
    keys: Arc<Jwks<AuthKeys>>,
    verified: Verified,
}

impl Published {
    fn by(config: &AccessConfig, mesh: &Mesh, clock: Clock) -> Self {
        let auth = AuthKeys {
            mesh: mesh.clone(),
            config: config.clone(),
        };
        Self {
            keys: Arc::new(Jwks::of(auth, clock)),
            verified: Verified::default(),
        }
    }

    async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<AccessClaims>, ApiError> {
        let digest = token::hash(token);
        if let Some(claims) = self.verified.get(&digest, now) {
            return Ok(claims);
        }
        // A token without a name was signed with a secret.
        let kid = named_key(token).map_err(refused)?.ok_or_else(|| refuse("key"))?;
        let key = self.keys.find(&kid).await.map_err(unknown)?;
        let claims = Arc::new(key.verify(token, now).map_err(refused)?);
        self.verified.put(digest, &claims, now);
        Ok(claims)
    }
}

/// The keys that auth publishes, over the mesh. Each is a verifier of its own, so that a token is compared with the one key
/// that it names (JWT-01).
struct AuthKeys {
    mesh: Mesh,
    config: AccessConfig,
}

impl AuthKeys {
    fn verifier(&self, key: PublicKey) -> Result<AccessTokenKeys, FetchError> {
        let config = &self.config;
        let nothing = AccessTokenKeys::verify_only(config.issuer.clone(), config.audience.clone());
        let one = nothing.accepting([key]).map_err(|_| FetchError::Malformed)?;
        Ok(one.with_max_lifetime(config.longest))
    }
}

#[async_trait]
impl KeySource for AuthKeys {
    type Key = AccessTokenKeys;

    /// Auth is our own, and may start a moment later.
    const BACK_OFF: Duration = Duration::from_secs(1);

    fn kind(&self) -> &'static str {
        "access_tokens"
    }

    fn issuer(&self) -> &str {
        "auth"
    }

    async fn fetch(&self) -> Result<Keys<AccessTokenKeys>, FetchError> {
        let mut auth = AuthServiceClient::new(self.mesh.to("auth"));
        let answer = auth.get_jwks(GetJwksRequest {}).await;
        let keys = answer
            .map_err(|status| FetchError::Away(Box::new(status)))?
            .into_inner()
            .keys;
        let keys: Vec<_> = keys.into_iter().map(|key| from_struct(&key)).collect();
        let set = json!({ "keys": keys }).to_string();
        let keys = PublicKey::read_jwks(set.as_bytes()).map_err(|_| FetchError::Malformed)?;
        if keys.is_empty() {
            return Err(FetchError::Empty);
        }
        let named = keys
            .into_iter()
            .map(|key| Ok((key.kid().to_owned(), Arc::new(self.verifier(key)?))));
        named.collect()
    }
}

fn unknown(error: KeyError) -> ApiError {
    match error {
        KeyError::Unknown => refuse("key"),
        KeyError::Away { retry_after } => {
            ApiError::unavailable("KEYS_UNAVAILABLE").retry_after(retry_after.max(Duration::from_secs(1)))
        }
    }
}

fn refused(error: TokenError) -> ApiError {
    refuse(error.reason())
}

/// The reason is for those who run the door, never for the client (JWT-05).
fn refuse(reason: &'static str) -> ApiError {
    static REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
        causeway_telemetry::metrics::meter("causeway_gateway")
            .u64_counter("causeway_gateway_refused_tokens_total")
            .with_description("Access tokens that prove nothing, by what was wrong with them.")
            .build()
    });
    REFUSED.add(1, &[KeyValue::new("reason", reason)]);
    tracing::debug!(reason, "an access token was refused");
    ApiError::unauthenticated()
}

/// Tokens whose signature was verified a moment ago, by their digest.
#[derive(Default)]
struct Verified(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    tokens: HashMap<[u8; 32], Entry>,
    /// When what is over was dropped last: not for each token while there are too many.
    swept: Option<DateTime<Utc>>,
}

struct Entry {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    claims: Arc<AccessClaims>,
}

impl Entry {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        // A clock that was put back must not lengthen a life.
        self.from <= now && now < self.until
    }
}

impl Verified {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, digest: &[u8; 32], now: DateTime<Utc>) -> Option<Arc<AccessClaims>> {
        let entries = self.entries();
        let entry = entries.tokens.get(digest).filter(|entry| entry.is_fresh(now));
        entry.map(|entry| Arc::clone(&entry.claims))
    }

    fn put(&self, digest: [u8; 32], claims: &Arc<AccessClaims>, now: DateTime<Utc>) {
        let Some(ends) = DateTime::from_timestamp(claims.exp, 0) else {
            return;
        };
        let mut entries = self.entries();
        if entries.tokens.len() >= MOST
            && entries
                .swept
                .is_none_or(|swept| swept.timestamp() != now.timestamp())
        {
            entries.tokens.retain(|_, entry| entry.is_fresh(now));
            entries.swept = Some(now);
        }
        if entries.tokens.len() < MOST {
            let entry = Entry {
                from: now,
                until: ends.min(now + REMEMBERED),
                claims: Arc::clone(claims),
            };
            entries.tokens.insert(digest, entry);
        }
    }
}

#[cfg(test)]
mod tests;
