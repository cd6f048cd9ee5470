//! Model answers through the OpenAI surface, from an upstream whose answers are scripted.

use causeway_testkit::{Answer, ScriptedUpstream};
use serde_json::{Value, json};

use crate::mesh::{Account, Mesh};

async fn mesh(upstream: &ScriptedUpstream) -> (Mesh, Account) {
    let mesh = Mesh::with(&[
        ("LLM_PROVIDER_ORDER", "openai"),
        ("OPENAI_API_KEY", "sk-of-the-tests"),
        ("OPENAI_BASE_URL", &upstream.base_url()),
    ])
    .await;
    let account = mesh.account("models").await;
    (mesh, account)
}

fn chat(stream: bool) -> Value {
    json!({"model": "fast", "stream": stream, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_answers_and_sees_nothing_of_ours() {
    let upstream = ScriptedUpstream::start().await;
    upstream.then(Answer::chat("hello"));
    let (mesh, account) = mesh(&upstream).await;
    let mut body = chat(false);
    body.as_object_mut().unwrap().remove("stream_options");
    let answer = account.client.post("/v1/chat/completions", body).await;
    let json = answer.json(200);
    assert_eq!(json["choices"][0]["message"]["content"], "hello");
    assert!(json["usage"]["total_tokens"].is_u64(), "{json}");
    assert_eq!(answer.header("x-causeway-provider"), "openai");
    assert_eq!(answer.header("x-causeway-attempts"), "1");
    assert!(!answer.header("x-causeway-request-id").is_empty());
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("authorization"), "Bearer sk-of-the-tests");
    assert!(!format!("{:?}", seen.headers).contains(&account.access_token));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_stream_ends_with_done() {
    let upstream = ScriptedUpstream::start().await;
    upstream.then(Answer::chat_stream(&["he", "llo"]));
    let (mesh, account) = mesh(&upstream).await;
    let answer = account.client.post("/v1/chat/completions", chat(true)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    let events: Vec<&str> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "hello");
    assert!(chunks.last().unwrap()["usage"]["total_tokens"].is_u64());
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_never_says_done() {
    let upstream = ScriptedUpstream::start().await;
    upstream.then(Answer::chat_stream(&["he", "llo"]).cut_after(3));
    let (mesh, account) = mesh(&upstream).await;
    let answer = account.client.post("/v1/chat/completions", chat(true)).await;
    assert!(!answer.body.contains("[DONE]"), "{}", answer.body);
    let last = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .next_back()
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert!(last["error"]["code"].is_string(), "{last}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_pinned_provider_is_said_and_nothing_else() {
    let mesh = Mesh::with(&[("AI_PROVIDER", "google"), ("AI_API_KEY", "a-key-of-the-tests")]).await;
    let account = mesh.account("models").await;
    let answer = account.client.get("/v1/llm/providers").await;
    assert!(!answer.body.contains("a-key-of-the-tests"));
    let providers = answer.json(200);
    assert_eq!(
        (&providers["selected_by"], &providers["providers"][0]["usable"]),
        (&json!("ai"), &json!(false))
    );
    assert_eq!(
        providers["providers"].as_array().map(Vec::len),
        Some(1),
        "never the mock: {providers}"
    );
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let error = account.client.post("/v1/chat/completions", body).await;
    assert_eq!(error.reason(424), "PROVIDER_UNAVAILABLE");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_in_the_log_without_its_content() {
    let upstream = ScriptedUpstream::start().await;
    upstream.otherwise(Answer::error(400, "no"));
    let (mesh, account) = mesh(&upstream).await;
    let mut body = chat(false);
    body.as_object_mut().unwrap().remove("stream_options");
    let error = account.client.post("/v1/chat/completions", body).await;
    assert!(!error.status.is_success(), "{}", error.body);
    let log = account.client.get("/v1/audit/events?action=llm.generated").await;
    let entries = log.json(200);
    assert_eq!(entries["entries"][0]["event"]["outcome"], "failure", "{entries}");
    assert!(!log.body.contains("\"hi\""), "{}", log.body);
    mesh.end().await;
}
