//! What the service reads out of the settings.

use secrecy::ExposeSecret as _;

use super::{SECRET, config};

/// B-AUTH-10, B-AUTH-14.
#[test]
fn settings_have_their_documented_defaults() {
    let config = config(&[]).expect("settings");
    assert_eq!(config.access_life, chrono::TimeDelta::minutes(15));
    assert_eq!(config.refresh_life, chrono::TimeDelta::days(30));
    assert!(config.registration_open && config.issuer.is_none() && config.audience.is_none());
}

#[test]
fn settings_are_read() {
    let config = config(&[
        ("AUTH_ACCESS_TOKEN_TTL_MINUTES", "5"),
        ("AUTH_REFRESH_TOKEN_TTL_DAYS", "7"),
        ("AUTH_JWT_ISSUER", "https://id.example.com"),
        ("REGISTRATION", "closed"),
    ])
    .expect("settings");
    assert_eq!(
        (config.access_life, config.refresh_life),
        (chrono::TimeDelta::minutes(5), chrono::TimeDelta::days(7))
    );
    assert_eq!(config.issuer.as_deref(), Some("https://id.example.com"));
    assert!(!config.registration_open);
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn a_life_of_nothing_is_refused() {
    let problems = config(&[("AUTH_ACCESS_TOKEN_TTL_MINUTES", "0")]).expect_err("refused");
    assert!(
        problems
            .iter()
            .any(|problem| problem.setting == "AUTH_ACCESS_TOKEN_TTL_MINUTES")
    );
}

const SAMPLE: &str = "https://regular-mosquito-10.clerk.accounts.dev/.well-known/jwks.json";

/// B-AUTH-3, B-AUTH-4.
#[test]
fn clerk_is_off_until_its_keys_are_named_and_the_sample_is_nobodys() {
    assert!(config(&[]).expect("settings").clerk.is_none());
    let sample = config(&[("CLERK_JWKS_URL", SAMPLE)]);
    assert!(sample.expect("settings").clerk.is_none());
}

#[test]
fn clerks_settings_are_read() {
    let keys = "https://clerk.example.com/.well-known/jwks.json";
    let options = config(&[("CLERK_JWKS_URL", keys), ("CLERK_AUDIENCE", "")])
        .expect("settings")
        .clerk
        .expect("on");
    assert_eq!(options.issuer, "https://clerk.example.com");
    assert_eq!(
        (options.audience, options.authorized_parties),
        (None, vec!["http://localhost:3000".to_owned()])
    );
    let options = config(&[
        ("CLERK_JWKS_URL", "https://api.example.com/v1/jwks"),
        ("CLERK_ISSUER", "https://clerk.example.com"),
        ("CLERK_AUDIENCE", "causeway"),
        (
            "CLERK_AUTHORIZED_PARTIES",
            "https://a.example , https://b.example,",
        ),
    ])
    .expect("settings")
    .clerk
    .expect("on");
    assert_eq!(options.issuer, "https://clerk.example.com");
    assert_eq!(options.audience.as_deref(), Some("causeway"));
    assert_eq!(
        options.authorized_parties,
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn a_clerk_that_nobody_could_use_stops_the_start() {
    let keys = ("CLERK_JWKS_URL", "https://clerk.example.com/keys");
    let problems = config(&[keys, ("CLERK_AUTHORIZED_PARTIES", " , ")]).expect_err("refused");
    assert_eq!(problems[0].setting, "CLERK_AUTHORIZED_PARTIES");
    let problems = config(&[("CLERK_JWKS_URL", "https://user:pw@clerk.example.com/")]).expect_err("refused");
    assert_eq!(problems[0].setting, "CLERK_JWKS_URL");
    assert!(!format!("{problems:?}").contains("pw@"));
}

/// B-AUTH-12, B-AUTH-18: a secret of its own, or the one that signs access tokens, or that of the browser's sessions.
#[test]
fn refresh_tokens_have_a_secret_of_their_own_or_the_next_one() {
    let refresh = |pairs: &[(&str, &str)]| {
        let config = config(pairs).expect("settings");
        config.refresh_secret.expose_secret().to_owned()
    };
    assert_eq!(refresh(&[]), SECRET);
    let own = "another secret of enough bytes for anybody";
    assert_eq!(refresh(&[("AUTH_REFRESH_TOKEN_SECRET", own)]), own);
}

#[test]
fn what_is_asked_of_codes_devices_and_passwords_is_a_setting() {
    let defaults = config(&[]).expect("settings");
    assert!(!defaults.mfa_strict && defaults.breached.is_none() && defaults.platform_owner.is_none());
    assert_eq!(defaults.device_life, Some(chrono::TimeDelta::days(365)));
    let list = "https://passwords.example.com/range";
    let own = config(&[
        ("MFA_STRICT", "true"),
        ("AUTH_DEVICE_COOKIE_TTL_DAYS", "0"),
        ("BREACHED_PASSWORDS_URL", list),
        ("PLATFORM_OWNER_TENANT_ID", "default"),
    ])
    .expect("settings");
    assert_eq!((own.mfa_strict, own.device_life), (true, None));
    assert_eq!(own.breached.as_deref(), Some(list));
    assert_eq!(own.platform_owner, Some(causeway_context::WorkspaceId::DEFAULT));
}

#[test]
fn passwords_are_looked_up_in_the_open_in_development_alone() {
    let url = ("BREACHED_PASSWORDS_URL", "http://127.0.0.1:9/range");
    let problems = config(&[url]).expect_err("refused");
    assert_eq!(problems[0].setting, "BREACHED_PASSWORDS_URL");
    assert!(config(&[url, ("NODE_ENV", "development")]).is_ok());
}
