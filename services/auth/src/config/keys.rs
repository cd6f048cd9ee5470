//! The keys of access tokens: a secret, or a pair of which auth alone has the private half (JWT-12, JWT-14).

use causeway_crypto::{AccessTokenKeys, KeyTextError, PublicKey};
use causeway_settings::{Problem, Settings};
use chrono::TimeDelta;
use secrecy::SecretString;

const ALGORITHM: &str = "JWT_SIGNING_ALGORITHM";
const SECRET: &str = "JWT_SIGNING_SECRET";
const PRIVATE_KEY: &str = "JWT_SIGNING_PRIVATE_KEY";
const PUBLIC_KEYS: &str = "JWT_VERIFYING_PUBLIC_KEYS";

/// The keys with which access tokens are signed here.
///
/// # Errors
/// What is missing, is no key, or is a key of another algorithm than the one that is set.
pub fn access_keys(settings: &Settings) -> Result<AccessTokenKeys, Vec<Problem>> {
    let minutes = settings.integer("AUTH_ACCESS_TOKEN_TTL_MINUTES").unwrap_or(15);
    let algorithm = settings.text(ALGORITHM).unwrap_or_else(|| "HS256".to_owned());
    let keys = match algorithm.as_str() {
        "HS256" => secret(settings),
        named => pair(settings, named),
    };
    let longest = TimeDelta::try_minutes(minutes).unwrap_or(TimeDelta::MAX);
    Ok(keys?.with_max_lifetime(longest))
}

fn secret(settings: &Settings) -> Result<AccessTokenKeys, Vec<Problem>> {
    let secret = needed(settings, SECRET, "is needed to sign access tokens")?;
    let (issuer, audience) = parties(settings);
    Ok(AccessTokenKeys::new(&secret, issuer, audience))
}

fn pair(settings: &Settings, algorithm: &str) -> Result<AccessTokenKeys, Vec<Problem>> {
    let text = needed(settings, PRIVATE_KEY, "is needed to sign access tokens")?;
    let (issuer, audience) = parties(settings);
    let keys = AccessTokenKeys::from_private_key(&text, issuer, audience);
    let keys = keys.map_err(|error| wrong(PRIVATE_KEY, error))?;
    let own = keys.signing_algorithm().map(|own| own.name());
    if own != Some(algorithm) {
        let message = format!("is a key of {}, not of {algorithm}", own.unwrap_or("nothing"));
        return Err(vec![Problem::new(PRIVATE_KEY, message)]);
    }
    let more = settings.text(PUBLIC_KEYS).filter(|text| !text.is_empty());
    let more = more.map_or(Ok(Vec::new()), |text| PublicKey::read(&text));
    more.and_then(|more| keys.accepting(more))
        .map_err(|error| wrong(PUBLIC_KEYS, error))
}

fn needed(settings: &Settings, name: &str, why: &str) -> Result<SecretString, Vec<Problem>> {
    let given = settings.secret(name);
    given.ok_or_else(|| vec![Problem::new(name, why)])
}

fn parties(settings: &Settings) -> (Option<String>, Option<String>) {
    let given = |name: &str| settings.text(name).filter(|text| !text.is_empty());
    (given("AUTH_JWT_ISSUER"), given("AUTH_JWT_AUDIENCE"))
}

/// The text is never shown.
fn wrong(name: &str, error: KeyTextError) -> Vec<Problem> {
    vec![Problem::new(name, error.to_string())]
}

#[cfg(test)]
mod tests {
    use causeway_settings::{Owner, Sources};

    use super::*;

    /// Everybody has it: RFC 8037, appendix A.
    const PAIR: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// RFC 7515, appendix A.3.
    const NEXT: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","kid":"next"}]}"#;

    fn read(pairs: &[(&str, &str)]) -> Result<AccessTokenKeys, String> {
        let all: Vec<_> = [("NODE_ENV", "development")]
            .iter()
            .chain(pairs)
            .copied()
            .collect();
        let settings = Settings::resolve(&Sources::from_pairs(all), &[Owner::Auth]).map_err(said)?;
        access_keys(&settings).map_err(said)
    }

    fn said(problems: Vec<Problem>) -> String {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_secret_signs_unless_a_pair_is_asked_for() {
        let keys = read(&[]).expect("the development key");
        assert_eq!(keys.signing_algorithm().map(|own| own.name()), Some("HS256"));
        assert!(keys.jwks().keys.is_empty());
    }

    /// JWT-12: what verifies beside the key that signs is published with it.
    #[test]
    fn a_pair_signs_and_the_next_key_is_published_beside_it() {
        let keys = read(&[
            ("JWT_SIGNING_ALGORITHM", "EdDSA"),
            ("JWT_SIGNING_PRIVATE_KEY", PAIR),
            ("JWT_VERIFYING_PUBLIC_KEYS", NEXT),
        ])
        .expect("keys");
        let named: Vec<&str> = keys.public_keys().map(PublicKey::kid).collect();
        assert_eq!(named, ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "next"]);
    }

    #[test]
    fn a_key_that_does_not_fit_is_named_and_not_shown() {
        for (pairs, expected) in [
            (
                vec![("JWT_SIGNING_ALGORITHM", "EdDSA")],
                "JWT_SIGNING_PRIVATE_KEY: must be set",
            ),
            (
                vec![
                    ("JWT_SIGNING_ALGORITHM", "ES256"),
                    ("JWT_SIGNING_PRIVATE_KEY", PAIR),
                ],
                "is a key of EdDSA, not of ES256",
            ),
            (
                vec![
                    ("JWT_SIGNING_ALGORITHM", "EdDSA"),
                    ("JWT_SIGNING_PRIVATE_KEY", "nWGxne_"),
                ],
                "JWT_SIGNING_PRIVATE_KEY: the text is not in PEM form",
            ),
            (
                vec![
                    ("JWT_SIGNING_ALGORITHM", "EdDSA"),
                    ("JWT_SIGNING_PRIVATE_KEY", PAIR),
                    ("JWT_VERIFYING_PUBLIC_KEYS", PAIR),
                ],
                "JWT_VERIFYING_PUBLIC_KEYS: the text is not a set",
            ),
        ] {
            let said = read(&pairs).map(|_| ()).expect_err(expected);
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains("nWGx"), "{said}");
        }
    }
}
