//! The settings of sign-in at providers.

use causeway_oidc::{ProviderOptions, ProviderUrl};
use causeway_settings::{Problem, Settings, Tier};

use super::Returns;

/// Google's name in paths, and its issuer.
const GOOGLE: (&str, &str) = ("google", "https://accounts.google.com");
/// What is asked of Google beside `openid`: whether an address is proven. The address itself is not kept.
const GOOGLE_SCOPE: &str = "email";
const MAX_NAME_BYTES: usize = 32;
/// Names that say something else in facts and tokens.
const TAKEN: [&str; 3] = [GOOGLE.0, "clerk", "password"];

/// At which providers people sign in, and what they come back to.
#[derive(Debug, Clone, Default)]
pub struct OidcConfig {
    /// The providers by their names.
    pub providers: Vec<(String, ProviderOptions)>,
    /// Where people may go afterwards (`NEXTAUTH_URL`, `CORS_ALLOWED_ORIGINS`).
    pub(crate) returns: Returns,
    /// Whether a first sign-in makes the person (`OIDC_REGISTRATION`); as registration when nothing is said.
    pub open: Option<bool>,
}

impl OidcConfig {
    pub(crate) fn from_settings(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        let given = |name: &str| settings.text(name).filter(|text| !text.is_empty());
        let base = given("NEXTAUTH_URL");
        let mut providers = Vec::new();
        if let Some(client_id) = given("GOOGLE_CLIENT_ID") {
            providers.push(Named {
                name: GOOGLE.0.to_owned(),
                setting: "GOOGLE_CLIENT_ID",
                issuer: GOOGLE.1.to_owned(),
                client_id,
                secret: "GOOGLE_CLIENT_SECRET",
                scopes: vec![GOOGLE_SCOPE.to_owned()],
            });
        }
        if let (Some(issuer), Some(client_id)) = (given("OIDC_ISSUER_URL"), given("OIDC_CLIENT_ID")) {
            let name = given("OIDC_PROVIDER_NAME").unwrap_or_else(|| "oidc".to_owned());
            if !fits(&name) || TAKEN.contains(&name.as_str()) {
                problems.push(Problem::new(
                    "OIDC_PROVIDER_NAME",
                    "must be 1 to 32 small letters, digits and dashes, and not google",
                ));
            }
            providers.push(Named {
                name,
                setting: "OIDC_ISSUER_URL",
                issuer,
                client_id,
                secret: "OIDC_CLIENT_SECRET",
                scopes: settings.list("OIDC_SCOPES"),
            });
        }
        let providers = providers
            .into_iter()
            .filter_map(|named| named.options(settings, base.as_deref(), problems));
        Self {
            providers: providers.collect(),
            returns: Returns::new(base.as_deref(), &settings.list("CORS_ALLOWED_ORIGINS")),
            open: given("OIDC_REGISTRATION").map(|word| word == "open"),
        }
    }
}

/// What the settings say of one provider.
struct Named {
    name: String,
    /// The setting to blame.
    setting: &'static str,
    issuer: String,
    client_id: String,
    secret: &'static str,
    scopes: Vec<String>,
}

impl Named {
    fn options(
        self,
        settings: &Settings,
        base: Option<&str>,
        problems: &mut Vec<Problem>,
    ) -> Option<(String, ProviderOptions)> {
        let Some(base) = base else {
            let message = format!("must be set for people to come back to from {}", self.name);
            problems.push(Problem::new("NEXTAUTH_URL", message));
            return None;
        };
        let issuer = match ProviderUrl::parse(&self.issuer, settings.tier() != Tier::Production) {
            Ok(issuer) => issuer,
            Err(error) => {
                problems.push(Problem::new(self.setting, error.to_string()));
                return None;
            }
        };
        let base = base.trim_end_matches('/');
        let options = ProviderOptions {
            issuer,
            client_id: self.client_id,
            client_secret: settings.secret(self.secret),
            redirect_url: format!("{base}/auth/oidc/{}/callback", self.name),
            scopes: self.scopes,
        };
        Some((self.name, options))
    }
}

fn fits(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use causeway_settings::{Owner, Sources};

    use super::*;

    fn read(tier: &str, pairs: &[(&str, &str)]) -> (OidcConfig, Vec<String>) {
        let pairs = pairs.iter().copied().chain([
            ("NODE_ENV", tier),
            (
                "JWT_SIGNING_SECRET",
                "a signing secret of the tests, 32 bytes or more",
            ),
            ("NEXTAUTH_SECRET", "another secret of the tests, 32 bytes or more"),
            ("API_KEY_PEPPER", "a pepper of the tests, 32 bytes or more"),
            (
                "INTERNAL_SERVICE_SECRET",
                "a third secret of the tests, 32 bytes or more",
            ),
            ("DATABASE_URL", "postgresql://auth:secret@db.example/causeway"),
        ]);
        let settings =
            Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Auth]).expect("sound settings");
        let mut problems = Vec::new();
        let config = OidcConfig::from_settings(&settings, &mut problems);
        let named = problems.into_iter().map(|problem| problem.setting);
        (config, named.collect())
    }

    const GOOGLE_PAIR: [(&str, &str); 2] = [("GOOGLE_CLIENT_ID", "id"), ("GOOGLE_CLIENT_SECRET", "secret")];

    #[test]
    fn without_settings_there_is_no_provider() {
        let (config, problems) = read("development", &[]);
        assert!(config.providers.is_empty() && problems.is_empty() && config.open.is_none());
    }

    #[test]
    fn google_and_one_more_provider_are_set_up_by_their_settings() {
        let more = [
            ("NEXTAUTH_URL", "https://door.example/"),
            ("OIDC_ISSUER_URL", "https://id.example/realms/main"),
            ("OIDC_CLIENT_ID", "causeway"),
            ("OIDC_PROVIDER_NAME", "corp"),
            ("OIDC_REGISTRATION", "closed"),
        ];
        let (config, problems) = read("production", &[&GOOGLE_PAIR[..], &more].concat());
        assert_eq!(problems, Vec::<String>::new());
        let shown: Vec<_> = config
            .providers
            .iter()
            .map(|(name, options)| {
                (
                    name.as_str(),
                    options.issuer.as_str(),
                    options.redirect_url.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "google",
                    "https://accounts.google.com",
                    "https://door.example/auth/oidc/google/callback"
                ),
                (
                    "corp",
                    "https://id.example/realms/main",
                    "https://door.example/auth/oidc/corp/callback"
                ),
            ]
        );
        assert!(config.providers[1].1.client_secret.is_none(), "PKCE proves it");
        assert_eq!(config.open, Some(false));
        assert!(!format!("{config:?}").contains("secret\""));
    }

    #[test]
    fn what_is_wrong_is_said_by_name() {
        let provider = |url| [("OIDC_ISSUER_URL", url), ("OIDC_CLIENT_ID", "causeway")];
        let at = [("NEXTAUTH_URL", "https://door.example")];
        assert_eq!(read("production", &GOOGLE_PAIR).1, ["NEXTAUTH_URL"]);
        for url in ["http://id.example", "https://10.0.0.1", "https://id.example/?a=b"] {
            let (_, problems) = read("production", &[&provider(url)[..], &at].concat());
            assert_eq!(problems, ["OIDC_ISSUER_URL"], "{url}");
        }
        for name in ["google", "clerk", "password", "Corp", "a/b"] {
            let named = [("OIDC_PROVIDER_NAME", name)];
            let pairs = [&provider("https://id.example")[..], &at, &named].concat();
            assert_eq!(read("production", &pairs).1, ["OIDC_PROVIDER_NAME"], "{name}");
        }
    }
}
