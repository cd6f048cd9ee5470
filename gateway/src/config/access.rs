//! How access tokens are verified.

use causeway_settings::{Problem, Settings};
use chrono::TimeDelta;
use secrecy::SecretString;

/// How access tokens are verified (`JWT_SIGNING_ALGORITHM` and what it asks for).
#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// The secret that signs them (HS256). Without one, auth is asked for its public keys.
    pub secret: Option<SecretString>,
    /// What they must carry as `iss`, if anything.
    pub issuer: Option<String>,
    /// What they must carry as `aud`, if anything.
    pub audience: Option<String>,
    /// How long they may live.
    pub longest: TimeDelta,
}

impl AccessConfig {
    pub(super) fn from_settings(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        let given = |name: &str| settings.text(name).filter(|text| !text.is_empty());
        let shared = given("JWT_SIGNING_ALGORITHM").is_none_or(|algorithm| algorithm == "HS256");
        let secret = settings.secret("JWT_SIGNING_SECRET").filter(|_| shared);
        if shared && secret.is_none() {
            problems.push(Problem::new(
                "JWT_SIGNING_SECRET",
                "is needed to verify access tokens",
            ));
        }
        let minutes = settings.integer("AUTH_ACCESS_TOKEN_TTL_MINUTES").unwrap_or(15);
        Self {
            secret,
            issuer: given("AUTH_JWT_ISSUER"),
            audience: given("AUTH_JWT_AUDIENCE"),
            longest: TimeDelta::try_minutes(minutes).unwrap_or(TimeDelta::MAX),
        }
    }
}
