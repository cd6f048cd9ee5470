//! What a workspace may choose for itself.

use causeway_egress::may_be_public;
use causeway_settings::{Settings, Tier};

use super::{CandidateConfig, ProviderKind, class_models};
use crate::overrides::Override;
use crate::selection::default_base_url;

/// What is true of the choices of all workspaces. Its default is the strict one.
#[derive(Debug, Clone, Default)]
pub struct TenantRules {
    /// Conversations may go to any address, this machine's included: for development.
    pub any_base_url: bool,
    /// The class models of vendors that have some, for a workspace that names no model.
    pub models: Vec<ClassModels>,
}

/// The class models of a vendor.
#[derive(Debug, Clone)]
pub struct ClassModels {
    /// Whose.
    pub kind: ProviderKind,
    /// For quick tasks.
    pub fast: Option<String>,
    /// For tasks that take thought.
    pub reasoning: Option<String>,
}

impl TenantRules {
    pub(super) fn from_settings(settings: &Settings) -> Self {
        let models = [ProviderKind::OpenAi, ProviderKind::Anthropic].map(|kind| {
            let (fast, reasoning) = class_models(kind, settings);
            ClassModels {
                kind,
                fast,
                reasoning,
            }
        });
        Self {
            any_base_url: settings.tier() == Tier::Development && settings.development_key_allowed(),
            models: models.into(),
        }
    }

    /// The provider that a workspace chose, and why it is not used, if so. No key of the process is lent to it (C-11).
    pub(crate) fn candidate(&self, decided: &Override) -> (CandidateConfig, Option<&'static str>) {
        let Some(kind) = ProviderKind::parse(&decided.provider) else {
            return (CandidateConfig::mock(), Some("the provider is not known here"));
        };
        let classes = self.models.iter().find(|models| models.kind == kind);
        let model =
            |class: Option<&Option<String>>| decided.model.clone().or_else(|| class.cloned().flatten());
        let candidate = CandidateConfig {
            kind,
            base_url: decided.base_url.clone(),
            key: decided.key.clone(),
            fast: model(classes.map(|models| &models.fast)),
            reasoning: model(classes.map(|models| &models.reasoning)),
        };
        let refused = if decided.key_missing {
            Some("the secret that holds its key is gone")
        } else if self.leads_inside(&candidate) {
            Some("its base URL is not https at a public host")
        } else {
            None
        };
        (candidate, refused)
    }

    fn leads_inside(&self, candidate: &CandidateConfig) -> bool {
        let own = default_base_url(candidate.kind);
        let url = candidate.base_url.as_deref().or(own);
        !self.any_base_url && url.is_some_and(|url| !may_be_public(url))
    }
}
