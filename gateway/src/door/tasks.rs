//! What task routes ask for: a key, a token, or either (AUTH_MODE; C-8, C-9, B-AUTH-7 to B-AUTH-9). The kind of a
//! credential is seen by its shape and by where it stands, before anything is verified; what fails as one kind is never
//! tried as another (MODE-01).

use causeway_context::{Caller, WorkspaceId};
use causeway_contracts::{CallerKind, Method, PERMISSIONS};
use causeway_crypto::{fits_jwt, same_text, token};
use causeway_errors::ApiError;
use causeway_settings::{Problem, Settings};
use secrecy::{ExposeSecret as _, SecretString};

use super::authenticate;
use crate::Gateway;

const GROUP: &str = "/v1/tasks";

/// Which credentials task routes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Keys only.
    ApiKey,
    /// Access tokens only.
    Auth,
    /// Both.
    Hybrid,
}

/// What task routes ask for.
#[derive(Debug, Clone)]
pub struct TaskRules {
    /// Which credentials they take.
    pub mode: AuthMode,
    /// The one static key (APP_API_KEY).
    pub app_key: Option<SecretString>,
    /// The key of internal jobs (API_KEY), which opens no public route.
    pub internal_key: Option<SecretString>,
    /// Whether nobody is let in without a credential.
    pub production: bool,
}

impl TaskRules {
    /// Reads the settings of task routes.
    pub(crate) fn from_settings(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        let rules = Self {
            mode: match settings.text("AUTH_MODE").as_deref() {
                Some("auth") => AuthMode::Auth,
                Some("hybrid") => AuthMode::Hybrid,
                _ => AuthMode::ApiKey,
            },
            app_key: settings.secret("APP_API_KEY"),
            internal_key: settings.secret("API_KEY"),
            production: settings.tier().is_production(),
        };
        if let (Some(app), Some(internal)) = (&rules.app_key, &rules.internal_key)
            && same_text(app.expose_secret(), internal.expose_secret())
        {
            let message = "must differ from APP_API_KEY: it is no key of task routes";
            problems.push(Problem {
                setting: "API_KEY".to_owned(),
                message: message.to_owned(),
            });
        }
        rules
    }

    /// Whether the static key is asked for at all: without one the routes are open in mode `apikey`, but never in
    /// production (C-8).
    fn is_open(&self) -> bool {
        self.mode == AuthMode::ApiKey && self.app_key.is_none() && !self.production
    }

    /// What is to be done with a credential of that kind.
    fn decide(&self, kind: Kind) -> Decision {
        let (keys, tokens) = match self.mode {
            AuthMode::ApiKey => (true, self.is_open()),
            AuthMode::Auth => (false, true),
            AuthMode::Hybrid => (true, true),
        };
        match kind {
            Kind::Nothing if self.is_open() => Decision::Open,
            Kind::StaticKey if self.is_open() => Decision::Open,
            Kind::StaticKey if keys && self.app_key.is_some() => Decision::Compare,
            Kind::StoredKey | Kind::PersonalToken if keys => Decision::Prove,
            Kind::Jwt if tokens => Decision::Prove,
            Kind::Nothing
            | Kind::StaticKey
            | Kind::StoredKey
            | Kind::PersonalToken
            | Kind::Jwt
            | Kind::Unknown => Decision::Refuse,
        }
    }

    /// Whether a text is the static key, and not that of internal jobs.
    fn is_app_key(&self, text: &str) -> bool {
        let is = |key: &Option<SecretString>| {
            key.as_ref()
                .is_some_and(|key| same_text(key.expose_secret(), text))
        };
        is(&self.app_key) & !is(&self.internal_key)
    }
}

/// A kind of credential, by its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// None was shown.
    Nothing,
    /// `cw_key_...`.
    StoredKey,
    /// `cw_pat_...`.
    PersonalToken,
    /// A JWT.
    Jwt,
    /// Any other text in `X-API-Key`.
    StaticKey,
    /// Any other text elsewhere.
    Unknown,
}

impl Kind {
    fn of(shown: Option<&str>, by_key: bool) -> Self {
        match shown {
            None => Self::Nothing,
            Some(text) if text.starts_with(token::API_KEY) => Self::StoredKey,
            Some(text) if text.starts_with(token::PERSONAL_ACCESS_TOKEN) => Self::PersonalToken,
            Some(text) if fits_jwt(text) => Self::Jwt,
            Some(_) if by_key => Self::StaticKey,
            Some(_) => Self::Unknown,
        }
    }
}

/// What is done with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// It is proven as on any other route.
    Prove,
    /// It is compared with the static key.
    Compare,
    /// It is not looked at: nobody has to be known.
    Open,
    /// 401.
    Refuse,
}

/// Whether the RPC answers on a task route.
pub(crate) fn are_governed(method: &Method) -> bool {
    method.routes.iter().any(|route| is_of_the_group(route.path))
}

fn is_of_the_group(path: &str) -> bool {
    path.strip_prefix(GROUP)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Who calls a task route.
///
/// # Errors
/// 401 for a credential that the mode does not take, or that proves nobody.
pub(crate) async fn admit(
    gateway: &Gateway,
    method: &Method,
    shown: Option<String>,
    by_key: bool,
) -> Result<Caller, ApiError> {
    let rules = &gateway.config.tasks;
    let decision = rules.decide(Kind::of(shown.as_deref(), by_key));
    match (decision, shown) {
        (Decision::Open, _) => Ok(keyed("open")),
        (Decision::Compare, Some(text)) if rules.is_app_key(&text) => Ok(keyed("app_api_key")),
        (Decision::Prove, Some(text)) => authenticate::prove(gateway, method, text).await,
        (Decision::Prove | Decision::Compare | Decision::Refuse, _) => Err(ApiError::unauthenticated()),
    }
}

/// A program of the one workspace that a deployment with a static key knows (C-5). It may use tasks and nothing else.
fn keyed(credential: &str) -> Caller {
    let tasks = PERMISSIONS
        .iter()
        .filter(|permission| permission.starts_with("tasks."));
    Caller {
        kind: CallerKind::Client,
        id: credential.to_owned(),
        workspace: Some(WorkspaceId::DEFAULT),
        permissions: tasks.collect(),
        credential_id: credential.to_owned(),
        ..Caller::anonymous()
    }
}

#[cfg(test)]
mod tests {
    use causeway_settings::{Owner, Sources};

    use super::*;

    const KINDS: [Kind; 6] = [
        Kind::Nothing,
        Kind::StaticKey,
        Kind::StoredKey,
        Kind::PersonalToken,
        Kind::Jwt,
        Kind::Unknown,
    ];

    fn rules(mode: AuthMode, app_key: bool, production: bool) -> TaskRules {
        TaskRules {
            mode,
            app_key: app_key.then(|| SecretString::from("the key")),
            internal_key: Some(SecretString::from("the other key")),
            production,
        }
    }

    /// One letter per kind, in the order of `KINDS`: proven, compared, open, refused.
    fn row(rules: &TaskRules) -> String {
        let letter = |kind| match rules.decide(kind) {
            Decision::Prove => 'p',
            Decision::Compare => 'c',
            Decision::Open => 'o',
            Decision::Refuse => '-',
        };
        KINDS.into_iter().map(letter).collect()
    }

    /// MODE-01, B-AUTH-7, C-8: what a mode does not take is refused, and nothing is tried as another kind.
    #[test]
    fn every_kind_of_credential_in_every_mode() {
        use AuthMode::{ApiKey, Auth, Hybrid};
        // Nothing, static key, stored key, personal token, JWT, unknown.
        for (mode, app_key, production, expected) in [
            (ApiKey, true, false, "-cpp--"),
            (ApiKey, true, true, "-cpp--"),
            (ApiKey, false, false, "ooppp-"),
            (ApiKey, false, true, "--pp--"),
            (Auth, true, false, "----p-"),
            (Auth, true, true, "----p-"),
            (Auth, false, false, "----p-"),
            (Auth, false, true, "----p-"),
            (Hybrid, true, false, "-cppp-"),
            (Hybrid, true, true, "-cppp-"),
            (Hybrid, false, false, "--ppp-"),
            (Hybrid, false, true, "--ppp-"),
        ] {
            let found = row(&rules(mode, app_key, production));
            assert_eq!(
                found, expected,
                "{mode:?}, key {app_key}, production {production}"
            );
        }
    }

    #[test]
    fn a_kind_is_seen_by_its_shape() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
        for (text, by_key, kind) in [
            (None, false, Kind::Nothing),
            (Some("cw_key_broken"), true, Kind::StoredKey),
            (Some("cw_key_broken"), false, Kind::StoredKey),
            (Some("cw_pat_broken"), true, Kind::PersonalToken),
            (Some(jwt), false, Kind::Jwt),
            (Some("the key"), true, Kind::StaticKey),
            (Some("the key"), false, Kind::Unknown),
        ] {
            assert_eq!(Kind::of(text, by_key), kind, "{text:?} {by_key}");
        }
    }

    /// B-AUTH-9, B-GW-24: compared whole, in a time that tells nothing of the common part.
    #[test]
    fn the_key_of_internal_jobs_is_no_key_of_tasks() {
        let rules = rules(AuthMode::ApiKey, true, true);
        assert!(rules.is_app_key("the key"));
        for other in ["", "the ke", "the key ", "the other key"] {
            assert!(!rules.is_app_key(other), "{other}");
        }
        let same = TaskRules {
            internal_key: rules.app_key.clone(),
            ..rules
        };
        assert!(!same.is_app_key("the key"));
    }

    #[test]
    fn two_keys_of_one_text_are_a_mistake() {
        let pairs = [("NODE_ENV", "test"), ("APP_API_KEY", "k"), ("API_KEY", "k")];
        let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Gateway]).unwrap();
        let mut problems = Vec::new();
        let rules = TaskRules::from_settings(&settings, &mut problems);
        assert_eq!(
            (rules.mode, problems[0].setting.as_str()),
            (AuthMode::ApiKey, "API_KEY")
        );
    }

    #[test]
    fn the_group_is_the_task_routes() {
        for path in ["/v1/tasks", "/v1/tasks/{task_id}", "/v1/tasks/{task_id}/input"] {
            assert!(is_of_the_group(path), "{path}");
        }
        for path in ["/v1/tasksets", "/v1/task", "/v1/tokens"] {
            assert!(!is_of_the_group(path), "{path}");
        }
    }

    #[test]
    fn who_has_a_static_key_may_use_tasks_alone() {
        let caller = keyed("app_api_key");
        assert_eq!(caller.workspace, Some(WorkspaceId::DEFAULT));
        assert!(
            caller
                .permissions
                .iter()
                .all(|permission| permission.starts_with("tasks."))
        );
        assert_eq!(caller.kind, CallerKind::Client);
    }
}
