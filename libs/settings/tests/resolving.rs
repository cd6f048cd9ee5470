//! Names, aliases, types and defaults.

mod support;

use causeway_settings::{LlmGroup, Owner, Settings, Sources, Tier, registry};
use secrecy::ExposeSecret;
use support::{named, resolve};

const LONG_A: &str = "token-key-a-0123456789abcdef0123456789";
const LONG_B: &str = "token-key-b-0123456789abcdef0123456789";

fn secret(settings: &Settings, name: &str) -> Option<String> {
    settings
        .secret(name)
        .map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn with_nothing_set_every_owner_starts_on_defaults() {
    let settings = resolve(&[]).unwrap();
    assert_eq!(settings.tier(), Tier::Development);
    assert_eq!(settings.integer("PORT"), Some(4000));
    assert_eq!(settings.list("CORS_ALLOWED_ORIGINS"), ["http://localhost:3000"]);
    assert_eq!(settings.float("LLM_TEMPERATURE"), Some(0.2));
    assert_eq!(settings.flag("RLS_AUTO_ENABLE"), Some(true));
    assert_eq!(settings.text("LOG_FORMAT").as_deref(), Some("pretty"));
    assert_eq!(
        settings.text("NEXTAUTH_URL").as_deref(),
        Some("http://localhost:4000")
    );
    assert_eq!(settings.secret("DATABASE_URL").map(|_| ()), None);
    assert!(!named(settings.warnings(), "DATABASE_URL").is_empty());
    assert!(settings.development_key_allowed());
    for owner in Owner::ALL {
        let alone = Settings::resolve(&Sources::from_pairs([("X", "y")]), &[*owner]);
        assert!(alone.is_ok(), "{owner} alone: {alone:?}");
    }
}

#[test]
fn the_test_tier_has_no_limiter_and_no_row_level_security_check() {
    let settings = resolve(&[("NODE_ENV", "test")]).unwrap();
    assert_eq!(settings.integer("RATE_LIMIT_PER_MINUTE"), Some(0));
    assert_eq!(settings.flag("RLS_AUTO_ENABLE"), Some(false));
}

#[test]
fn empty_means_unset() {
    let pairs: Vec<_> = registry::all().map(|setting| (setting.name, " ")).collect();
    let settings = resolve(&pairs).unwrap();
    let default = resolve(&[]).unwrap();
    assert_eq!(settings.integer("PORT"), Some(4000));
    assert_eq!(settings.warnings(), default.warnings());
    for setting in registry::all().filter(|setting| setting.alias_of.is_none() && !setting.keeps_empty) {
        assert!(!settings.is_set(setting.name), "{}", setting.name);
    }
}

#[test]
fn an_empty_allowlist_of_commands_allows_none() {
    assert!(
        resolve(&[("ALLOWED_COMMANDS", "")])
            .unwrap()
            .list("ALLOWED_COMMANDS")
            .is_empty()
    );
    assert_eq!(resolve(&[]).unwrap().list("ALLOWED_COMMANDS").len(), 4);
}

#[test]
fn of_each_setting_the_first_name_that_holds_something_wins() {
    for setting in registry::all().filter(|setting| !setting.aliases.is_empty()) {
        let names: Vec<_> = setting.names().collect();
        let value = |at: usize| match setting.secret {
            true => format!("{LONG_A}-{at}"),
            false => format!("https://{at}.example"),
        };
        for first in 0..names.len() {
            let pairs: Vec<_> = names
                .iter()
                .enumerate()
                .skip(first)
                .map(|(at, name)| (*name, value(at)))
                .collect();
            let settings = Settings::resolve(&Sources::from_pairs(pairs), Owner::ALL).unwrap();
            assert_eq!(
                secret(&settings, setting.name),
                Some(value(first)),
                "{}",
                names[first]
            );
            for later in &names[first + 1..] {
                let told = named(settings.warnings(), later).concat();
                assert!(
                    told.contains(names[first]) && !told.contains(LONG_A),
                    "{later}: {told}"
                );
            }
        }
    }
}

#[test]
fn equal_aliases_are_no_contradiction() {
    let pairs = [
        ("CORS_ORIGINS", "https://a.example, https://b.example"),
        ("ALLOWED_ORIGINS", "https://a.example,https://b.example"),
    ];
    let settings = resolve(&pairs).unwrap();
    assert_eq!(settings.list("CORS_ALLOWED_ORIGINS").len(), 2);
    assert_eq!(named(settings.warnings(), "ALLOWED_ORIGINS"), Vec::<&str>::new());
}

#[test]
fn what_stands_in_is_taken_in_order_before_any_default() {
    let jwt = |pairs: &[(&str, &str)]| secret(&resolve(pairs).unwrap(), "JWT_SIGNING_SECRET").unwrap();
    assert_eq!(jwt(&[]), "dev-secret-change-me");
    assert_eq!(jwt(&[("NEXTAUTH_SECRET", LONG_A)]), LONG_A);
    assert_eq!(
        jwt(&[("NEXTAUTH_SECRET", LONG_A), ("JWT_SECRET", LONG_B)]),
        LONG_B
    );
    let settings = resolve(&[
        ("JWT_SECRET", LONG_B),
        ("CRON_TOKEN", "tick"),
        ("AWS_REGION", "eu-west-1"),
    ])
    .unwrap();
    assert_eq!(secret(&settings, "AUTH_REFRESH_TOKEN_SECRET").unwrap(), LONG_B);
    assert_eq!(secret(&settings, "DRAIN_QUEUES_TOKEN").unwrap(), "tick");
    assert_eq!(settings.text("KINESIS_REGION").unwrap(), "eu-west-1");
    assert_eq!(settings.text("OPENSEARCH_REGION").unwrap(), "eu-west-1");
    let settings = resolve(&[("PORT", "3000"), ("TASK_TTL_DAYS", "9")]).unwrap();
    assert_eq!(
        settings.text("INTERNAL_API_URL").unwrap(),
        "http://localhost:3000"
    );
    assert_eq!(settings.integer("WORKSPACE_TTL_DAYS"), Some(9));
    let settings = resolve(&[("NEXTAUTH_URL", "https://a.example")]).unwrap();
    assert_eq!(settings.text("INTERNAL_API_URL").unwrap(), "https://a.example");
}

#[test]
fn placeholders_of_others_count_as_unset() {
    let names = [
        ("NEXTAUTH_URL", "https://playground.kaireonai.com"),
        ("SES_FROM_EMAIL", "support@kaireonai.com"),
        (
            "CLERK_JWKS_URL",
            "https://regular-mosquito-10.clerk.accounts.dev/.well-known/jwks.json",
        ),
    ];
    let settings = resolve(&names).unwrap();
    for (name, _) in names {
        assert!(!settings.is_set(name));
        assert!(named(settings.warnings(), name)[0].contains("placeholder"));
    }
}

#[test]
fn malformed_values_are_all_named_and_secrets_never_shown() {
    let pairs = [
        ("NODE_ENV", "staging"),
        ("PORT", "70000"),
        ("DATABASE_URL", "postgres://u:hunter2@db/x"),
        ("CAUSELOOP_MASTER_KEY", "hunter2hunter2"),
        ("CONNECTOR_ENCRYPTION_KEY_VERSION", "hunter2"),
        ("REDIS_URL", "https://hunter2@cache"),
        ("LLM_TEMPERATURE", "2.1"),
        ("USE_MOCK_LLM", "yes"),
        ("CORS_ORIGINS", "app.example"),
        ("KAFKA_BROKERS", "one:9092,two"),
        ("CRON_ALLOWED_IPS", "10.0.0.300"),
        ("TRUSTED_PROXIES", "10.0.0.0/40"),
        ("AI_BASE_URL", "ftp://user:hunter2@x"),
        ("MSK_ROLE_ARN", "role"),
        ("AUTH_REFRESH_COOKIE_NAME", "a b"),
        ("CSP_POLICY", "default-src\n'self'"),
        ("SCYLLA_KEYSPACE", "1x"),
        ("OPENSEARCH_INDEX_PREFIX", "Upper"),
        ("MESH_LISTEN_ADDR", "7000"),
        ("ONNX_BLOB_STORE_URL", "http://x"),
        ("LLM_TIMEOUT_SECONDS", "0"),
    ];
    let problems = resolve(&pairs).unwrap_err();
    for (name, _) in pairs {
        assert_eq!(named(&problems, name).len(), 1, "{name}: {problems:?}");
    }
    assert_eq!(problems.len(), pairs.len());
    assert!(!format!("{problems:?}").contains("hunter2"));
    assert!(named(&problems, "DATABASE_URL")[0].contains("postgresql://"));
    assert_eq!(
        problems
            .iter()
            .find(|one| one.setting == "PORT")
            .unwrap()
            .to_string(),
        "PORT: must be a whole number from 1 to 65535, not \"70000\""
    );
}

#[test]
fn the_listed_exceptions_warn_instead() {
    let settings = resolve(&[
        ("APPROVAL_MAX_AGE_HOURS", "soon"),
        ("OUTBOX_POLL_INTERVAL_MS", "0"),
        ("LOG_LEVEL", "loud"),
        ("SIEM_BACKEND", "papyrus"),
        ("RLS_AUTO_ENABLE", "nope"),
        ("MFA_ENFORCEMENT_DISABLED", "1"),
        ("ALLOW_UNSIGNED_WEBHOOKS", "TRUE"),
        ("IMAGE_DIGEST", "latest"),
        ("NEXT_PUBLIC_API_BASE_URL", "nowhere"),
    ])
    .unwrap();
    assert_eq!(settings.integer("APPROVAL_MAX_AGE_HOURS"), Some(168));
    assert_eq!(settings.integer("OUTBOX_POLL_INTERVAL_MS"), Some(2000));
    assert_eq!(settings.text("LOG_LEVEL").unwrap(), "info");
    assert_eq!(settings.text("SIEM_BACKEND"), None);
    assert_eq!(settings.flag("RLS_AUTO_ENABLE"), Some(true));
    assert_eq!(settings.flag("MFA_ENFORCEMENT_DISABLED"), Some(false));
    assert_eq!(settings.flag("ALLOW_UNSIGNED_WEBHOOKS"), Some(false));
    assert_eq!(settings.text("IMAGE_DIGEST"), None);
    for name in [
        "APPROVAL_MAX_AGE_HOURS",
        "LOG_LEVEL",
        "SIEM_BACKEND",
        "RLS_AUTO_ENABLE",
        "IMAGE_DIGEST",
    ] {
        assert_eq!(named(settings.warnings(), name).len(), 1, "{name}");
    }
}

#[test]
fn secrets_and_texts_keep_their_exact_characters() {
    let settings = resolve(&[
        ("API_KEY", "007"),
        ("AUTH_JWT_ISSUER", "1e3"),
        ("CRON_SECRET", " spaced "),
    ])
    .unwrap();
    assert_eq!(secret(&settings, "API_KEY").unwrap(), "007");
    assert_eq!(settings.text("AUTH_JWT_ISSUER").unwrap(), "1e3");
    assert_eq!(secret(&settings, "CRON_SECRET").unwrap(), " spaced ");
}

#[test]
fn the_switch_takes_digits_and_words_and_flags_only_words() {
    assert_eq!(
        resolve(&[("WORKER_INPROCESS", "0")])
            .unwrap()
            .flag("WORKER_INPROCESS"),
        Some(false)
    );
    assert_eq!(
        resolve(&[("WORKER_INPROCESS", "true")])
            .unwrap()
            .flag("WORKER_INPROCESS"),
        Some(true)
    );
    assert!(resolve(&[("DEMO_MODE", "1")]).is_err());
}

#[test]
fn a_process_is_not_stopped_by_settings_it_does_not_read() {
    let sources = Sources::from_pairs([
        ("NODE_ENV", "production"),
        ("INTERNAL_SERVICE_SECRET", LONG_A),
        ("DATABASE_URL", "postgresql://db/x"),
        ("CSP_POLICY", "a\nb"),
    ]);
    assert!(Settings::resolve(&sources, &[Owner::Scoring]).is_ok());
    let problems = Settings::resolve(&sources, &[Owner::Gateway]).unwrap_err();
    let named: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
    assert_eq!(
        named,
        [
            "CSP_POLICY",
            "JWT_SIGNING_SECRET",
            "NEXTAUTH_SECRET",
            "WORKER_SECRET"
        ]
    );
}

#[test]
fn the_language_model_groups_win_in_order_and_never_share_keys() {
    let choice = |pairs: &[(&str, &str)]| resolve(pairs).unwrap().llm();
    let order = choice(&[("OPENAI_API_KEY", "k")]);
    assert_eq!((order.group, order.providers.len()), (LlmGroup::Order, 3));
    let pin = choice(&[
        ("OPENAI_API_KEY", "k"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_MODEL", "m"),
    ]);
    assert_eq!(
        (pin.group, pin.key_setting, pin.model.as_deref()),
        (LlmGroup::Pinned, Some("LLM_API_KEY"), Some("m"))
    );
    let generic = choice(&[("LLM_PROVIDER", "mock"), ("AI_API_KEY", "k")]);
    assert_eq!(
        (generic.group, generic.because),
        (LlmGroup::Generic, "AI_API_KEY")
    );
    assert_eq!(
        (generic.providers[0].as_str(), generic.model.as_deref()),
        ("google", Some("gemini-2.5-flash"))
    );
    let other = choice(&[("AI_PROVIDER", "ollama")]);
    assert_eq!((other.model, other.key_setting), (None, None));
    assert_eq!(other.base_url.as_deref(), Some("http://127.0.0.1:11434/api"));
    let mock = choice(&[
        ("USE_MOCK_LLM", "true"),
        ("AI_API_KEY", "k"),
        ("LLM_PROVIDER", "openai"),
    ]);
    assert_eq!(
        (mock.group, mock.providers),
        (LlmGroup::Mock, vec!["mock".to_owned()])
    );
    let settings = resolve(&[("LLM_PROVIDER", "openai"), ("OPENAI_API_KEY", "k")]).unwrap();
    assert!(named(settings.warnings(), "LLM_API_KEY")[0].contains("does not stand in"));
}

#[test]
fn the_public_key_never_seals_data_of_a_remote_database_in_an_unstated_tier() {
    let allowed = |pairs: &[(&str, &str)]| resolve(pairs).unwrap().development_key_allowed();
    assert!(allowed(&[("DATABASE_URL", "postgresql://localhost:5432/x")]));
    assert!(allowed(&[("DATABASE_URL", "postgresql://u:p@[::1]:5432/x")]));
    assert!(allowed(&[(
        "DATABASE_URL",
        "postgresql:///x?host=/run/postgresql"
    )]));
    assert!(!allowed(&[("DATABASE_URL", "postgresql://u:p@db.example/x")]));
    assert!(!allowed(&[(
        "DATABASE_URL",
        "postgresql://localhost/x?host=db.example"
    )]));
    assert!(!allowed(&[(
        "DATABASE_URL",
        "postgresql://localhost,db.example/x"
    )]));
    assert!(allowed(&[
        ("DATABASE_URL", "postgresql://u:p@db.example/x"),
        ("NODE_ENV", "development")
    ]));
    let settings = resolve(&[("DATABASE_URL", "postgresql://u:p@db.example/x")]).unwrap();
    assert!(!named(settings.warnings(), "NODE_ENV").is_empty());
}

#[test]
#[should_panic(expected = "NO_SUCH_NAME is not in the registry")]
fn reading_an_unknown_name_is_a_programming_error() {
    resolve(&[]).unwrap().text("NO_SUCH_NAME");
}

#[test]
#[should_panic(expected = "is a secret")]
fn reading_a_secret_as_text_is_a_programming_error() {
    resolve(&[]).unwrap().text("DATABASE_URL");
}
