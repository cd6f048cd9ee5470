use std::time::Duration;

use causeway_context::{Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, Role};
use causeway_egress::{Egress, EgressOptions};
use causeway_errors::Code;
use causeway_outbox::{MemoryOutbox, OutboxEvent, OutboxStore as _, Outcome, RelayHandle};
use chrono::DateTime;
use serde_json::{Value, json};

use super::*;
use crate::config::{CandidateConfig, Config, Group, ProviderKind, TenantRules};
use crate::overrides::Overrides;
use crate::overrides::tests::Decisions;
use crate::scripted::{Reply, Upstream};
use crate::selection::Selection;

const CONTENT: &str = "a very private question";

struct Fixture {
    grpc: Grpc,
    outbox: MemoryOutbox,
}

impl Fixture {
    fn new(group: Group, candidates: Vec<CandidateConfig>) -> Self {
        let timeout = Duration::from_secs(5);
        let because = String::new();
        let config = Config {
            group,
            because,
            candidates,
            max_tokens: 50,
            temperature: 0.2,
            timeout,
            tenants: TenantRules::default(),
        };
        let selection = Selection::new(&config, &Egress::new(EgressOptions::default()));
        let outbox = MemoryOutbox::default();
        let tenants = Overrides::new(Arc::new(Decisions::default()), TenantRules::default());
        let relay = RelayHandle::detached();
        let llm = Llm::new(&config, selection, tenants, outbox.clone(), relay);
        Self {
            grpc: Grpc(Arc::new(llm)),
            outbox,
        }
    }

    fn mock() -> Self {
        Self::new(Group::Mock, vec![CandidateConfig::mock()])
    }

    fn openai(url: &str) -> Self {
        let openai = CandidateConfig {
            kind: ProviderKind::OpenAi,
            base_url: Some(url.to_owned()),
            key: Some("sk-0123456789".into()),
            fast: Some("gpt-4o-mini".to_owned()),
            reasoning: Some("gpt-4o".to_owned()),
        };
        Self::new(Group::Order, vec![openai])
    }

    async fn facts(&self) -> Vec<OutboxEvent> {
        self.outbox.unsent(100).await.unwrap()
    }

    /// The only fact, in short: outcome, error, tokens in and out, attempts, stream.
    async fn fact(&self) -> (Outcome, Value, Value, Value, Value, Value) {
        let mut facts = self.facts().await;
        assert_eq!(facts.len(), 1);
        let fact = facts.remove(0);
        assert_eq!(
            (fact.action.as_str(), fact.target_kind.as_str()),
            ("llm.generated", "model")
        );
        assert!(!serde_json::to_string(&fact).unwrap().contains("private"));
        let detail = |name: &str| fact.details.get(name).cloned().unwrap_or(Value::Null);
        let tokens = (detail("input_tokens"), detail("output_tokens"));
        (
            fact.outcome,
            detail("error"),
            tokens.0,
            tokens.1,
            detail("attempts"),
            detail("stream"),
        )
    }

    async fn parts(
        &self,
        inner: wire::GenerateRequest,
    ) -> Result<BoxStream<'static, Result<wire::GenerateStreamResponse, Status>>, ApiError> {
        let message = wire::GenerateStreamRequest { request: Some(inner) };
        let answer = self
            .grpc
            .generate_stream(request("GenerateStream", message))
            .await;
        answer.map(Response::into_inner).map_err(ApiError::from)
    }
}

fn request<T>(name: &str, message: T) -> Request<T> {
    let method = causeway_contracts::method(&format!("/causeway.llm.v1.LlmService/{name}")).unwrap();
    let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
    let caller = Caller::person(
        CallerKind::User,
        user,
        workspace,
        &[Role::Editor],
        &[],
        "s".to_owned(),
    );
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut request = Request::new(message);
    request
        .extensions_mut()
        .insert(CallContext::new(caller, method, RequestId::generate(), now));
    request
}

fn ask(model: &str) -> wire::GenerateRequest {
    let message = wire::Message {
        role: "user".to_owned(),
        content: CONTENT.to_owned(),
    };
    wire::GenerateRequest {
        model: model.to_owned(),
        messages: vec![message],
        ..Default::default()
    }
}

fn chunk(text: &str, finish: Value) -> String {
    format!(
        "data: {}\n\n",
        json!({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})
    )
}

#[tokio::test]
async fn the_mock_answers_and_the_log_has_the_cost_and_not_the_words() {
    let fixture = Fixture::mock();
    let answer = fixture
        .grpc
        .generate(request("Generate", ask("gpt-4o")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (answer.provider.as_str(), answer.model.as_str(), answer.attempts),
        ("mock", "mock", 1)
    );
    assert_eq!(
        (answer.created, answer.finish_reason.as_str()),
        (1_800_000_000, "stop")
    );
    assert!(answer.content.contains(CONTENT));
    let usage = answer.usage.unwrap();
    let (outcome, error, input, output, attempts, stream) = fixture.fact().await;
    assert_eq!(
        (outcome, error, attempts, stream),
        (Outcome::Success, Value::Null, json!(1), json!(false))
    );
    assert_eq!(
        (input, output),
        (json!(usage.input_tokens), json!(usage.output_tokens))
    );
}

#[tokio::test]
async fn a_stream_has_one_id_and_says_at_its_end_what_it_cost() {
    let fixture = Fixture::mock();
    let parts: Vec<_> = fixture
        .parts(ask("auto"))
        .await
        .unwrap()
        .map(Result::unwrap)
        .collect()
        .await;
    assert!(parts.len() > 3);
    assert!(parts.iter().all(|part| part.id == parts[0].id));
    let (last, others) = parts.split_last().unwrap();
    assert!(
        others
            .iter()
            .all(|part| part.finish_reason.is_empty() && part.usage.is_none())
    );
    assert_eq!(
        (last.finish_reason.as_str(), last.usage.is_some()),
        ("stop", true)
    );
    let (outcome, _, _, output, _, stream) = fixture.fact().await;
    assert_eq!((outcome, stream), (Outcome::Success, json!(true)));
    assert_eq!(output, json!(last.usage.unwrap().output_tokens));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_and_the_log_says_failure() {
    let upstream = Upstream::start([Reply::events(&[&chunk("twelve chars", Value::Null)])]).await;
    let fixture = Fixture::openai(&upstream.url);
    let parts: Vec<_> = fixture.parts(ask("auto")).await.unwrap().collect().await;
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].as_ref().unwrap().delta, "twelve chars");
    let error = ApiError::from(parts[1].clone().unwrap_err());
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::Unavailable, "PROVIDER_MALFORMED_ANSWER")
    );
    let (outcome, error, _, output, attempts, _) = fixture.fact().await;
    assert_eq!((outcome, error), (Outcome::Failure, json!("malformed")));
    assert_eq!((output, attempts), (json!(3), json!(1)));
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn a_stream_that_the_client_drops_is_in_the_log() {
    let upstream = Upstream::start([Reply::events(&[&chunk("hi", Value::Null)]).hang()]).await;
    let fixture = Fixture::openai(&upstream.url);
    let mut parts = fixture.parts(ask("auto")).await.unwrap();
    assert_eq!(parts.next().await.unwrap().unwrap().delta, "hi");
    assert_eq!(fixture.facts().await.len(), 0);
    drop(parts);
    let (outcome, error, ..) = fixture.fact().await;
    assert_eq!((outcome, error), (Outcome::Failure, json!("cancelled")));
}

#[tokio::test]
async fn a_call_that_is_given_up_is_in_the_log() {
    let upstream = Upstream::start([Reply::json(200, &json!({})).hang()]).await;
    let fixture = Fixture::openai(&upstream.url);
    let call = fixture.grpc.generate(request("Generate", ask("auto")));
    assert!(
        tokio::time::timeout(Duration::from_millis(200), call)
            .await
            .is_err()
    );
    let (outcome, error, _, _, attempts, _) = fixture.fact().await;
    assert_eq!(
        (outcome, error, attempts),
        (Outcome::Failure, json!("cancelled"), json!(1))
    );
}

#[tokio::test]
async fn a_failed_provider_shows_its_class_and_not_its_words() {
    let body = json!({"error": {"message": "Incorrect API key provided: sk-0123456789"}});
    let upstream = Upstream::start([Reply::json(401, &body)]).await;
    let fixture = Fixture::openai(&upstream.url);
    let status = fixture
        .grpc
        .generate(request("Generate", ask("auto")))
        .await
        .unwrap_err();
    assert!(!format!("{status:?}").contains("sk-"));
    let error = ApiError::from(status);
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::FailedPrecondition, "PROVIDER_UNAVAILABLE")
    );
    let providers = fixture
        .grpc
        .list_providers(request("ListProviders", Default::default()))
        .await
        .unwrap();
    let providers = providers.into_inner();
    assert_eq!(
        (
            providers.selected_by.as_str(),
            providers.providers[0].last_error.as_str()
        ),
        ("order", "auth")
    );
    let (outcome, error, ..) = fixture.fact().await;
    assert_eq!((outcome, error), (Outcome::Failure, json!("auth")));
}

#[tokio::test]
async fn the_second_attempt_counts() {
    let answer = json!({"model": "gpt-4o-mini-x", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]});
    let upstream = Upstream::start([Reply::json(503, &json!({})), Reply::json(200, &answer)]).await;
    let fixture = Fixture::openai(&upstream.url);
    let answer = fixture
        .grpc
        .generate(request("Generate", ask("auto")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.attempts, answer.model.as_str()), (2, "gpt-4o-mini-x"));
    let (outcome, _, input, output, attempts, _) = fixture.fact().await;
    // The provider did not count, so our own rule did: 23 characters and a frame, 2 characters.
    assert_eq!(
        (outcome, input, output, attempts),
        (Outcome::Success, json!(10), json!(1), json!(2))
    );
}

#[tokio::test]
async fn an_unusable_pin_is_a_failed_precondition_in_both_forms() {
    let fixture = Fixture::new(
        Group::Ai,
        vec![CandidateConfig {
            kind: ProviderKind::Google,
            ..CandidateConfig::mock()
        }],
    );
    let whole = fixture
        .grpc
        .generate(request("Generate", ask("auto")))
        .await
        .unwrap_err();
    let streamed = fixture.parts(ask("auto")).await.err().unwrap();
    for error in [ApiError::from(whole), streamed] {
        assert_eq!(
            (error.code, error.reason.as_ref()),
            (Code::FailedPrecondition, "PROVIDER_UNAVAILABLE")
        );
        assert_eq!(causeway_errors::http_status(&error).as_u16(), 424);
    }
    assert!(
        fixture
            .facts()
            .await
            .iter()
            .all(|fact| fact.outcome == Outcome::Failure)
    );
}

#[tokio::test]
async fn a_request_that_is_wrong_names_its_fields_and_leaves_no_fact() {
    let fixture = Fixture::mock();
    let mut wrong = ask("auto");
    wrong.messages.push(wire::Message {
        role: "robot".to_owned(),
        content: "beep".to_owned(),
    });
    let error = ApiError::from(
        fixture
            .grpc
            .generate(request("Generate", wrong))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        (error.code, error.violations[0].field.as_str()),
        (Code::InvalidArgument, "messages[1].role")
    );
    let error = fixture.parts(ask("a\nb")).await.err().unwrap();
    assert_eq!(error.violations[0].field, "model");
    let empty = wire::GenerateStreamRequest::default();
    let error = fixture
        .grpc
        .generate_stream(request("GenerateStream", empty))
        .await
        .err()
        .unwrap();
    assert_eq!(ApiError::from(error).violations[0].field, "request");
    assert_eq!(fixture.facts().await.len(), 0);
}

#[tokio::test]
async fn the_setting_caps_the_length_that_a_caller_asks_for() {
    let answer = json!({"choices": [{"message": {"content": "hi"}}]});
    let upstream = Upstream::start((0..3).map(|_| Reply::json(200, &answer))).await;
    let fixture = Fixture::openai(&upstream.url);
    for max_tokens in [0, 7, 5000] {
        let request = request(
            "Generate",
            wire::GenerateRequest {
                max_tokens,
                top_p: Some(0.5),
                ..ask("auto")
            },
        );
        fixture.grpc.generate(request).await.unwrap();
    }
    let asked = upstream.asked();
    let lengths: Vec<_> = asked
        .iter()
        .map(|asked| asked.body["max_tokens"].as_u64())
        .collect();
    assert_eq!(lengths, [Some(50), Some(7), Some(50)]);
    assert!(asked.iter().all(|asked| asked.body.get("temperature").is_none()));
}

#[tokio::test]
async fn models_have_the_shape_of_openai() {
    let fixture = Fixture::openai("http://127.0.0.1:9");
    let models = fixture
        .grpc
        .list_models(request("ListModels", Default::default()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(models.object, "list");
    let data: Vec<_> = models
        .data
        .iter()
        .map(|model| (model.id.as_str(), model.owned_by.as_str()))
        .collect();
    assert_eq!(
        data,
        [("gpt-4o-mini", "openai"), ("gpt-4o", "openai"), ("mock", "mock")]
    );
}
