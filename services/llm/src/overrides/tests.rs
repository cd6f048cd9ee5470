use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use causeway_context::{Caller, UserId};
use causeway_contracts::{CallerKind, Role};
use chrono::DateTime;

use super::*;
use crate::config::{ClassModels, ProviderKind};
use crate::error::LlmError;
use crate::provider::Provider as _;

/// Knows what it is told of workspaces; of others, that they decided nothing.
#[derive(Default)]
pub(crate) struct Decisions {
    by_workspace: Mutex<BTreeMap<WorkspaceId, Result<Override, ApiError>>>,
    asked: AtomicUsize,
}

#[async_trait]
impl TenantAi for Decisions {
    async fn find(&self, _: &RequestId, workspace: WorkspaceId) -> Result<Option<Override>, ApiError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let known = self.by_workspace.lock().unwrap();
        known.get(&workspace).cloned().transpose()
    }
}

impl Decisions {
    fn decide(&self, workspace: WorkspaceId, decided: Result<Override, ApiError>) {
        self.by_workspace.lock().unwrap().insert(workspace, decided);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn openai(key: &str) -> Override {
    Override {
        provider: "openai".to_owned(),
        model: None,
        base_url: None,
        key: Some(key.into()),
        key_missing: false,
    }
}

fn rules(any_base_url: bool) -> TenantRules {
    let models = ClassModels {
        kind: ProviderKind::OpenAi,
        fast: Some("gpt-f".to_owned()),
        reasoning: Some("gpt-r".to_owned()),
    };
    TenantRules {
        any_base_url,
        models: vec![models],
    }
}

struct World {
    source: Arc<Decisions>,
    overrides: Overrides,
    workspace: WorkspaceId,
}

fn world(any_base_url: bool) -> World {
    let source = Arc::new(Decisions::default());
    World {
        overrides: Overrides::new(source.clone(), rules(any_base_url)),
        source,
        workspace: WorkspaceId::generate(),
    }
}

impl World {
    fn ctx(&self) -> CallContext {
        let method = causeway_contracts::method("/causeway.llm.v1.LlmService/Generate").unwrap();
        let roles = &[Role::Editor];
        let (user, session) = (UserId::generate(), "s".to_owned());
        let caller = Caller::person(CallerKind::User, user, self.workspace, roles, &[], session);
        CallContext::new(caller, method, RequestId::generate(), DateTime::UNIX_EPOCH)
    }

    async fn find(&self) -> Chosen {
        self.overrides.find(&self.ctx()).await
    }

    /// Who answers `asked` when the workspace decided that.
    async fn who(&self, decided: Override, asked: &str) -> Result<String, &'static str> {
        self.source.decide(self.workspace, Ok(decided));
        let selection = self.find().await.expect("answered").expect("chosen");
        assert_eq!(selection.group(), Group::Tenant);
        match selection.choose(asked) {
            Ok(choice) => Ok(format!("{}:{}", choice.provider.name(), choice.model)),
            Err(LlmError::Unusable { why, .. }) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn the_workspaces_provider_and_model_win() {
    let named = Override {
        model: Some("gpt-own".to_owned()),
        ..openai("sk-1")
    };
    for (asked, answers) in [
        ("auto", Ok("openai:gpt-own")),
        ("reasoning", Ok("openai:gpt-own")),
        ("gpt-other", Ok("openai:gpt-other")),
        ("anthropic/claude-x", Err("the settings do not name it")),
        ("mock", Ok("mock:mock")),
    ] {
        assert_eq!(
            world(false).who(named.clone(), asked).await.as_deref(),
            answers.as_deref(),
            "{asked}"
        );
    }
    let classes = world(false).who(openai("sk-1"), "reasoning").await;
    assert_eq!(
        classes.as_deref(),
        Ok("openai:gpt-r"),
        "without a model of its own"
    );
}

#[tokio::test]
async fn a_choice_that_cannot_be_used_is_said_and_nobody_steps_in() {
    let without_key = Override {
        key: None,
        ..openai("")
    };
    let gone = Override {
        key_missing: true,
        ..without_key.clone()
    };
    let of = |provider: &str| Override {
        provider: provider.to_owned(),
        model: Some("m".to_owned()),
        ..openai("sk-1")
    };
    for (decided, why) in [
        (without_key, "no API key is set"),
        (gone, "the secret that holds its key is gone"),
        (of("google"), "support for this provider comes later"),
        (of("skynet"), "the provider is not known here"),
        (of("ollama"), "its base URL is not https at a public host"),
    ] {
        assert_eq!(world(false).who(decided, "auto").await, Err(why));
    }
}

#[tokio::test]
async fn conversations_leave_to_public_hosts_only() {
    let at = |url: &str| Override {
        base_url: Some(url.to_owned()),
        ..openai("sk-1")
    };
    for inside in [
        "http://llm.example.com",
        "https://127.0.0.1",
        "https://10.1.2.3/v1",
        "https://localhost",
    ] {
        let why = world(false).who(at(inside), "fast").await;
        assert_eq!(why, Err("its base URL is not https at a public host"), "{inside}");
        assert_eq!(
            world(true).who(at(inside), "fast").await.as_deref(),
            Ok("openai:gpt-f"),
            "in development"
        );
    }
    let outside = world(false).who(at("https://llm.example.com/v1"), "fast").await;
    assert_eq!(outside.as_deref(), Ok("openai:gpt-f"));
}

#[tokio::test(start_paused = true)]
async fn a_change_holds_soon_and_many_who_ask_are_one_question() {
    let world = world(false);
    assert!(world.find().await.expect("answered").is_none());
    world.source.decide(world.workspace, Ok(openai("sk-1")));
    assert!(world.find().await.expect("answered").is_none(), "remembered");
    tokio::time::advance(FRESH).await;
    let found = futures::future::join_all((0..20).map(|_| world.find())).await;
    assert!(found.iter().all(|chosen| matches!(chosen, Ok(Some(_)))));
    assert_eq!(world.source.asked(), 2);
    assert!(FRESH < Duration::from_secs(60));

    tokio::time::advance(FRESH).await;
    let (before, after) = (
        found[0].clone().unwrap().unwrap(),
        world.find().await.unwrap().unwrap(),
    );
    assert!(
        Arc::ptr_eq(&before, &after),
        "the same decision keeps its provider"
    );
    world.source.decide(world.workspace, Ok(openai("sk-2")));
    tokio::time::advance(FRESH).await;
    let after = world.find().await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&before, &after), "another key is another decision");
}

#[tokio::test(start_paused = true)]
async fn while_tenancy_is_away_no_other_provider_steps_in() {
    let world = world(false);
    world.source.decide(world.workspace, Ok(openai("sk-1")));
    assert!(world.find().await.expect("answered").is_some());
    let away = ApiError::unavailable("TENANCY_UNAVAILABLE");
    world.source.decide(world.workspace, Err(away.clone()));
    tokio::time::advance(FRESH).await;
    for _ in 0..3 {
        assert_eq!(world.find().await.err(), Some(away.clone()));
    }
    assert_eq!(
        world.source.asked(),
        2,
        "and it is asked again after a pause only"
    );
    world.source.decide(world.workspace, Ok(openai("sk-1")));
    tokio::time::advance(PAUSE).await;
    assert!(world.find().await.expect("answered").is_some());
}

#[tokio::test]
async fn memory_is_bounded() {
    let mut world = world(false);
    world.overrides.most = 3;
    for _ in 0..10 {
        world.workspace = WorkspaceId::generate();
        assert!(world.find().await.is_ok());
    }
    assert_eq!(world.overrides.entries.lock().unwrap().len(), 3);
}
