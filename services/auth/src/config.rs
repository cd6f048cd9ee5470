//! What the service is told at its start.

use causeway_oidc::{ClerkOptions, JwksUrl};
use causeway_settings::{Problem, Settings, Tier};
use chrono::TimeDelta;
use secrecy::SecretString;

/// The settings that auth owns.
#[derive(Debug, Clone)]
pub struct Config {
    /// Signs access tokens (`JWT_SIGNING_SECRET`).
    pub signing_secret: SecretString,
    /// Keys the stored form of refresh tokens (`AUTH_REFRESH_TOKEN_SECRET`, else the signing secret).
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
    /// Whose sessions may be exchanged (`CLERK_JWKS_URL` and its like); nobody's when absent.
    pub clerk: Option<ClerkOptions>,
}

impl Config {
    /// Reads what auth owns out of the settings.
    ///
    /// # Errors
    /// All problems at once.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let signing_secret = settings.secret("JWT_SIGNING_SECRET");
        if signing_secret.is_none() {
            problems.push(Problem::new(
                "JWT_SIGNING_SECRET",
                "is needed to sign access tokens",
            ));
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
        match (signing_secret, access_life, refresh_life) {
            (Some(signing_secret), Some(access_life), Some(refresh_life)) if problems.is_empty() => {
                Ok(Self {
                    refresh_secret: settings
                        .secret("AUTH_REFRESH_TOKEN_SECRET")
                        .unwrap_or_else(|| signing_secret.clone()),
                    signing_secret,
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
                    clerk,
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
    };
    if options.authorized_parties.is_empty() {
        problems.push(Problem::new(
            "CLERK_AUTHORIZED_PARTIES",
            "must name the frontends whose sessions may be exchanged",
        ));
    }
    Some(options)
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
