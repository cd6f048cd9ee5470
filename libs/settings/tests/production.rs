//! The production tier, and the files of the three source systems.

mod support;

use std::collections::BTreeSet;

use causeway_settings::{Owner, Problem, Settings, registry};
use support::{fixture, named, sources_of};

const TABLE: &str = include_str!("../spec/settings.tsv");

fn production(process: &[(&str, &str)], owners: &[Owner]) -> Result<Settings, Vec<Problem>> {
    Settings::resolve(&sources_of("production.env", process), owners)
}

#[test]
fn the_production_fixture_is_sound_for_all_owners_and_for_each_alone() {
    let settings = production(&[], Owner::ALL).unwrap();
    assert_eq!(settings.warnings(), []);
    assert!(!settings.development_key_allowed());
    for owner in Owner::ALL {
        assert!(production(&[], &[*owner]).is_ok(), "{owner}");
    }
}

const PAIR: &[(&str, &str)] = &[
    ("JWT_SIGNING_ALGORITHM", "EdDSA"),
    ("JWT_SIGNING_PRIVATE_KEY", "a key that auth reads"),
];

#[test]
fn with_a_pair_of_keys_the_door_has_no_secret() {
    let without = |name: &'static str| [PAIR, &[(name, "")]].concat();
    let nothing = [PAIR, &[("JWT_SIGNING_SECRET", ""), ("NEXTAUTH_SECRET", "")]].concat();
    let problems = production(&nothing, &[Owner::Gateway]).err().unwrap_or_default();
    assert!(named(&problems, "JWT_SIGNING_SECRET").is_empty(), "{problems:?}");
    let problems = production(&nothing, &[Owner::Auth]).unwrap_err();
    assert!(!named(&problems, "JWT_SIGNING_SECRET").is_empty(), "{problems:?}");
    let refresh = [
        &nothing[..],
        &[("AUTH_REFRESH_TOKEN_SECRET", "a key of refresh tokens alone, long")],
    ]
    .concat();
    let problems = production(&refresh, &[Owner::Auth]).err().unwrap_or_default();
    assert!(named(&problems, "JWT_SIGNING_SECRET").is_empty(), "{problems:?}");
    let problems = production(&without("JWT_SIGNING_PRIVATE_KEY"), &[Owner::Auth]).unwrap_err();
    assert!(!named(&problems, "JWT_SIGNING_PRIVATE_KEY").is_empty());
    assert!(production(&without("JWT_SIGNING_PRIVATE_KEY"), &[Owner::Gateway]).is_ok());
    let idle = [("JWT_SIGNING_PRIVATE_KEY", "a key that auth reads")];
    let problems = production(&idle, Owner::ALL).unwrap_err();
    assert!(!named(&problems, "JWT_SIGNING_PRIVATE_KEY").is_empty());
}

/// EXC-02: a page of whoever develops is nobody's frontend in production.
#[test]
fn clerk_sessions_are_exchanged_for_frontends_that_are_named() {
    let url = ("CLERK_JWKS_URL", "https://clerk.acme.com/.well-known/jwks.json");
    let named_in = |parties: &[(&'static str, &'static str)]| {
        let pairs = [&[url][..], parties].concat();
        let problems = production(&pairs, &[Owner::Auth]).err().unwrap_or_default();
        named(&problems, "CLERK_AUTHORIZED_PARTIES").len()
    };
    assert_eq!(named_in(&[]), 1);
    assert_eq!(named_in(&[("CLERK_AUTHORIZED_PARTIES", "")]), 1);
    assert_eq!(
        named_in(&[("CLERK_AUTHORIZED_PARTIES", "https://app.acme.com")]),
        0
    );
    let without = production(&[], &[Owner::Auth]).err().unwrap_or_default();
    assert!(
        named(&without, "CLERK_AUTHORIZED_PARTIES").is_empty(),
        "without Clerk nobody is asked"
    );
}

/// JWT-10.
#[test]
fn no_root_is_short_or_known_to_everybody() {
    let known = "dev-secret-change-me";
    for name in [
        "AUTH_REFRESH_TOKEN_SECRET",
        "API_KEY_PEPPER",
        "INTERNAL_SERVICE_SECRET",
    ] {
        for text in ["x", known] {
            let problems = production(&[(name, text)], Owner::ALL).expect_err(name);
            assert!(!named(&problems, name).is_empty(), "{name}");
        }
    }
}

#[test]
fn each_broken_rule_refuses_the_start_and_names_its_setting() {
    let breaks = fixture("production-breaks.tsv");
    for line in breaks.lines().skip(1) {
        let cells: Vec<_> = line.split('\t').collect();
        let [setting, value, expected] = cells[..] else {
            panic!("{line:?}")
        };
        let problems = production(&[(setting, value)], Owner::ALL).expect_err(line);
        assert!(!named(&problems, expected).is_empty(), "{line}: {problems:?}");
        let secret = registry::find(setting).unwrap().secret && !value.is_empty();
        assert!(!secret || !format!("{problems:?}").contains(value), "{line}");
    }
}

#[test]
fn all_broken_rules_are_reported_at_once() {
    let empty = [
        ("DATABASE_URL", ""),
        ("API_KEY_PEPPER", ""),
        ("PORT", "x"),
        ("RLS_AUTO_ENABLE", "false"),
    ];
    let problems = production(&empty, Owner::ALL).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn a_missing_name_tells_its_other_names() {
    let problems =
        production(&[("JWT_SIGNING_SECRET", ""), ("NEXTAUTH_SECRET", "")], Owner::ALL).unwrap_err();
    let message = named(&problems, "JWT_SIGNING_SECRET").concat();
    for name in ["AUTH_JWT_SECRET", "JWT_SECRET", "NEXTAUTH_SECRET"] {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn any_name_of_a_capability_satisfies_it() {
    let long = "0123456789abcdef0123456789abcdef";
    for name in ["AUTH_JWT_SECRET", "JWT_SECRET"] {
        assert!(
            production(&[("JWT_SIGNING_SECRET", ""), (name, long)], Owner::ALL).is_ok(),
            "{name}"
        );
    }
    let settings = production(&[("JWT_SIGNING_SECRET", "")], Owner::ALL).unwrap();
    assert!(named(settings.warnings(), "JWT_SIGNING_SECRET")[0].contains("NEXTAUTH_SECRET"));
    let connector = [
        ("CAUSELOOP_MASTER_KEY", ""),
        ("CONNECTOR_ENCRYPTION_KEY", "any text"),
    ];
    assert!(production(&connector, Owner::ALL).is_ok());
    let kms = [("CAUSELOOP_MASTER_KEY", ""), ("KMS_KEY_ID", "alias/causeway")];
    assert!(production(&kms, Owner::ALL).is_ok());
    let short = production(
        &[("JWT_SIGNING_SECRET", ""), ("NEXTAUTH_SECRET", "short")],
        Owner::ALL,
    );
    assert!(!named(&short.unwrap_err(), "NEXTAUTH_SECRET").is_empty());
    let literal = [("JWT_SIGNING_SECRET", ""), ("JWT_SECRET", "dev-secret-change-me")];
    assert!(!named(&production(&literal, Owner::ALL).unwrap_err(), "JWT_SECRET").is_empty());
}

#[test]
fn redis_is_needed_when_asked_for_or_between_processes_only() {
    let without = |more: &[(&str, &str)], owners: &[Owner]| {
        let pairs: Vec<_> = [("REDIS_URL", "")].iter().chain(more).copied().collect();
        production(&pairs, owners)
    };
    assert!(!named(without(&[], Owner::ALL).unwrap().warnings(), "REDIS_URL").is_empty());
    assert!(without(&[("EVENT_PUBLISHER", "kinesis")], Owner::ALL).is_ok());
    for (more, owners) in [
        (&[("EVENT_PUBLISHER", "redis")][..], Owner::ALL),
        (&[], &[Owner::Worker]),
        (&[], &[Owner::Events]),
    ] {
        assert!(
            !named(&without(more, owners).unwrap_err(), "REDIS_URL").is_empty(),
            "{owners:?}"
        );
    }
}

#[test]
fn a_cookie_for_other_sites_needs_https() {
    let none = ("AUTH_REFRESH_COOKIE_SAMESITE", "none");
    assert!(production(&[none], Owner::ALL).is_ok());
    let problems = production(&[none, ("NEXTAUTH_URL", "http://causeway.example")], Owner::ALL).unwrap_err();
    assert!(!named(&problems, none.0).is_empty());
}

#[test]
fn rotation_needs_two_different_versions() {
    let rotating = |version| {
        let previous = ("CONNECTOR_ENCRYPTION_KEY_PREVIOUS", "old");
        production(
            &[previous, ("CONNECTOR_ENCRYPTION_KEY_PREVIOUS_VERSION", version)],
            Owner::ALL,
        )
    };
    assert!(rotating("0").is_ok());
    assert_eq!(
        rotating("1").unwrap_err()[0].setting,
        "CONNECTOR_ENCRYPTION_KEY_PREVIOUS_VERSION"
    );
}

#[test]
fn a_kms_key_and_its_region_agree_and_are_asked_for_under_tls() {
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/0d8f3c3e-6f0e-4c5e-8a0c-0d2f0f7d1c11";
    let with = |more: &[(&str, &str)]| {
        let pairs: Vec<_> = [("KMS_KEY_ID", arn)].iter().chain(more).copied().collect();
        production(&pairs, Owner::ALL)
    };
    for fine in [
        &[][..],
        &[("KMS_REGION", "eu-west-1")],
        &[("AWS_REGION", "us-west-2")],
        &[("KMS_ENDPOINT_URL", "https://kms.internal")],
        &[("KMS_ENDPOINT_URL", "http://127.0.0.1:5000")],
    ] {
        assert!(with(fine).is_ok(), "{fine:?}");
    }
    for (name, value) in [
        ("KMS_REGION", "us-west-2"),
        ("KMS_ENDPOINT_URL", "http://kms.internal"),
        ("KMS_KEY_ID_PREVIOUS", "arn:aws:kms:eu-west-1"),
    ] {
        assert!(
            !named(&with(&[(name, value)]).unwrap_err(), name).is_empty(),
            "{name}"
        );
    }
    for name in [
        "alias/causeway",
        "0d8f3c3e-6f0e-4c5e-8a0c-0d2f0f7d1c11",
        "mrk-1234",
    ] {
        assert!(production(&[("KMS_KEY_ID", name)], Owner::ALL).is_ok(), "{name}");
    }
}

#[test]
fn what_production_only_questions_is_a_warning() {
    let pairs = [
        ("CSP_DISABLED", "true"),
        ("ALLOW_UNSIGNED_WEBHOOKS", "true"),
        ("OPENSEARCH_TLS_REJECT_UNAUTHORIZED", "false"),
        ("VITEST", "true"),
        ("TEST_API_KEY", "test-ch7-key"),
        ("_SEED_FROM_WORKER", "1"),
        ("KAIREON_LICENSE_PRIVATE_KEY", "pem"),
        ("COSIGN_KEY", ""),
        ("CORS_ALLOWED_ORIGINS", ""),
        ("NEXTAUTH_URL", ""),
        ("ANTHROPIC_API_KEY", ""),
    ];
    let settings = production(&pairs, Owner::ALL).unwrap();
    for (name, _) in &pairs[..10] {
        assert!(!named(settings.warnings(), name).is_empty(), "{name}");
    }
    assert!(named(settings.warnings(), "LLM_PROVIDER_ORDER")[0].contains("mock"));
    assert!(settings.list("CORS_ALLOWED_ORIGINS").is_empty());
}

#[test]
fn test_names_are_no_concern_outside_production() {
    let settings = support::resolve(&[("VITEST", "true"), ("TEST_API_KEY", "k")]).unwrap();
    assert!(named(settings.warnings(), "VITEST").is_empty());
    assert_eq!(named(settings.notes(), "VITEST").len(), 1);
}

/// Names of the source systems that no operator puts into a file.
const NOT_FOR_OPERATORS: &[&str] = &[
    "NODE_ENV",
    "NEXT_PHASE",
    "NEXT_RUNTIME",
    "_SEED_FROM_WORKER",
    "KAIREON_LICENSE_PRIVATE_KEY",
    "TEST_API_KEY",
    "TEST_TENANT_ID",
    "TEST_BASE_URL",
    "VITEST",
];

#[test]
fn the_file_of_each_source_system_names_all_its_settings_and_starts_unchanged() {
    for seed in ["causeloop", "ai-platform", "kaireon"] {
        let file = format!("{seed}.env");
        let text = fixture(&file);
        let written: BTreeSet<_> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        let cells = |line: &'static str| line.split('\t').take(2).collect::<Vec<_>>();
        for row in TABLE.lines().skip(1).map(cells).filter(|row| row[1] == seed) {
            let expected = !NOT_FOR_OPERATORS.contains(&row[0]);
            assert_eq!(written.contains(row[0]), expected, "{} in {file}", row[0]);
        }
        let settings = Settings::resolve(&sources_of(&file, &[]), Owner::ALL);
        let settings = settings.unwrap_or_else(|problems| panic!("{file}: {problems:#?}"));
        let contradictions = settings
            .warnings()
            .iter()
            .filter(|warning| warning.message.contains("differs"));
        assert_eq!(contradictions.count(), 0, "{file}: {:?}", settings.warnings());
    }
}

#[test]
fn the_source_systems_keep_their_meaning() {
    let of = |file: &str| Settings::resolve(&sources_of(file, &[]), Owner::ALL).unwrap();
    let causeloop = of("causeloop.env");
    assert_eq!(causeloop.list("CORS_ALLOWED_ORIGINS").len(), 2);
    assert_eq!(causeloop.llm().providers, ["anthropic", "openai", "mock"]);
    let platform = of("ai-platform.env");
    assert_eq!(
        platform.list("CORS_ALLOWED_ORIGINS"),
        ["http://localhost", "https://tasks.example.com"]
    );
    assert_eq!(platform.llm().key_setting, Some("LLM_API_KEY"));
    assert_eq!(platform.integer("WORKSPACE_TTL_DAYS"), Some(7));
    let kaireon = of("kaireon.env");
    assert_eq!(kaireon.llm().key_setting, Some("AI_API_KEY"));
    assert_eq!(kaireon.integer("PORT"), Some(3000));
}
