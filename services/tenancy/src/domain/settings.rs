//! What a workspace decides for itself.

use causeway_context::{RateTier, WorkspaceId};
use chrono::{DateTime, Utc};

use super::{Invalid, SecretName, Workspace};
use crate::refusal::Refusal;

const MODEL_CHARS: usize = 200;
const URL_BYTES: usize = 2048;
const REGION_BYTES: usize = 32;
const MOST_DAYS: u16 = 3650;

/// A closed set of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $wrong:literal: $($(#[$of:meta])* $case:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$of])* $case),+
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$case),+];

            /// The word in messages and tables.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $word),+
                }
            }

            /// The case of that word.
            ///
            /// # Errors
            /// What is wrong with it.
            pub(crate) fn parse(word: &str) -> Result<Self, Invalid> {
                let known = Self::ALL.iter().copied().find(|case| case.as_str() == word);
                known.ok_or($wrong)
            }
        }
    };
}

words!(
    /// Whose model answers.
    AiProvider, "must be anthropic, bedrock, google, lm_studio, mock, ollama or openai":
    /// Anthropic.
    Anthropic = "anthropic",
    /// Amazon Bedrock.
    Bedrock = "bedrock",
    /// Google.
    Google = "google",
    /// LM Studio.
    LmStudio = "lm_studio",
    /// The built-in mock.
    Mock = "mock",
    /// Ollama.
    Ollama = "ollama",
    /// OpenAI.
    OpenAi = "openai",
);

words!(
    /// Whether people need a second factor.
    MfaPolicy, "must be optional or required":
    /// As each likes.
    Optional = "optional",
    /// For everything that is marked so.
    Required = "required",
);

/// The settings of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Which model answers.
    pub ai: AiSettings,
    /// Whether people need a second factor.
    pub mfa_policy: MfaPolicy,
    /// For how many days at most sign-ins are remembered; 0 says nothing.
    pub retention_days: RetentionDays,
    /// How much the workspace may ask for.
    pub rate_tier: RateTier,
    /// Its home.
    pub region: String,
    /// When they last changed.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Which model answers, in place of what the process is set to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AiSettings {
    /// Whose; without one nothing else is set.
    pub provider: Option<AiProvider>,
    /// Which.
    pub model: Option<AiModel>,
    /// Where, in place of the provider's own address.
    pub base_url: Option<BaseUrl>,
    /// The secret that holds the key.
    pub api_key_secret: Option<SecretName>,
}

/// One change of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingChange {
    /// Of `ai.provider`.
    Provider(Option<AiProvider>),
    /// Of `ai.model`.
    Model(Option<AiModel>),
    /// Of `ai.base_url`.
    BaseUrl(Option<BaseUrl>),
    /// Of `ai.api_key_secret`.
    ApiKeySecret(Option<SecretName>),
    /// Of `mfa_policy`.
    MfaPolicy(MfaPolicy),
    /// Of `retention_days`.
    RetentionDays(RetentionDays),
    /// Of `rate_tier`.
    RateTier(RateTier),
    /// Of `region`.
    Region(String),
}

impl Settings {
    /// The settings of a workspace that has decided nothing.
    pub(crate) fn untouched(workspace: &Workspace) -> Self {
        Self {
            workspace: workspace.id,
            ai: AiSettings::default(),
            mfa_policy: MfaPolicy::Optional,
            retention_days: RetentionDays(0),
            rate_tier: RateTier::Standard,
            region: workspace.region.clone(),
            updated_at: None,
        }
    }

    /// The settings after `changes`.
    ///
    /// # Errors
    /// [`Refusal::ProviderMissing`].
    pub(crate) fn with(mut self, changes: &[SettingChange], at: DateTime<Utc>) -> Result<Self, Refusal> {
        for change in changes.iter().cloned() {
            self.apply(change);
        }
        self.updated_at = Some(at);
        if self.ai.provider.is_none() && self.ai != AiSettings::default() {
            return Err(Refusal::ProviderMissing);
        }
        Ok(self)
    }

    fn apply(&mut self, change: SettingChange) {
        match change {
            SettingChange::Provider(provider) => self.ai.provider = provider,
            SettingChange::Model(model) => self.ai.model = model,
            SettingChange::BaseUrl(url) => self.ai.base_url = url,
            SettingChange::ApiKeySecret(name) => self.ai.api_key_secret = name,
            SettingChange::MfaPolicy(policy) => self.mfa_policy = policy,
            SettingChange::RetentionDays(days) => self.retention_days = days,
            SettingChange::RateTier(tier) => self.rate_tier = tier,
            SettingChange::Region(region) => self.region = region,
        }
    }
}

/// Days: at most 3650.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetentionDays(u16);

impl RetentionDays {
    /// So many days.
    ///
    /// # Errors
    /// What is wrong with the number.
    pub(crate) fn parse(number: i32) -> Result<Self, Invalid> {
        match u16::try_from(number) {
            Ok(days) if days <= MOST_DAYS => Ok(Self(days)),
            Ok(_) | Err(_) => Err("must be between 0 and 3650"),
        }
    }

    /// The number.
    pub(crate) fn number(self) -> i32 {
        self.0.into()
    }
}

/// A provider's name of a model: at most 200 characters, none of them a space or a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AiModel(String);

impl AiModel {
    /// The name, if it is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=MODEL_CHARS).contains(&text.chars().count())
            && !text
                .chars()
                .any(|letter| letter.is_whitespace() || letter.is_control());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("must have at most 200 characters and no spaces")
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An address to which requests go: http or https and a host. Whoever sends there decides which hosts it may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// The address, if it is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > URL_BYTES {
            return Err("must have at most 2048 characters");
        }
        let url: http::Uri = text.parse().map_err(|_| "must be a URL")?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return Err("must begin with http:// or https:// and name a host");
        }
        if url
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err("must not hold credentials");
        }
        if url.query().is_some() || text.contains('#') {
            return Err("must have neither query nor fragment");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// Whether it can be an address of the public internet, as far as its text says: https and no address of a private
    /// network. A name is looked at again where it is resolved.
    pub(crate) fn may_be_public(&self) -> bool {
        causeway_egress::may_be_public(&self.0)
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a region, if it is one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn region(text: &str) -> Result<String, Invalid> {
    let fits = (1..=REGION_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 32 of a-z 0-9 -")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkspaceName;

    fn untouched() -> Settings {
        Settings::untouched(&Workspace {
            id: WorkspaceId::generate(),
            name: WorkspaceName::parse("Acme").expect("a name"),
            region: "eu-central-1".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for provider in AiProvider::ALL {
            assert_eq!(AiProvider::parse(provider.as_str()), Ok(*provider));
        }
        assert!(AiProvider::parse("OpenAI").is_err());
        assert!(MfaPolicy::parse("").is_err());
    }

    #[test]
    fn changes_are_applied_in_their_order() {
        let changes = [
            SettingChange::Provider(Some(AiProvider::OpenAi)),
            SettingChange::RateTier(RateTier::Free),
            SettingChange::Provider(Some(AiProvider::Google)),
        ];
        let now = DateTime::UNIX_EPOCH;
        let after = untouched().with(&changes, now).expect("allowed");
        assert_eq!(
            (after.ai.provider, after.rate_tier, after.updated_at),
            (Some(AiProvider::Google), RateTier::Free, Some(now))
        );
    }

    #[test]
    fn a_model_without_a_provider_is_refused_even_when_the_provider_goes() {
        let model = SettingChange::Model(AiModel::parse("gpt-4o").ok());
        let now = DateTime::UNIX_EPOCH;
        let alone = untouched().with(std::slice::from_ref(&model), now);
        assert_eq!(alone, Err(Refusal::ProviderMissing));
        let both = [SettingChange::Provider(Some(AiProvider::OpenAi)), model];
        let set = untouched().with(&both, now).expect("allowed");
        let gone = set.with(&[SettingChange::Provider(None)], now);
        assert_eq!(gone, Err(Refusal::ProviderMissing));
    }

    #[test]
    fn an_address_is_only_a_place() {
        for (text, stored) in [
            ("https://llm.example.com/v1/", "https://llm.example.com/v1"),
            ("http://127.0.0.1:11434/api", "http://127.0.0.1:11434/api"),
        ] {
            assert_eq!(BaseUrl::parse(text).as_ref().map(BaseUrl::as_str), Ok(stored));
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES));
        for bad in [
            "",
            "example.com",
            "/v1",
            "ftp://example.com",
            "https://user:secret@example.com",
            "https://example.com/?key=1",
            "https://example.com/#a",
            "https:///v1",
            "https://exa mple.com",
            &long,
        ] {
            assert!(BaseUrl::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn models_regions_and_days_have_bounds() {
        assert!(AiModel::parse("anthropic/claude-x:1").is_ok());
        assert!(AiModel::parse("a b").is_err());
        assert!(AiModel::parse(&"x".repeat(201)).is_err());
        assert!(region("eu-central-1").is_ok());
        for bad in ["", "EU", "eu_1", &"x".repeat(33)] {
            assert!(region(bad).is_err(), "{bad}");
        }
        assert!(RetentionDays::parse(3650).is_ok());
        assert!(RetentionDays::parse(3651).is_err());
        assert!(RetentionDays::parse(-1).is_err());
    }
}
