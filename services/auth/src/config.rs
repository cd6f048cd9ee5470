//! What the service is told at its start.

mod keys;

use std::sync::Arc;

use causeway_context::WorkspaceId;
use causeway_crypto::AccessTokenKeys;
use causeway_oidc::{ClerkOptions, JwksUrl};
use causeway_settings::{Problem, Settings, Tier};
use chrono::TimeDelta;
use secrecy::SecretString;

pub use keys::access_keys;

use crate::oidc::OidcConfig;

/// The settings that auth owns.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sign and verify access tokens (`JWT_SIGNING_ALGORITHM` and what it asks for).
    pub access_keys: Arc<AccessTokenKeys>,
    /// Keys the stored form of refresh tokens (`AUTH_REFRESH_TOKEN_SECRET`, else `JWT_SIGNING_SECRET`).
    pub refresh_secret: SecretString,
    /// Mixed into the stored hashes of what machines show (`API_KEY_PEPPER`).
    pub pepper: Option<SecretString>,
    /// The pepper before it, while what it made is renewed (`API_KEY_PEPPER_PREVIOUS`).
    pub former_pepper: Option<SecretString>,
    /// Written into access tokens and demanded of them (`AUTH_JWT_ISSUER`).
    pub issuer: Option<String>,
    /// Written into access tokens and demanded of them (`AUTH_JWT_AUDIENCE`).
    pub audience: Option<String>,
    /// How long an access token lives (`AUTH_ACCESS_TOKEN_TTL_MINUTES`).
    pub access_life: TimeDelta,
    /// How long a refresh token lives (`AUTH_REFRESH_TOKEN_TTL_DAYS`).
    pub refresh_life: TimeDelta,
    /// How long a session lives whatever happens (`AUTH_SESSION_TTL_DAYS`, REF-05).
    pub session_life: TimeDelta,
    /// For how long a rotated refresh token still answers with its successor (`AUTH_REFRESH_GRACE_SECONDS`, REF-03).
    pub refresh_grace: TimeDelta,
    /// How mail goes out.
    pub mail: MailConfig,
    /// Whether anybody may register (`REGISTRATION`).
    pub registration_open: bool,
    /// Whether there is one workspace only, which everybody enters (`SINGLE_TENANT_MODE`).
    pub single_tenant: bool,
    /// What an authenticator calls this installation (`MFA_ISSUER`).
    pub mfa_issuer: String,
    /// Whether calls need a second factor where the workspace or the RPC asks for one (`MFA_ENFORCEMENT_DISABLED`).
    pub mfa_enforced: bool,
    /// Whether a code counts in its own 30 seconds only (`MFA_STRICT`, MFA-03).
    pub mfa_strict: bool,
    /// For how long a device on which somebody signed in is known; nothing where none is (`AUTH_DEVICE_COOKIE_TTL_DAYS`).
    pub device_life: Option<TimeDelta>,
    /// Where passwords are looked up that others know (`BREACHED_PASSWORDS_URL`).
    pub breached: Option<String>,
    /// The workspace that decides who may come in at all (`PLATFORM_OWNER_TENANT_ID`); nobody without one.
    pub platform_owner: Option<WorkspaceId>,
    /// Whose sessions may be exchanged (`CLERK_JWKS_URL` and its like); nobody's when absent.
    pub clerk: Option<ClerkOptions>,
    /// At which other providers people sign in (`GOOGLE_CLIENT_ID`, `OIDC_ISSUER_URL` and their like).
    pub oidc: OidcConfig,
    /// Where the keys are by which GitHub signs its reports of tokens that it found
    /// (`GITHUB_SECRET_SCANNING_KEYS_URL`); no report is taken when absent.
    pub scanning_keys: Option<String>,
}

impl Config {
    /// Reads what auth owns out of the settings.
    ///
    /// # Errors
    /// All problems at once.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let access_keys = keys::access_keys(settings).map_err(|mut found| problems.append(&mut found));
        let refresh_secret = settings
            .secret("AUTH_REFRESH_TOKEN_SECRET")
            .or_else(|| settings.secret("JWT_SIGNING_SECRET"));
        if refresh_secret.is_none() && access_keys.is_ok() {
            let message = "is needed to store refresh tokens, unless JWT_SIGNING_SECRET is set";
            problems.push(Problem::new("AUTH_REFRESH_TOKEN_SECRET", message));
        }
        let access_life = life(
            settings,
            "AUTH_ACCESS_TOKEN_TTL_MINUTES",
            15,
            TimeDelta::try_minutes,
            &mut problems,
        );
        let refresh_life = life(
            settings,
            "AUTH_REFRESH_TOKEN_TTL_DAYS",
            30,
            TimeDelta::try_days,
            &mut problems,
        );
        let clerk = clerk(settings, &mut problems);
        let oidc = OidcConfig::from_settings(settings, &mut problems);
        let breached = breached(settings, &mut problems);
        let platform_owner = platform_owner(settings, &mut problems);
        let scanning_keys = scanning_keys(settings, &mut problems);
        match (access_keys, refresh_secret, access_life, refresh_life) {
            (Ok(access_keys), Some(refresh_secret), Some(access_life), Some(refresh_life))
                if problems.is_empty() =>
            {
                Ok(Self {
                    access_keys: Arc::new(access_keys),
                    refresh_secret,
                    pepper: settings.secret("API_KEY_PEPPER"),
                    former_pepper: settings.secret("API_KEY_PEPPER_PREVIOUS"),
                    issuer: settings
                        .text("AUTH_JWT_ISSUER")
                        .filter(|issuer| !issuer.is_empty()),
                    audience: settings
                        .text("AUTH_JWT_AUDIENCE")
                        .filter(|audience| !audience.is_empty()),
                    access_life,
                    refresh_life,
                    session_life: TimeDelta::days(settings.integer("AUTH_SESSION_TTL_DAYS").unwrap_or(90)),
                    refresh_grace: TimeDelta::seconds(
                        settings.integer("AUTH_REFRESH_GRACE_SECONDS").unwrap_or(30),
                    ),
                    mail: MailConfig::from_settings(settings),
                    registration_open: settings.text("REGISTRATION").as_deref() != Some("closed"),
                    single_tenant: settings.flag("SINGLE_TENANT_MODE").unwrap_or(false),
                    mfa_issuer: settings
                        .text("MFA_ISSUER")
                        .filter(|issuer| !issuer.is_empty())
                        .unwrap_or_else(|| "Causeway".to_owned()),
                    mfa_enforced: settings.flag("MFA_ENFORCEMENT_DISABLED") != Some(true),
                    mfa_strict: settings.flag("MFA_STRICT") == Some(true),
                    device_life: settings
                        .integer("AUTH_DEVICE_COOKIE_TTL_DAYS")
                        .filter(|days| *days > 0)
                        .and_then(TimeDelta::try_days),
                    breached,
                    platform_owner,
                    clerk,
                    oidc,
                    scanning_keys,
                })
            }
            _ => Err(problems),
        }
    }
}

/// How mail goes out.
#[derive(Debug, Clone, Default)]
pub struct MailConfig {
    /// The sender (`SES_FROM_EMAIL`).
    pub from: Option<String>,
    /// The region of SES (`AWS_REGION`).
    pub region: String,
    /// The address of SES where it is not the region's public one (`SES_ENDPOINT_URL`).
    pub endpoint_url: Option<String>,
    /// Where links lead (`NEXTAUTH_URL`); without it there is no mail with a link.
    pub links: Option<String>,
    /// Whether mail is told to the log where there is no sender: outside of production.
    pub log: bool,
    /// Whether the log has its text too, with the link: in development only.
    pub log_text: bool,
}

impl MailConfig {
    fn from_settings(settings: &Settings) -> Self {
        let given = |name: &str| settings.text(name).filter(|text| !text.is_empty());
        Self {
            from: given("SES_FROM_EMAIL"),
            region: given("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
            endpoint_url: given("SES_ENDPOINT_URL"),
            links: given("NEXTAUTH_URL"),
            log: settings.tier() != Tier::Production,
            log_text: settings.tier() == Tier::Development,
        }
    }
}

/// The list of passwords that others know, if one is asked. What is asked says something of a password, and what is answered
/// decides about it: neither goes in the open.
fn breached(settings: &Settings, problems: &mut Vec<Problem>) -> Option<String> {
    const NAME: &str = "BREACHED_PASSWORDS_URL";
    let url = settings.text(NAME).filter(|url| !url.is_empty())?;
    if settings.tier() != Tier::Development && !url.starts_with("https://") {
        problems.push(Problem::new(NAME, "must begin with https:// outside development"));
    }
    Some(url)
}

fn platform_owner(settings: &Settings, problems: &mut Vec<Problem>) -> Option<WorkspaceId> {
    const NAME: &str = "PLATFORM_OWNER_TENANT_ID";
    let owner = WorkspaceId::named(&settings.text(NAME).filter(|text| !text.is_empty())?);
    owner
        .map_err(|error| problems.push(Problem::new(NAME, error.to_string())))
        .ok()
}

/// Clerk, if it is configured. The sample address counts as no address (B-AUTH-4, C-29).
fn clerk(settings: &Settings, problems: &mut Vec<Problem>) -> Option<ClerkOptions> {
    let url = settings.text("CLERK_JWKS_URL")?;
    let keys = match JwksUrl::parse(&url, settings.tier() != Tier::Production) {
        Ok(keys) => keys,
        Err(error) => {
            problems.push(Problem::new("CLERK_JWKS_URL", error.to_string()));
            return None;
        }
    };
    let given = |name: &str| settings.text(name).filter(|text| !text.is_empty());
    let options = ClerkOptions {
        issuer: given("CLERK_ISSUER").unwrap_or_else(|| keys.issuer()),
        keys,
        audience: given("CLERK_AUDIENCE"),
        authorized_parties: settings.list("CLERK_AUTHORIZED_PARTIES"),
        longest: TimeDelta::seconds(settings.integer("CLERK_TOKEN_MAX_SECONDS").unwrap_or(60)),
        actors: settings.text("CLERK_ACTORS").as_deref() != Some("refuse"),
    };
    if options.authorized_parties.is_empty() {
        problems.push(Problem::new(
            "CLERK_AUTHORIZED_PARTIES",
            "must name the frontends whose sessions may be exchanged",
        ));
    }
    Some(options)
}

/// Whoever stood between could put keys of their own in the place of GitHub's.
fn scanning_keys(settings: &Settings, problems: &mut Vec<Problem>) -> Option<String> {
    const NAME: &str = "GITHUB_SECRET_SCANNING_KEYS_URL";
    let url = settings.text(NAME).filter(|url| !url.is_empty())?;
    if settings.tier() == Tier::Production && !url.starts_with("https://") {
        problems.push(Problem::new(NAME, "must begin with https:// in production"));
    }
    Some(url)
}

fn life(
    settings: &Settings,
    name: &str,
    default: i64,
    unit: fn(i64) -> Option<TimeDelta>,
    problems: &mut Vec<Problem>,
) -> Option<TimeDelta> {
    let life = unit(settings.integer(name).unwrap_or(default)).filter(|life| *life > TimeDelta::zero());
    if life.is_none() {
        problems.push(Problem::new(name, "must be a whole number above 0"));
    }
    life
}
